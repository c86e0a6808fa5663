"""Which receivers of callbacks are allowed."""

import pytest

from app.batches.receiver import MAX_URL, Place, is_refused, is_refused_host, place
from app.config.batch_settings import networks

PUBLIC = ["93.184.215.14", "1.1.1.1", "2606:4700:4700::1111", "::ffff:93.184.215.14", "64:ff9b::5db8:d70e"]
REFUSED = [
    *("127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"),  # loopback
    *("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "fd00::1", "fec0::1"),  # private
    *("169.254.1.1", "fe80::1", "fe80::1%lo"),  # link-local
    *("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"),  # metadata of clouds
    *("0.0.0.0", "::", "0.1.2.3", "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1", "2001:db8::1", "100::1"),  # others
    *("224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"),  # multicast
    *("::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:168.63.129.16", "::127.0.0.1", "::10.0.0.1"),  # IPv4 within IPv6
    *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::5db8:d70e"),  # the same over NAT64
    *("2002:7f00:1::", "2002:5db8:d70e::", "2001:0:5db8:d70e::1"),  # tunnels
    *("", "lms.example", "127.1", "2130706433", "0x7f000001", "1.1.1.1 "),  # no addresses
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    """Also an IPv6 address that means a public IPv4 address, as DNS64 gives it."""
    assert not is_refused(address, [])


@pytest.mark.parametrize("address", REFUSED)
def test_other_addresses(address: str) -> None:
    """Everything that is not known to be public is refused."""
    assert is_refused(address, [])


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203", "fd00:1::5"])
def test_a_private_network_that_the_operator_allows(address: str) -> None:
    """However its addresses are written; nothing else becomes allowed."""
    allowed = networks("10.1.0.0/16, fd00:1::/32")
    assert not is_refused(address, allowed)
    assert all(is_refused(other, allowed) for other in ("10.2.0.1", "127.0.0.1", "169.254.169.254", "fd00:2::1", "::1"))


@pytest.mark.parametrize(("host", "refused"), [("lms.example", False), ("1.1.1.1", False), ("10.0.0.1", True), ("::1", True)])
def test_a_name_is_not_refused_before_it_is_resolved(host: str, refused: bool) -> None:
    assert is_refused_host(host, []) is refused


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://lms.example", Place("lms.example", 443, "/")),
        ("https://LMS.example:8443/a/b?c=d&e=%20", Place("lms.example", 8443, "/a/b?c=d&e=%20")),
        ("https://93.184.215.14/", Place("93.184.215.14", 443, "/")),
        ("https://[2606:4700::1]:444?x", Place("2606:4700::1", 444, "/?x")),
        ("https://xn--mller-kva.example/", Place("xn--mller-kva.example", 443, "/")),
        ("https://a.example/" + "x" * (MAX_URL - 18), Place("a.example", 443, "/" + "x" * (MAX_URL - 18))),
    ],
)
def test_the_parts_of_a_url(url: str, expected: Place) -> None:
    """The port is 443 and the path is / unless they are given."""
    assert place(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        *("", "lms.example", "http://lms.example/", "ftp://lms.example/", "//lms.example/", "https:lms.example", "https://"),
        *("https://u@lms.example/", "https://u:p@lms.example/", "https://@lms.example/", r"https://lms.example\@evil.example/"),
        *("https://lms.example/#part", "https://lms.example/#", "https://lms.example:0/", "https://lms.example:65536/"),
        *("https://lms.example:x/", "https:// lms.example/", "https://lms.example/a b", "https://lms.example/\r\nX: y"),
        *("https://lms.example/\n", "\thttps://lms.example/", "https://müller.example/", "https://lms.example/ü"),
        *("https://[::1", "https://[fe80::1%25lo]/", "https://%6c/", "https://-a.example/", "https://[v1.x]/", "https://:443/"),
        "https://a.example/" + "x" * (MAX_URL - 17),
    ],
)
def test_what_is_no_url_of_a_receiver(url: str) -> None:
    """Another scheme, credentials, a fragment, or anything that two parsers may read in two ways."""
    assert place(url) is None
