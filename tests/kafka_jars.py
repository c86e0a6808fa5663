"""The jars of Apache Kafka, which Maven downloads, and the Java that runs them."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from app.errors import DependencyUnavailable

ROOT = Path(__file__).resolve().parents[1]
POM = ROOT / "deploy" / "kafka" / "pom.xml"
HOME = ROOT / ".kafka"
JARS = HOME / "jars"
KAFKA = "Apache Kafka"
JAVA_VERSION = 17  # the version that the brokers of Kafka 4 are compiled for
FETCH_SECONDS = 300.0  # 45 MB, once


def fetch_jars(folder: Path = JARS) -> Path:
    """The folder with the jars that the pom names; Maven fetches them unless they are there for this very pom.

    Raises DependencyUnavailable without Java 17 or Maven, or when Maven cannot fetch them.
    """
    java()
    wanted = hashlib.sha256(POM.read_bytes()).hexdigest()
    complete = folder / "pom.sha256"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of several test runs downloads them, the others wait
        if not (complete.exists() and complete.read_text() == wanted):
            complete.unlink(missing_ok=True)
            for old in folder.glob("*.jar"):
                old.unlink()
            _copy_dependencies(folder)
            complete.write_text(wanted)
    return folder


def _copy_dependencies(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise DependencyUnavailable("Maven", f"is not installed: `mvn` fetches the jars of {KAFKA}")
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={folder.resolve()}"]
    run([maven, "--batch-mode", "--quiet", "--file", str(POM), *goal], "cannot be fetched")


def java() -> str:
    """The Java that runs Kafka. Raises DependencyUnavailable if there is none, or if it is too old."""
    if sys.platform != "linux":
        raise DependencyUnavailable(KAFKA, "is run from here on Linux only: elsewhere its JVM might outlive this process")
    path = shutil.which("java")
    if path is None:
        raise DependencyUnavailable("Java", f"is not installed: {KAFKA} needs version {JAVA_VERSION} or newer")
    said = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "((\d+)[^"]*)"', said)
    if found is None or int(found[2]) < JAVA_VERSION:
        version = f"is version {found[1]}" if found else "does not say its version"
        raise DependencyUnavailable("Java", f"{version}: {KAFKA} needs {JAVA_VERSION} or newer")
    return path


def environment() -> dict[str, str]:
    """The environment of a JVM, which decodes file names by the locale; with the locale C it only finds ASCII names."""
    return {**os.environ, "LC_ALL": "C.UTF-8"}


def run(command: Sequence[str], failure: str, folder: Path | None = None) -> None:
    """Run a command in a folder until it ends. Raises DependencyUnavailable with the end of its output if it fails."""
    try:
        subprocess.run(
            command,
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=FETCH_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise DependencyUnavailable(KAFKA, f"{failure}: no end within {FETCH_SECONDS:.0f} s") from error
    except subprocess.CalledProcessError as error:
        words = (error.stdout + error.stderr).strip()[:1000]
        raise DependencyUnavailable(KAFKA, f"{failure}: {words}") from error
