"""How the suite runs: what takes long comes first, and Hypothesis tries the same every time."""

from __future__ import annotations

import gc

import pytest
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

LONGEST = (
    "e2e/test_deploy.py",
    "e2e/test_added_integration.py",
    "delivery/test_scenarios.py",
    "e2e/test_demo.py",
    "e2e/test_fuzz.py",
    "e2e/test_make_up.py",
    "e2e/test_readme.py",
    "e2e/test_parameters.py",
    "e2e/test_chaos.py",
    "e2e/test_authentication.py",
    "e2e/test_accepting.py",
    "delivery/test_promises.py",
)
"""Files that take 10 s to a minute, the longest first.

The second and the third need no build: the other workers wait while the first one makes it.
"""


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Keep the garbage collector away from the tests: they live until the end.

    It would look through 11,000 of them again and again, for half of the time of the collection.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items):
    """Begin with what takes minutes: files of seconds then keep every worker busy to the end.

    It works with `--no-loadscope-reorder`; else xdist begins with the files of the most tests.
    """
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(
        key=lambda item: (
            places.get(f"{item.path.parent.name}/{item.path.name}", len(LONGEST)),
            "e2e" not in item.path.parts,
        )
    )
