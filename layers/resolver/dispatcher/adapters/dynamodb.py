"""Rows as plain Python values in DynamoDB, and the protocol's conditional writes as expressions."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import Binary, TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from dispatcher.adapters.aws import unavailable_if_it_fails
from dispatcher.delivery.ports import Page
from dispatcher.delivery.protocol import Change, Put
from dispatcher.errors import ConditionFailed, DispatcherError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

    from dispatcher.delivery.protocol import Clause, Key, Write
    from dispatcher.delivery.rows import Item

CONFLICT_TRIES = 6
"""Times that a transaction is tried while another one holds a row.

Botocore does not repeat these.
"""

_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize

Attributes = dict[str, Any]


class Expressions:
    """Collects names and values: no reserved word or caller's text stands in an expression."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._values: dict[str, Any] = {}

    def name(self, attribute: str) -> str:
        """Return the placeholder of an attribute."""
        return self._names.setdefault(attribute, f"#n{len(self._names)}")

    def value(self, value: object) -> str:
        """Return the placeholder of a value."""
        placeholder = f":v{len(self._values)}"
        self._values[placeholder] = _serialize(_stored(value))
        return placeholder

    def assign(self, attribute: str, value: object) -> str:
        """Return ``attribute = value``, for a SET or a condition."""
        return f"{self.name(attribute)} = {self.value(value)}"

    def condition(self, clauses: Sequence[Clause]) -> str:
        """Write the clauses as one condition."""
        return " AND ".join(map(self._clause, clauses))

    def _clause(self, clause: Clause) -> str:
        name = self.name(clause.name)
        match clause.test:
            case "absent":
                return f"attribute_not_exists({name})"
            case "present":
                return f"attribute_exists({name})"
            case "equals":
                return self.assign(clause.name, clause.value)
            case "at_most":
                return f"{name} <= {self.value(clause.value)}"
            case "absent_or_above":
                return f"(attribute_not_exists({name}) OR {name} > {self.value(clause.value)})"
            case "absent_or_below":
                return f"(attribute_not_exists({name}) OR {name} < {self.value(clause.value)})"
            case "one_of":
                return f"{name} IN ({', '.join(map(self.value, clause.value))})"

    def update(self, change: Change) -> str:
        """Write the effects of a change."""
        sets = [f"{self.name(name)} = {self.value(value)}" for name, value in change.set.items()]
        sets += [
            f"{self.name(name)} = {self.name(name)} + {self.value(step)}"
            for name, step in change.add.items()
        ]
        parts = [f"SET {', '.join(sets)}"] if sets else []
        if change.remove:
            parts.append(f"REMOVE {', '.join(map(self.name, change.remove))}")
        return " ".join(parts)

    def parameters(self) -> Attributes:
        """Return what a call needs beside its expressions."""
        parameters: Attributes = {}
        if self._names:
            names = {placeholder: name for name, placeholder in self._names.items()}
            parameters["ExpressionAttributeNames"] = names
        if self._values:
            parameters["ExpressionAttributeValues"] = self._values
        return parameters


