"""Settings for display: without secrets, and URLs without user names and passwords."""

from app.config.secret_settings import SECRET_FIELDS
from app.config.settings import VARIABLES, Settings


def redacted(settings: Settings) -> dict[str, str]:
    """Every variable and its value as text; secrets and credentials in URLs are replaced by ``***``."""
    return {variable: _redact(field.name, str(getattr(settings, field.name))) for variable, field in VARIABLES.items()}


def _redact(name: str, value: str) -> str:
    if name in SECRET_FIELDS:
        return "***" if value else ""
    return without_credentials(value)


def without_credentials(value: str) -> str:
    """Replace the credentials and the query of a URL by ``***``; returns any other text unchanged."""
    scheme, separator, rest = value.partition("://")
    if not separator:
        return value
    rest, query, _ = rest.partition("?")  # the query may contain a password too
    credentials, at, place = rest.rpartition("@")
    return f"{scheme}://{'***@' if credentials or at else ''}{place}{'?***' if query else ''}"
