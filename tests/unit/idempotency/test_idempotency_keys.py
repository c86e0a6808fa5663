"""Which requests are the same."""

from app.idempotency.idempotency_keys import fingerprint


def test_a_request_is_its_method_path_and_body() -> None:
    """All of each, and nothing slips from one into another."""
    seen = [("POST", "/a", b"{}"), ("PUT", "/a", b"{}"), ("POST", "/b", b"{}"), ("POST", "/a", b"{} "), ("POST", "/a{", b"}")]
    assert len({fingerprint(*request) for request in seen}) == len(seen)
    assert fingerprint("POST", "/a", b"{}") == fingerprint("POST", "/a", b"{}")
