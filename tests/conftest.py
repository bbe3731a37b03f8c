"""How Hypothesis searches: the same examples in every run, unless somebody asks for more."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "steady",
    deadline=None,
    derandomize=True,
    database=None,
)
# `make fuzz`: other examples in every run; what is found is kept beside the caches and tried first.
settings.register_profile(
    "long",
    deadline=None,
    max_examples=20_000,
    stateful_step_count=80,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("steady")
