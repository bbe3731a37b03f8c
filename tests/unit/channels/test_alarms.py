"""One thread calls back at the times that were asked for."""

from __future__ import annotations

import queue
import threading

import pytest

from channels.alarms import Alarms

LONG = 60.0
"""Seconds that no test waits for."""


@pytest.fixture
def rung():
    """The marks of the alarms that rang, in order."""
    return queue.SimpleQueue()


def test_an_alarm_rings_after_its_time(rung):
    """Once, in a separate thread."""
    Alarms().set(0.001, lambda: rung.put(threading.current_thread().name))

    assert rung.get(timeout=10) == "alarms"
    assert rung.empty()


def test_alarms_ring_in_the_order_of_their_times(rung):
    """Also one that was set while another, later one was waited for."""
    alarms = Alarms()
    alarms.set(LONG, lambda: rung.put("last"))
    alarms.set(0.05, lambda: rung.put("second"))

    alarms.set(0.001, lambda: rung.put("first"))

    assert [rung.get(timeout=10), rung.get(timeout=10)] == ["first", "second"]
    assert rung.empty()


def test_an_alarm_that_is_called_off_does_not_ring(rung):
    """The next one does."""
    gate = threading.Event()
    alarms = Alarms()
    alarms.set(0, gate.wait)
    alarm = alarms.set(0, lambda: rung.put("called off"))
    alarms.set(0, lambda: rung.put("next"))

    alarm.cancel()
    gate.set()

    assert rung.get(timeout=10) == "next"


def test_alarms_ring_again_after_a_thread_could_not_begin(rung, monkeypatch):
    """Where the machine has no thread left, one send fails, and not all that follow."""

    def exhausted(_thread):
        raise RuntimeError("can't start new thread")

    alarms = Alarms()
    with monkeypatch.context() as machine:
        machine.setattr(threading.Thread, "start", exhausted)
        with pytest.raises(RuntimeError):
            alarms.set(LONG, lambda: rung.put("last"))

    alarms.set(0, lambda: rung.put("rings"))

    assert rung.get(timeout=10) == "rings"


def test_the_thread_ends_with_the_last_alarm_and_begins_anew(rung):
    """A caller that sends nothing keeps no thread."""
    alarms = Alarms()
    alarms.set(0.001, lambda: rung.put(threading.current_thread()))
    first = rung.get(timeout=10)

    first.join(10)
    alarms.set(0.001, lambda: rung.put(threading.current_thread()))

    assert (first.is_alive(), rung.get(timeout=10) is first) == (False, False)
