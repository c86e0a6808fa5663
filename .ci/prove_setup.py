"""Runs ``make setup`` in a fresh clone, on every installed supported Python, with the oldest pip that it was released with.

To simulate later releases in the registry, a local folder offers a newer dummy of every package in the lock file. A set-up that
resolves versions would install a dummy, or fail, as pip below 23.3 did on ``coverage[toml]``. Exit code 1 if any set-up fails,
or if Python 3.11 or 3.12 is not installed.
"""

import base64
import hashlib
import os
import re
import shlex
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The pip of ensurepip in the first release of each Python: the oldest that a user can have.
OLDEST_PIP = {"3.11": "22.3", "3.12": "23.2.1", "3.13": "24.2", "3.14": "25.2"}
REQUIRED = {"3.11", "3.12"}  # their pip resolves in the old way, where a set-up is most likely to fail
NEWER = "99999"  # above every real version
SETUP_SECONDS = 600
_PINNED = re.compile(r"^([a-z0-9._-]+)==", re.MULTILINE)


def main() -> int:
    """Test the set-up on each Python. Returns the exit code."""
    pythons = {version: path for version in OLDEST_PIP if (path := _find(version))}
    for version in OLDEST_PIP.keys() - pythons:
        print(f"set-up: NOT TESTED on Python {version}, which is not installed")
    if not pythons.keys() >= REQUIRED:
        print(f"set-up: FAILED: {', '.join(sorted(REQUIRED - pythons.keys()))} must be here to be proven")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        newer = Path(folder, "newer")
        newer.mkdir()
        names = _PINNED.findall((ROOT / "requirements.lock").read_text())
        for name in names:
            _write_dummy(newer, name)
        print(f"set-up: all {len(names)} packages of the lock file are superseded")
        return max(_prove(version, path, Path(folder), newer) for version, path in pythons.items())


def _prove(version: str, python: str, folder: Path, newer: Path) -> int:
    # The path has special characters of shells and configuration files.
    clone = folder / f"-on #{version} 50% é' [a] &;="
    environment = {**os.environ, "PIP_FIND_LINKS": newer.as_uri(), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    pip = f"pip=={OLDEST_PIP[version]}"
    old = _write_python(folder / f"python{version}", python, pip)
    steps = (
        ["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone)],
        ["make", "--silent", "-C", str(clone), f"PYTHON={old}", "setup"],
        [str(clone / ".venv/bin/mastery"), "--help"],
    )
    for step in steps:
        ended = subprocess.run(step, env=environment, capture_output=True, text=True, timeout=SETUP_SECONDS, check=False)
        if ended.returncode:
            print(f"set-up: FAILED on Python {version} with {pip}: {' '.join(step)}\n{ended.stdout}{ended.stderr}")
            return 1
    print(f"set-up: works on Python {version} with {pip}")
    return 0


def _write_python(path: Path, python: str, pip: str) -> Path:
    """Write a script that acts as a Python whose new virtual environments have this pip."""
    path.write_text(
        f"""#!/bin/sh
{shlex.quote(python)} "$@" || exit
case "$*" in "-m venv"*) .venv/bin/python -m pip install --quiet --force-reinstall {pip} ;; esac
"""
    )
    path.chmod(0o700)
    return path


def _find(version: str) -> str | None:
    """An interpreter of this version, on the path or from pyenv, or None."""
    candidates = [f"python{version}", *(f"{prefix}/bin/python" for prefix in _pyenv_prefixes(version))]
    return next((path for path in candidates if _is_python(path)), None)


def _pyenv_prefixes(version: str) -> Iterator[str]:
    try:
        listed = subprocess.run(["pyenv", "versions", "--bare"], capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        return
    for name in listed:
        if name.startswith(f"{version}."):
            yield subprocess.run(["pyenv", "prefix", name], capture_output=True, text=True, check=True).stdout.strip()


def _is_python(path: str) -> bool:
    try:
        return subprocess.run([path, "-c", "import ensurepip, venv"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _write_dummy(folder: Path, name: str) -> None:
    """Write an empty wheel of this package with version ``NEWER``."""
    stem = f"{name.replace('-', '_').replace('.', '_')}-{NEWER}"
    files = {
        f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {NEWER}\n",
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: prove_setup\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={_digest(text)},{len(text)}\n" for path, text in files.items())
    files[f"{stem}.dist-info/RECORD"] = f"{record}{stem}.dist-info/RECORD,,\n"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


if __name__ == "__main__":
    sys.exit(main())
