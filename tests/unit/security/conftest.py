"""Keys of an identity provider on a real web server, and a clock that tests control."""

import pytest

from app.security.signing_keys import SigningKeys
from tests.identity_provider import IdentityProvider, ec_key, rsa_key

RSA, EC = rsa_key(), ec_key()


class Time:
    """A clock in seconds that tests advance."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def keys(provider: IdentityProvider, clock: Time) -> SigningKeys:
    return SigningKeys(provider.url, clock)