class DeliveryTable:
    """Implements ``ports.Deliveries`` on one table with a sparse index ``sweep``."""

    def __init__(
        self,
        dynamodb: DynamoDBClient,
        table: str,
        *,
        token: Callable[[], str],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._token = token
        self._pause = pause

    def get(self, key: Key) -> Item | None:
        """Return one row, consistently."""
        with unavailable_if_it_fails():
            answer = self._dynamodb.get_item(
                TableName=self._table, Key=_key(key), ConsistentRead=True
            )
        return from_item(answer["Item"]) if "Item" in answer else None

    def apply(self, key: Key, change: Change) -> Item:
        """Change one row if its conditions hold."""
        terms = Expressions()
        update: Attributes = {
            "TableName": self._table,
            "Key": _key(key),
            "UpdateExpression": terms.update(change),
            "ConditionExpression": terms.condition(change.when),
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            **terms.parameters(),
        }
        answer = self._despite_conflicts(lambda: self._dynamodb.update_item(**update), refusal)
        return from_item(answer["Attributes"])

    def commit(self, writes: Sequence[Write]) -> None:
        """Do all writes or none.

        One token for all tries, so that an answer lost on the way is no second write.
        """
        request: Attributes = {
            "TransactItems": [self._part(write) for write in writes],
            "ClientRequestToken": self._token(),
        }
        self._despite_conflicts(
            lambda: self._dynamodb.transact_write_items(**request), _cancellation
        )

    def _despite_conflicts(
        self, call: Callable[[], Any], told: Callable[[ClientError], DispatcherError | None]
    ) -> Any:  # noqa: ANN401 - whatever the call answers
        """Call again, after growing pauses, while another transaction holds a row."""
        for attempt in range(CONFLICT_TRIES):
            with unavailable_if_it_fails():
                try:
                    return call()
                except ClientError as error:
                    if not _in_conflict(error) or attempt == CONFLICT_TRIES - 1:
                        raise told(error) or error from error
            self._pause(0.02 * 2**attempt)
        raise AssertionError("unreachable")  # pragma: no cover - the last try returns or raises

    def remove(self, key: Key) -> Item | None:
        """Remove one row."""
        with unavailable_if_it_fails():
            answer = self._dynamodb.delete_item(
                TableName=self._table, Key=_key(key), ReturnValues="ALL_OLD"
            )
        return from_item(answer["Attributes"]) if "Attributes" in answer else None

    def listing(
        self,
        user_id: str,
        prefix: str,
        *,
        limit: int,
        newest_first: bool,
        now: float,
        after: str | None = None,
        equal: Mapping[str, str] | None = None,
        without: tuple[str, ...] = (),
    ) -> Page:
        """Return rows in key order; without filters a page is full or the last."""
        terms = Expressions()
        ttl = terms.name("ttl")
        filters = [f"(attribute_not_exists({ttl}) OR {ttl} >= {terms.value(now)})"]
        filters += [terms.assign(name, value) for name, value in (equal or {}).items()]
        query: Attributes = {
            "TableName": self._table,
            "KeyConditionExpression": f"{terms.name('user_id')} = {terms.value(user_id)} "
            f"AND begins_with({terms.name('sk')}, {terms.value(prefix)})",
            "FilterExpression": " AND ".join(filters),
            "ScanIndexForward": not newest_first,
            "ConsistentRead": True,
            **terms.parameters(),
        }
        rows: list[Item] = []
        while True:
            # One more than asked for tells whether this is the last page.
            query["Limit"] = limit + 1 - len(rows)
            if after is not None:
                query["ExclusiveStartKey"] = _key((user_id, after))
            with unavailable_if_it_fails():
                answer = self._dynamodb.query(**query)
            rows += [from_item(item) for item in answer["Items"]]
            after = _last(answer)
            if len(rows) > limit:
                return Page(tuple(_without(rows[:limit], without)), rows[limit - 1]["sk"])
            if after is None or equal:
                return Page(tuple(_without(rows, without)), after)

    def skip(self, user_id: str, prefix: str, count: int) -> str | None:
        """Count rows without reading them over the wire.

        The cost in read units stays that of reading them.
        """
        terms = Expressions()
        query: Attributes = {
            "TableName": self._table,
            "KeyConditionExpression": f"{terms.name('user_id')} = {terms.value(user_id)} "
            f"AND begins_with({terms.name('sk')}, {terms.value(prefix)})",
            "ScanIndexForward": False,
            "ConsistentRead": True,
            "Select": "COUNT",
            **terms.parameters(),
        }
        after: str | None = None
        while count > 0:
            with unavailable_if_it_fails():
                answer = self._dynamodb.query(Limit=count, **query)
            count -= answer["Count"]
            after = _last(answer)
            if after is None:
                return None
            query["ExclusiveStartKey"] = _key((user_id, after))
        return after

    def due(self, shard: int, now: float) -> Iterator[Item]:
        """Yield what the sweep index shows as due in one shard, oldest first."""
        terms = Expressions()
        query: Attributes = {
            "TableName": self._table,
            "IndexName": "sweep",
            "KeyConditionExpression": f"{terms.name('sweep_shard')} = {terms.value(shard)} "
            f"AND {terms.name('sweep_at')} <= {terms.value(now)}",
            **terms.parameters(),
        }
        while True:
            with unavailable_if_it_fails():
                answer = self._dynamodb.query(**query)
            yield from map(from_item, answer["Items"])
            if "LastEvaluatedKey" not in answer:
                return
            query["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def _part(self, write: Write) -> Attributes:
        terms = Expressions()
        if isinstance(write.step, Put):
            item = {name: _serialize(_stored(value)) for name, value in write.step.item.items()}
            condition = terms.condition(write.step.when)
            return {"Put": {"Item": item, **self._conditions(condition, terms)}}
        update, condition = terms.update(write.step), terms.condition(write.step.when)
        common = {"Key": _key(write.key), **self._conditions(condition, terms)}
        return (
            {"Update": {**common, "UpdateExpression": update}}
            if update
            else {"ConditionCheck": common}
        )

    def _conditions(self, condition: str, terms: Expressions) -> Attributes:
        return {
            "TableName": self._table,
            "ConditionExpression": condition,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            **terms.parameters(),
        }


def _key(key: Key) -> Attributes:
    return {"user_id": {"S": key[0]}, "sk": {"S": key[1]}}


def _last(answer: Mapping[str, Any]) -> str | None:
    """Return the sort key that a query stopped at, ``None`` where it saw all."""
    key = answer.get("LastEvaluatedKey")
    return str(from_item(key)["sk"]) if key else None


def _stored(value: object) -> object:
    """Turn Python's values into those that the serializer takes.

    A float comes back as the very same float.
    """
    match value:
        case bool() | int() | bytes() | None:
            return value
        case float():
            return Decimal(repr(value))
        case str():
            # A plain str: the serializer does not know enumerations.
            return str(value)
        case dict():
            return {str(name): _stored(part) for name, part in value.items()}
        case list() | tuple():
            return [_stored(part) for part in value]
        case _:
            message = f"a {type(value).__name__} cannot be stored"
            raise TypeError(message)


def _plain(value: object) -> Any:  # noqa: ANN401 - any stored value
    match value:
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case Binary():
            return bytes(value.value)  # type: ignore[attr-defined]  # missing in the stubs
        case dict():
            return {name: _plain(part) for name, part in value.items()}
        case list():
            return [_plain(part) for part in value]
        case _:
            return value


def from_item(attributes: Mapping[str, Any]) -> Item:
    """Read what DynamoDB returned as plain Python values."""
    return {name: _plain(_deserialize(value)) for name, value in attributes.items()}


def _without(rows: list[Item], names: tuple[str, ...]) -> Iterator[Item]:
    for row in rows:
        yield {name: value for name, value in row.items() if name not in names}


def refusal(error: ClientError) -> ConditionFailed | None:
    """Read a refused condition, or return ``None`` for an error of another kind."""
    answer: Mapping[str, Any] = error.response
    if answer["Error"]["Code"] != "ConditionalCheckFailedException":
        return None
    return ConditionFailed({0: from_item(answer["Item"]) if answer.get("Item") else None})


def _reasons(error: ClientError) -> list[Attributes]:
    answer: Mapping[str, Any] = error.response
    reasons: list[Attributes] = answer.get("CancellationReasons", [])
    return reasons


def _in_conflict(error: ClientError) -> bool:
    held = {"TransactionInProgressException", "TransactionConflictException"}
    if error.response["Error"]["Code"] in held:
        return True
    codes = {reason.get("Code") for reason in _reasons(error)}
    return "TransactionConflict" in codes and "ConditionalCheckFailed" not in codes


def _cancellation(error: ClientError) -> ConditionFailed | UnavailableError | None:
    refused = {
        index: from_item(reason["Item"]) if reason.get("Item") else None
        for index, reason in enumerate(_reasons(error))
        if reason.get("Code") == "ConditionalCheckFailed"
    }
    if refused:
        return ConditionFailed(refused)
    codes = {
        reason["Code"] for reason in _reasons(error) if reason.get("Code") not in {None, "None"}
    }
    return (
        UnavailableError(f"TransactWriteItems was cancelled: {', '.join(sorted(codes))}")
        if codes
        else None
    )
