"""What a command learns about a running stack when some information is missing."""

from pathlib import Path

import pytest

from cli.stack.running_stack import RunningStack


@pytest.mark.parametrize("content", [None, b"", b"half a certif"])
def test_a_certificate_that_cannot_be_read_is_a_reason(tmp_path: Path, content: bytes | None) -> None:
    """The certificate is missing or half written during renewal: the stack is not ready, and is still watched."""
    file = tmp_path / "cert.pem"
    if content is not None:
        file.write_bytes(content)
    stack = RunningStack(1, "https://127.0.0.1:9", "", "", "", "", "", http_cert_file=str(file))
    assert stack.why_not_ready() == "the API's certificate cannot be read"
    assert not stack.is_ready()
