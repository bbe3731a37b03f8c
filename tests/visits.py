"""Steps of the tests about visits: send a message, rehearse outcomes, disturb calls."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dispatcher.delivery.outcomes import Delivered, Permanent, Retry
from tests.fakes import Faulty

if TYPE_CHECKING:
    from collections.abc import Callable

    from dispatcher.delivery.outcomes import Outcome
    from tests.world import World

BUSY = Retry("http_503", "the receiver returned 503")
NOT_FOUND = Permanent("http_404", "the receiver returned 404")
SMS = {"enabled": True, "config": {"phone_number": "+14155552671"}}
"""An override for an integration that is not configured on this system."""


def send(world: World, *types: str, **body: object) -> list[str]:
    """Accept a message over some integrations (TEST alone by default); forget its ring."""
    chosen = list(types or ["TEST"])
    ids = world.send(**{"request_id": "r-1", "integration_types": chosen, **body})
    world.doorbells.taken()
    return ids


def visit(world: World, delivery_id: str) -> None:
    """Let the worker handle a doorbell for the delivery's due time."""
    world.handle(world.doorbell(delivery_id))


def rehearse(
    world: World, *outcomes: Outcome | Exception | Callable[[], Outcome], name: str = "TEST"
) -> None:
    """Give the next sends over an integration these outcomes."""
    world.channels[name].outcomes += outcomes


def slowly(world: World, seconds: float, outcome: Outcome | None = None) -> Callable[[], Outcome]:
    """Return an outcome for ``rehearse`` that comes after so many seconds."""

    def send_slowly() -> Outcome:
        world.clock.advance(seconds)
        return outcome or Delivered()

    return send_slowly


def sends(world: World, name: str = "TEST") -> int:
    """Return how often an integration sent."""
    return len(world.channels[name].messages)


def statuses(world: World, ids: list[str]) -> list[tuple[str, str | None]]:
    """Return status and error code of each delivery."""
    deliveries = [world.delivery(delivery_id) for delivery_id in ids]
    return [(str(delivery.status), delivery.error_code) for delivery in deliveries]


def ring_for(world: World, delivery_id: str, delay: int) -> tuple[str, object, int]:
    """Return the ring for a delivery's due time as the queues keep it."""
    return ("retry", world.doorbell(delivery_id), delay)


def disturb(world: World, *fates: str | Callable[[], object], method: str = "write") -> None:
    """Let the next calls of a table's or a queue's method meet these fates, one after the other.

    A fate is one of those of ``Faulty``, or a function that is called directly before the call.
    The calls are those of the worker and of the API, not those of the sweeper.
    """
    left = list(fates)

    def meet(_: str) -> str:
        fate = left.pop(0) if left else ""
        if isinstance(fate, str):
            return fate
        fate()
        return ""

    intercept(world, meet, method)


def count_calls(world: World) -> list[str]:
    """Return a list that gets the name of each call to the table and the queues."""
    calls: list[str] = []

    def count(name: str) -> str:
        calls.append(name)
        return ""

    tables = ("message", "visit", "create", "write")
    intercept(world, count, *tables, "ring_first", "ring", "send_dead_letter", "park")
    return calls


def intercept(world: World, fate: Callable[[str], str], *methods: str) -> None:
    """Let the calls of these methods by the worker and by the API meet a fate."""
    context = world.worker.context
    messages = Faulty(context.messages, fate, *methods)
    doorbells = Faulty(context.doorbells, fate, *methods)
    context = replace(context, messages=messages, doorbells=doorbells)
    world.rounds = replace(world.rounds, context=context)
    world.worker = replace(world.worker, context=context, rounds=world.rounds)


def break_overrides(world: World, fate: Callable[[str], str], method: str = "get") -> None:
    """Let the worker's calls of a method of the overrides meet a fate."""
    overrides = Faulty(world.overrides, fate, method)
    builder = replace(world.builder, overrides=overrides)
    world.worker = replace(world.worker, builder=builder)


def overtaken(world: World, delivery_id: str, outcome: Outcome) -> Callable[[], Outcome]:
    """Return an outcome for ``rehearse`` that comes after another worker has taken over."""

    def send_too_long() -> Outcome:
        world.clock.advance(61)
        world.another_claims(delivery_id)
        return outcome

    return send_too_long
