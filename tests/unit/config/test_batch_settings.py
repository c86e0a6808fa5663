"""The settings of batches and their callbacks."""

from ipaddress import ip_network

import pytest

from app.config.batch_settings import networks
from app.config.settings import load_settings
from app.errors import SettingsError


def test_networks_of_both_kinds() -> None:
    """Separated by commas; none by default."""
    assert networks(load_settings({}).callback_private_networks) == []
    assert networks("10.1.0.0/16, fd00:1::/32,192.168.1.1") == [
        ip_network(each) for each in ("10.1.0.0/16", "fd00:1::/32", "192.168.1.1/32")
    ]


@pytest.mark.parametrize("wrong", ["on", "10.1.0.0/33", "10.1.0.1/16", "10.0.0.0-10.1.0.0", "intranet.example"])
def test_what_is_no_network_is_refused(wrong: str) -> None:
    """A host within a network is none either: perhaps only the host was meant."""
    with pytest.raises(SettingsError, match=r"^MASTERY_CALLBACK_PRIVATE_NETWORKS: .*must be networks, as in 10"):
        load_settings({"MASTERY_CALLBACK_PRIVATE_NETWORKS": f"fd00::/8, {wrong}"})


def test_a_ca_file_that_is_not_there_is_named() -> None:
    """Before anything connects."""
    with pytest.raises(SettingsError, match=r"^MASTERY_CALLBACK_CA_FILE: /nowhere\.pem cannot be read$"):
        load_settings({"MASTERY_CALLBACK_CA_FILE": "/nowhere.pem"})
