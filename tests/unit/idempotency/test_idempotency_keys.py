"""Which requests are the same for an idempotency key."""

from app.idempotency.idempotency_keys import fingerprint


def test_a_request_is_its_method_path_and_body() -> None:
    """All three count completely, and text cannot move from one to another."""
    seen = [("POST", "/a", b"{}"), ("PUT", "/a", b"{}"), ("POST", "/b", b"{}"), ("POST", "/a", b"{} "), ("POST", "/a{", b"}")]
    assert len({fingerprint(*request) for request in seen}) == len(seen)
    assert fingerprint("POST", "/a", b"{}") == fingerprint("POST", "/a", b"{}")
