"""``make audit``: finds vulnerable dependencies, insecure code, and secrets in the repository.

Exit code 1 if it finds any. If the vulnerability database cannot be reached, it checks the rest, prints as last line that the
audit is not complete, and exits with 3.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CODE = ["app", "api", "cli", "consumers", "tasks", "celeryconfig.py", "flowerconfig.py"]
LOCK_FILE = "requirements.lock"
BASELINE = ".secrets.baseline"  # hashes of false positives
PLACES_MOVED = 3  # detect-secrets' exit code if there are no new findings, but it updated line numbers in the baseline
ANSWER_SECONDS = 300
INCOMPLETE = 3  # nothing was found, but not everything was checked


def main() -> int:
    """Run the three checks. Returns the exit code."""
    dependencies, code, secrets = _dependencies(), _code(), _secrets()
    found = code or secrets or dependencies not in {0, INCOMPLETE}
    if dependencies == INCOMPLETE:
        print("audit: NOT COMPLETE: no dependency was checked, since the vulnerability database cannot be reached")
    else:
        print("audit: complete")
    return 1 if found else dependencies


def _dependencies() -> int:
    """Check the dependencies. Returns 0, 1 if one is vulnerable, or INCOMPLETE if none could be checked."""
    ended = _run(
        "pip_audit", "--require-hashes", "--disable-pip", "--requirement", LOCK_FILE, "--format=json", "--progress-spinner=off"
    )
    try:
        dependencies: list[dict[str, Any]] = json.loads(ended.stdout)["dependencies"]
    except ValueError:
        print("pip-audit:", *ended.stderr.strip().splitlines()[-1:])
        return INCOMPLETE
    vulnerable = [each for each in dependencies if each.get("vulns")]
    unknown = [each["name"] for each in dependencies if "skip_reason" in each]
    for each in vulnerable:
        for found in each["vulns"]:
            print(
                f"pip-audit: {each['name']} {each['version']}: {found['id']}, fixed in {found['fix_versions'] or 'no version'}"
            )
    checked = len(dependencies) - len(unknown)
    names = ", ".join(unknown) if checked else "all"
    print(f"pip-audit: {checked} packages checked, {len(vulnerable)} vulnerable; unknown: {names or 'none'}")
    return int(bool(vulnerable)) if checked else INCOMPLETE


def _code() -> int:
    ended = _run("bandit", "--quiet", "--configfile", "pyproject.toml", "--recursive", *CODE)
    print(ended.stdout or "bandit: nothing found")
    return ended.returncode


def _secrets() -> int:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    # Lock files have nothing but names and hashes of packages.
    files = [name for name in tracked.split("\0") if name and name != BASELINE and not name.endswith(".lock")]
    ended = _run("detect_secrets.pre_commit_hook", "--baseline", BASELINE, *files)
    if ended.returncode == PLACES_MOVED:
        print(
            f"detect-secrets: none in {len(files)} files; line numbers in {BASELINE} were updated, commit it with your change"
        )
        return 0
    print(ended.stdout or f"detect-secrets: none in {len(files)} files")
    return ended.returncode


def _run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False)


if __name__ == "__main__":
    sys.exit(main())
