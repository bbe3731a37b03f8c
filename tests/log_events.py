"""The table of log events, as the tests hold every written line to it."""

from __future__ import annotations

import logging

from dispatcher.edges.routes import FALLBACK, PAGES, ROUTES
from dispatcher.events import API, EVENTS

OF_EVERY_RECORD = vars(logging.makeLogRecord({})).keys() | {"message", "taskName"}
OF_EVERY_LINE = {"function_name", "function_request_id", "api_request_id", "stack", "_aws"}


def require_declared(event, fields) -> None:
    """Fail unless a line has all fields that its event declares, and no other."""
    declared = EVENTS[event]
    missing = set(declared.fields) - fields.keys()
    undeclared = fields.keys() - {*declared.fields, *declared.optional}
    assert (missing, undeclared) == (set(), set()), event


def writers(event) -> set[str]:
    """Return the functions that may write an event."""
    functions = {*EVENTS[event].functions}
    if API in functions:
        functions |= {route.function for route in (*ROUTES, *PAGES, FALLBACK)}
    return functions - {API}


def own_fields(record) -> dict[str, object]:
    """Return what a line says about its event: neither its invocation nor its metrics."""
    fields = {k: v for k, v in vars(record).items() if k not in OF_EVERY_RECORD | OF_EVERY_LINE}
    directives = getattr(record, "_aws", {"CloudWatchMetrics": ()})["CloudWatchMetrics"]
    counted = {metric["Name"] for one in directives for metric in one["Metrics"]}
    declared = EVENTS[record.msg].fields
    return {k: v for k, v in fields.items() if k in declared or k not in counted}
