"""The table of overrides in DynamoDB: one row per user, one map attribute per integration type."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import Binary, TypeDeserializer, TypeSerializer

from dispatcher.adapters.aws import unavailable_if_it_fails
from dispatcher.configuration.rows import UserOverrides
from dispatcher.errors import ConditionFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_dynamodb import DynamoDBClient

    from dispatcher.configuration.rows import Override

_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize

Attributes = dict[str, Any]
"""Parameters or attributes of a low-level call."""

Row = dict[str, Any]
"""A row of overrides as plain Python values."""


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
        self._values[placeholder] = _serialize(_storable(value))
        return placeholder

    def assign(self, attribute: str, value: object) -> str:
        """Return ``attribute = value``, for a SET or a condition."""
        return f"{self.name(attribute)} = {self.value(value)}"

    def parameters(self) -> Attributes:
        """Return what a call needs beside its expressions."""
        parameters: Attributes = {}
        if self._names:
            names = {placeholder: name for name, placeholder in self._names.items()}
            parameters["ExpressionAttributeNames"] = names
        if self._values:
            parameters["ExpressionAttributeValues"] = self._values
        return parameters


class OverrideTable:
    """Implements ``ports.Overrides``.

    ``last_write`` holds the token of the row's last writer: a condition that fails on our own
    write, whose answer was lost, is recognised by it. ``version`` begins at the time of the first
    write in milliseconds and grows by one, so that no version comes twice, not even after the row
    was deleted.
    """

    def __init__(self, dynamodb: DynamoDBClient, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def get(self, user_id: str) -> UserOverrides:
        """Return the user's overrides with one consistent read."""
        with unavailable_if_it_fails():
            response = self._dynamodb.get_item(
                TableName=self._table, Key=_key(user_id), ConsistentRead=True
            )
        return user_overrides(response["Item"]) if "Item" in response else UserOverrides()

    def create(
        self, user_id: str, integration_type: str, override: Override, *, now: float, token: str
    ) -> None:
        """Add an override if there is none of this type."""
        terms = Expressions()
        name, version = terms.name(integration_type), terms.name("version")
        self._update(
            user_id,
            f"SET {terms.assign(integration_type, override.as_item())}, "
            f"{terms.assign('last_write', token)}, "
            f"{version} = if_not_exists({version}, {terms.value(int(now * 1000))}) "
            f"+ {terms.value(1)}",
            f"attribute_not_exists({name})",
            terms,
            token,
        )

    def replace(
        self, user_id: str, integration_type: str, override: Override, *, version: int, token: str
    ) -> None:
        """Replace an override if the row is as it was read."""
        terms = Expressions()
        name = terms.name(integration_type)
        self._update(
            user_id,
            f"SET {terms.assign(integration_type, override.as_item())}, "
            f"{terms.assign('last_write', token)}, {terms.assign('version', version + 1)}",
            f"{terms.assign('version', version)} AND attribute_exists({name})",
            terms,
            token,
        )

    def delete(self, user_id: str, integration_type: str, *, token: str) -> None:
        """Remove an override; the row goes with the last one."""
        terms = Expressions()
        name, version = terms.name(integration_type), terms.name("version")
        left = self._update(
            user_id,
            f"SET {terms.assign('last_write', token)}, "
            f"{version} = {version} + {terms.value(1)} REMOVE {name}",
            f"attribute_exists({name})",
            terms,
            token,
        )
        if not UserOverrides.of(left).by_type:
            self._remove_if(user_id, left["version"])

    def clear(self, user_id: str) -> tuple[str, ...]:
        """Remove the whole row at once."""
        with unavailable_if_it_fails():
            response = self._dynamodb.delete_item(
                TableName=self._table, Key=_key(user_id), ReturnValues="ALL_OLD"
            )
        return tuple(user_overrides(response.get("Attributes", {})).by_type)

    def _update(
        self, user_id: str, update: str, condition: str, terms: Expressions, token: str
    ) -> Row:
        try:
            with unavailable_if_it_fails():
                response = self._dynamodb.update_item(
                    TableName=self._table,
                    Key=_key(user_id),
                    UpdateExpression=update,
                    ConditionExpression=condition,
                    ReturnValues="ALL_NEW",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                    **terms.parameters(),
                )
        except ConditionFailed as refused:
            stored = _row(refused.item or {})
            # Our own write, whose response was lost.
            if stored.get("last_write") == token:
                return stored
            raise
        return _row(response["Attributes"])

    def _remove_if(self, user_id: str, version: int) -> None:
        terms = Expressions()
        # If it is refused, an override was created in the meantime, and the row stays.
        with suppress(ConditionFailed), unavailable_if_it_fails():
            self._dynamodb.delete_item(
                TableName=self._table,
                Key=_key(user_id),
                ConditionExpression=f"{terms.name('version')} = {terms.value(version)}",
                **terms.parameters(),
            )


def _key(user_id: str) -> dict[str, Any]:
    return {"user_id": {"S": user_id}}


def user_overrides(item: Mapping[str, Any]) -> UserOverrides:
    """Read a row of the overrides table."""
    return UserOverrides.of(_row(item))


def _storable(value: object) -> object:
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
            return {str(name): _storable(part) for name, part in value.items()}
        case list() | tuple():
            return [_storable(part) for part in value]
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


def _row(attributes: Mapping[str, Any]) -> Row:
    """Read what DynamoDB returned as plain Python values."""
    return {name: _plain(_deserialize(value)) for name, value in attributes.items()}
