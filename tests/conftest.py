"""What every test shares: one torch thread, `--slow`, `--thorough`, and how long Hypothesis may look."""

from __future__ import annotations

import os
import signal
import sys

import pytest
from hypothesis import HealthCheck, settings

# A run in the background of a script's shell ignores Ctrl-C, and so would all that it starts; tests
# interrupt themselves.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# In CI the same examples every time, so that a run says something about the change alone.
settings.register_profile(
    "quick",
    max_examples=30,
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "thorough", max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

# Spawned workers read this when they import torch; this process may have imported it already.
os.environ["OMP_NUM_THREADS"] = "1"

# Nothing is read from what users keep, or written there; tests of that have a folder of their own.
os.environ["SYMNAS_CACHE"] = "off"


LEVELS = {
    "slow": "also run the long tests",
    "thorough": "also run every variant of an algorithm through the whole contract",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--slow` and `--thorough`."""
    for level, text in LEVELS.items():
        parser.addoption(f"--{level}", action="store_true", help=text)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip tests that take long, unless they were asked for."""
    for level in LEVELS:
        if config.getoption(f"--{level}"):
            continue
        skip = pytest.mark.skip(reason=f"{level}: run with --{level}")
        for item in items:
            if level in item.keywords:
                item.add_marker(skip)


@pytest.fixture(autouse=True)
def one_torch_thread() -> None:
    """Hold torch to one thread in every test that has imported it."""
    if "torch" in sys.modules and sys.modules["torch"].get_num_threads() != 1:
        sys.modules["torch"].set_num_threads(1)
