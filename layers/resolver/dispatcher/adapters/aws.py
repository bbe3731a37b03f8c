"""Clients of AWS, made once and on first use, and their errors in our own words."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from dispatcher.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Seconds and tries that leave room to record an outcome within an invocation's and a lease's rest.
CONFIG = Config(
    connect_timeout=1, read_timeout=3, retries={"total_max_attempts": 3, "mode": "standard"}
)


@cache
def client(service: str) -> Any:  # noqa: ANN401 - each adapter names the client it takes
    """Return the shared client of a service."""
    make: Any = boto3.client  # its overloads name every service; ours is not known before it runs
    return make(service, config=CONFIG)


@contextmanager
def unavailable_if_it_fails() -> Iterator[None]:
    """Turn an AWS error into ``UnavailableError``: operation and code, never the input."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        raise UnavailableError(f"{error.operation_name} failed: {code}") from error
    except BotoCoreError as error:
        raise UnavailableError(f"AWS did not answer: {type(error).__name__}") from error
