"""How the suite runs: what takes long comes first, and Hypothesis tries the same every time."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.browser import chromium as chromium  # noqa: PLC0414 - a fixture of several folders

settings.register_profile(
    "steady",
    deadline=None,
    derandomize=True,
    database=None,
)
# `make fuzz`: other examples in every run; each finding is kept beside the caches and tried first.
settings.register_profile(
    "long",
    deadline=None,
    max_examples=20_000,
    stateful_step_count=80,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("steady")

LONG = {"test_scenarios.py"}
"""Files that take a minute, although they need no cloud."""


def pytest_collection_modifyitems(items):
    """Begin with what takes minutes: files of seconds then keep every worker busy to the end.

    It works with `--no-loadscope-reorder`; else xdist begins with the files of the most tests.
    """
    items.sort(key=lambda item: ("e2e" not in item.path.parts, item.path.name not in LONG))
