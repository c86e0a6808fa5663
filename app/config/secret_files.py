"""Secrets in files, as orchestrators mount them: ``MASTERY_JWT_SECRET_FILE`` for ``MASTERY_JWT_SECRET``, and so on."""

from collections.abc import Iterable, Mapping
from pathlib import Path

FILE_SUFFIX = "_FILE"
MAX_BYTES = 2000  # above any secret or URL; bounds the read of an endless device


def with_secret_files(environ: Mapping[str, str], names: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Read the variables of these names from their files, where set. Returns all variables, and one line per problem."""
    variables, problems = dict(environ), []
    for name in names:
        file = f"{name}{FILE_SUFFIX}"
        path = environ.get(file, "")
        if not path:
            continue
        if environ.get(name):
            problems.append(f"{file}: {name} is set as well; set one of them")
        else:
            try:
                variables[name] = _read(Path(path))
            except ValueError as error:
                problems.append(f"{file}: {path} {error}")
    return variables, problems


def _read(path: Path) -> str:
    """A file's content without the line end. Raises ValueError with the problem, without the content."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        text = content.decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ValueError("is not text in UTF-8") from None
    if not text.strip():
        raise ValueError("is empty")
    if len(content) > MAX_BYTES or "\n" in text or "\0" in text:
        raise ValueError(f"holds more than one line of {MAX_BYTES} bytes")
    return text
