"""The texts of recommendations: one catalogue, ``wording.json``, which a file of the operator may replace, also by tenant.

The file is JSON: ``{"default": {key: text}, "tenants": {tenant: {key: text}}}``, both optional, with keys of the catalogue.
A tenant's text is the one of its section, else of ``default``, else of the catalogue.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Formatter
from typing import TypeAlias

import msgspec
from msgspec import Struct

from app.errors import SettingsError
from app.identifiers import Identifier

VARIABLE = "MASTERY_WORDING_FILE"
MAX_BYTES = 1_000_000  # some hundred tenants' own languages
MAX_TEXT = 500  # characters; a response has up to sixty texts

Texts: TypeAlias = Mapping[str, str]

# The placeholders that a text may have, by its key or by what follows the component's name.
_OF_COMPONENTS = {
    "area": set[str](),
    "what": {"amount", "minutes"},
    "what_without_evidence": {"amount", "minutes"},
    "why": {"percent", "goal"},
    "why_without_evidence": {"goal"},
}
_OF_KEYS = {
    "adaptive.found": {"count"},
    "adaptive.nothing_to_improve": {"goal"},
    "path.reaches": {"date", "score"},
    "path.more_minutes": {"date", "score", "days"},
    "path.out_of_reach": {"date", "score", "days"},
    "assumption.completion": {"amount", "minutes", "percent"},
    "assumption.quiz": {"amount", "minutes", "percent"},
    "assumption.quality": {"amount", "minutes", "percent"},
    "assumption.consistency": {"amount", "minutes", "percent"},
    "assumption.first_exercises": {"amount"},
    "assumption.postponed": {"area"},
    "assumption.retention": {"days"},
}


class _WordingFile(Struct, forbid_unknown_fields=True):
    default: dict[str, str] = {}
    tenants: dict[Identifier, dict[str, str]] = {}


class Wording:
    """The texts of every tenant."""

    def __init__(self, default: Texts, tenants: Mapping[str, Texts]) -> None:
        self._default = default
        self._tenants = {tenant: {**default, **texts} for tenant, texts in tenants.items()}

    def of(self, tenant: str) -> Texts:
        """The texts of a tenant, by key; each is a template for ``str.format``."""
        return self._tenants.get(tenant, self._default)


def placeholders(key: str) -> frozenset[str]:
    """The placeholders that the text of a key may have."""
    return frozenset(_OF_KEYS.get(key, set()) | _OF_COMPONENTS.get(key.partition(".")[2], set()))


def text_key(component: str, kind: str, score: float | None) -> str:
    """The key of a component's text: of a ``kind``, for a component with or without evidence."""
    return f"{component}.{kind}{'_without_evidence' if score is None else ''}"


def load_wording(path: str = "") -> Wording:
    """Read the catalogue, with the texts of the file at ``path`` if there is one.

    Returns:
        The texts of every tenant.

    Raises:
        SettingsError: The file cannot be read, or has something that the catalogue does not have; one line for each problem.
    """
    catalogue = msgspec.json.decode(Path(__file__).with_name("wording.json").read_bytes(), type=dict[str, str])
    if not path:
        return Wording(catalogue, {})
    try:
        replaced = msgspec.json.decode(_content(path), type=_WordingFile)
    except OSError as error:
        raise SettingsError(f"{VARIABLE}: {path} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, ValueError) as error:
        raise SettingsError(f"{VARIABLE}: {path}: {error}") from error
    sections = {"default": replaced.default} | {f"tenants.{name}": texts for name, texts in replaced.tenants.items()}
    problems = [
        f"{VARIABLE}: {path}: {section}, {problem}"
        for section, texts in sections.items()
        for problem in _problems(texts, catalogue)
    ]
    if problems:
        raise SettingsError("\n".join(problems))
    return Wording({**catalogue, **replaced.default}, replaced.tenants)


def _content(path: str) -> bytes:
    with Path(path).open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"has more than {MAX_BYTES} bytes")
    return content


def _problems(texts: Texts, catalogue: Texts) -> Iterator[str]:
    for key, text in texts.items():
        if key not in catalogue:
            yield f"{key!r}: there is no such text"
        elif not text.strip() or len(text) > MAX_TEXT:
            yield f"{key!r}: must have 1 to {MAX_TEXT} characters"
        elif problem := _wrong_placeholder(key, text):
            yield f"{key!r}: {problem}"


def _wrong_placeholder(key: str, text: str) -> str:
    """What is wrong with the placeholders of a text; empty if they are those that it may have, without a format."""
    allowed = placeholders(key)
    try:
        used = [(name, form, conversion) for _, name, form, conversion in Formatter().parse(text) if name is not None]
    except ValueError as error:
        return f"{error}; write {{{{ and }}}} for braces"
    for name, form, conversion in used:
        if name not in allowed or form or conversion:
            return f"{{{name}}} is refused; there are {', '.join(f'{{{each}}}' for each in sorted(allowed)) or 'none'}"
    return ""
