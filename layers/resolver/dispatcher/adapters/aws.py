"""AWS clients, built once on first use, and the conversion of their errors."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.loaders import Loader

from dispatcher import VERSION
from dispatcher.errors import ConditionFailed, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECT_TIMEOUT = 1
READ_TIMEOUT = 3
"""Seconds; short enough to record an outcome before the invocation or the lease ends."""

CONNECTIONS = 64
"""Connections to one service that are kept: the sweeper has so many threads, others far fewer."""

_MAKING = threading.Lock()
"""Guards boto3's client factory, which is not thread-safe."""


@cache
def client(service: str, tries: int = 3) -> Any:  # noqa: ANN401 - each adapter names what it takes
    """Return the shared client of a service; every call is tried so many times."""
    config = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        max_pool_connections=CONNECTIONS,
        retries={"total_max_attempts": tries, "mode": "standard"},
        # Validation reads every value of every row: 1/6 of the time of a send. AWS validates too.
        parameter_validation=False,
        # A shared one: boto3's is created again for every call.
        user_agent=f"integration-dispatcher/{VERSION}",
    )
    make: Any = boto3.client  # its overloads name every service; ours is not known before it runs
    with _MAKING:
        if boto3.DEFAULT_SESSION is None:
            core = botocore.session.get_session()
            core.register_component("data_loader", _Loader())
            boto3.setup_default_session(botocore_session=core)
        return make(service, config=config)


class _Loader(Loader):
    """Finds the model of a service by its name.

    Boto3's own loader first lists the folders of all services, about a thousand, only to reject
    unknown names. Without the list, an unknown name is rejected a step later.
    """

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002 - boto3's own
        return _AnyName()


class _AnyName(list[str]):
    """Holds every name."""

    def __contains__(self, name: object) -> bool:
        return True


@contextmanager
def unavailable_if_it_fails() -> Iterator[None]:
    """Turn an AWS error into ``UnavailableError``: operation and code, never the input.

    A refused condition becomes ``ConditionFailed`` with the item that refused it.
    """
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        if code == "ConditionalCheckFailedException":
            response: dict[str, Any] = {**error.response}
            raise ConditionFailed(response.get("Item")) from error
        raise UnavailableError(f"{error.operation_name} failed: {code}") from error
    except BotoCoreError as error:
        raise UnavailableError(f"AWS did not respond: {type(error).__name__}") from error
