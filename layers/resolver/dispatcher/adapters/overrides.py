"""The table of overrides in DynamoDB.

One row per user: one map attribute per integration type, one for the preferences, and one per
suppressed address. One row more holds the categories.
"""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import Binary, TypeDeserializer, TypeSerializer

from dispatcher.adapters.aws import unavailable_if_it_fails
from dispatcher.configuration.rows import Policy, UserOverrides, suppression_attribute
from dispatcher.errors import ConditionFailed, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.literals import ReturnValueType

    from dispatcher.configuration.rows import Override, Preferences, Suppression

_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize

Attributes = dict[str, Any]
"""Parameters or attributes of a low-level call."""

Row = dict[str, Any]
"""A row of overrides as plain Python values."""

POLICY_KEY = "!policy"
"""The key of the row with the categories: no user ID begins with ``!``."""

SUPPRESSED = "suppressed"
"""The attribute with the number of suppressions, absent for none.

Each suppression is an attribute with another name, so a condition needs this count.
"""

CLEAR_TRIES = 4
"""Attempts of ``clear``, which begins again if another part was added or removed meanwhile."""


class Expressions:
    """Collects names and values, so that expressions contain only placeholders."""

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
        """Return a call's parameters for the placeholders."""
        parameters: Attributes = {}
        if self._names:
            names = {placeholder: name for name, placeholder in self._names.items()}
            parameters["ExpressionAttributeNames"] = names
        if self._values:
            parameters["ExpressionAttributeValues"] = self._values
        return parameters


class _Table:
    """Writes rows of the table, and recognizes its own write if the response was lost."""

    def __init__(self, dynamodb: DynamoDBClient, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def _update(
        self,
        user_id: str,
        update: str,
        condition: str,
        terms: Expressions,
        token: str,
        *,
        returned: ReturnValueType = "ALL_NEW",
    ) -> Row:
        """Return the row after the write, or before it; after it if the response was lost."""
        try:
            with unavailable_if_it_fails():
                response = self._dynamodb.update_item(
                    TableName=self._table,
                    Key=_key(user_id),
                    UpdateExpression=update,
                    ConditionExpression=condition,
                    ReturnValues=returned,
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                    **terms.parameters(),
                )
        except ConditionFailed as refused:
            stored = _row(refused.item or {})
            # This call's own write, whose response was lost.
            if stored.get("last_write") == token:
                return stored
            raise
        return _row(response["Attributes"])


class OverrideTable(_Table):
    """Implements ``ports.Overrides``.

    ``last_write`` holds the token of the row's last writer. If a response was lost and the repeated
    write is refused, this token shows that the first one succeeded. ``version`` begins at the time
    of the first write in milliseconds and grows by one, so that no version is used twice, even
    after the row was deleted.
    """

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
        """Replace an override if the row has not changed since it was read."""
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

    def delete(self, user_id: str, integration_type: str, *, token: str) -> Override | None:
        """Remove an override, and the row with its last part; return it if the response came."""
        terms = Expressions()
        name, version = terms.name(integration_type), terms.name("version")
        row = self._update(
            user_id,
            f"SET {terms.assign('last_write', token)}, "
            f"{version} = {version} + {terms.value(1)} REMOVE {name}",
            f"attribute_exists({name})",
            terms,
            token,
            returned="ALL_OLD",
        )
        removed = UserOverrides.of(row).by_type.get(integration_type)
        if removed is not None:
            del row[integration_type]
            row["version"] += 1
        self._remove_if_empty(user_id, row)
        return removed

    def clear(self, user_id: str, *, token: str) -> Mapping[str, Override]:
        """Remove the row in one write, or only its overrides if it has another part."""
        terms = Expressions()
        alone = (
            f"attribute_not_exists({terms.name('preferences')}) "
            f"AND attribute_not_exists({terms.name(SUPPRESSED)})"
        )
        for _ in range(CLEAR_TRIES):
            try:
                with unavailable_if_it_fails():
                    response = self._dynamodb.delete_item(
                        TableName=self._table,
                        Key=_key(user_id),
                        ConditionExpression=alone,
                        ReturnValues="ALL_OLD",
                        ReturnValuesOnConditionCheckFailure="ALL_OLD",
                        **terms.parameters(),
                    )
            except ConditionFailed as refused:
                stored = UserOverrides.of(_row(refused.item or {}))
                with suppress(ConditionFailed):
                    self._clear_beside_others(user_id, stored, token)
                    return stored.by_type
            else:
                return user_overrides(response.get("Attributes", {})).by_type
        raise UnavailableError("the row of overrides is being changed by others")

    def _clear_beside_others(self, user_id: str, stored: UserOverrides, token: str) -> None:
        """Remove the overrides of a row that has not changed since it was read."""
        if not stored.by_type:
            return
        terms = Expressions()
        removed = ", ".join(terms.name(name) for name in stored.by_type)
        self._update(
            user_id,
            f"SET {terms.assign('last_write', token)}, "
            f"{terms.assign('version', stored.version + 1)} REMOVE {removed}",
            terms.assign("version", stored.version),
            terms,
            token,
        )

    def set_preferences(
        self, user_id: str, preferences: Preferences, *, version: int, now: float, token: str
    ) -> int:
        """Store preferences if the row has not changed since it was read."""
        terms = Expressions()
        new_version = (version or int(now * 1000)) + 1
        row = self._update(
            user_id,
            f"SET {terms.assign('preferences', preferences.as_item())}, "
            f"{terms.assign('last_write', token)}, {terms.assign('version', new_version)}",
            _as_read(terms, version),
            terms,
            token,
        )
        return int(row["version"])

    def delete_preferences(self, user_id: str, *, token: str, version: int | None = None) -> bool:
        """Remove the preferences, and the row with its last part."""
        terms = Expressions()
        name, attribute = terms.name("preferences"), terms.name("version")
        condition = f"attribute_exists({name})"
        if version is not None:
            condition += f" AND {terms.assign('version', version)}"
        try:
            left = self._update(
                user_id,
                f"SET {terms.assign('last_write', token)}, "
                f"{attribute} = {attribute} + {terms.value(1)} REMOVE {name}",
                condition,
                terms,
                token,
            )
        except ConditionFailed:
            if version is not None:
                raise
            return False
        self._remove_if_empty(user_id, left)
        return True

    def set_suppressions(
        self,
        user_id: str,
        suppressions: Mapping[str, Suppression],
        *,
        stored: UserOverrides,
        now: float,
        token: str,
    ) -> None:
        """Write the suppressions that differ if the row is as it was read."""
        terms = Expressions()
        assigned = [
            terms.assign("last_write", token),
            terms.assign("version", (stored.version or int(now * 1000)) + 1),
        ]
        removed = [
            terms.name(suppression_attribute(one))
            for one in stored.suppressions
            if one not in suppressions
        ]
        for one, suppression in suppressions.items():
            if stored.suppressions.get(one) != suppression:
                assigned.append(terms.assign(suppression_attribute(one), suppression.as_item()))
        if suppressions:
            assigned.append(terms.assign(SUPPRESSED, len(suppressions)))
        else:
            removed.append(terms.name(SUPPRESSED))
        left = self._update(
            user_id,
            f"SET {', '.join(assigned)}" + (f" REMOVE {', '.join(removed)}" if removed else ""),
            _as_read(terms, stored.version),
            terms,
            token,
        )
        self._remove_if_empty(user_id, left)

    def _remove_if_empty(self, user_id: str, left: Row) -> None:
        if not UserOverrides.of(left).is_empty:
            return
        terms = Expressions()
        version = left["version"]
        # If it is refused, another part was stored in the meantime, and the row stays.
        with suppress(ConditionFailed), unavailable_if_it_fails():
            self._dynamodb.delete_item(
                TableName=self._table,
                Key=_key(user_id),
                ConditionExpression=f"{terms.name('version')} = {terms.value(version)}",
                **terms.parameters(),
            )


class PolicyTable(_Table):
    """Implements ``ports.Policies``: one row beside those of the users.

    Its ``version`` grows by one from 1; the row stays when its last category goes.
    """

    def read(self, *, consistent: bool) -> Policy:
        """Return the categories with one read."""
        with unavailable_if_it_fails():
            response = self._dynamodb.get_item(
                TableName=self._table, Key=_key(POLICY_KEY), ConsistentRead=consistent
            )
        return Policy.of(_row(response.get("Item", {})))

    def write(self, policy: Policy, *, version: int, token: str) -> Policy:
        """Replace the categories if they have not changed since they were read."""
        terms = Expressions()
        categories = {name: one.as_item() for name, one in policy.categories.items()}
        row = self._update(
            POLICY_KEY,
            f"SET {terms.assign('categories', categories)}, "
            f"{terms.assign('last_write', token)}, {terms.assign('version', version + 1)}",
            _as_read(terms, version),
            terms,
            token,
        )
        return Policy.of(row)


def _as_read(terms: Expressions, version: int) -> str:
    """Return the condition that a row is at the version that was read, or absent for 0."""
    if not version:
        return f"attribute_not_exists({terms.name('version')})"
    return terms.assign("version", version)


def _key(user_id: str) -> dict[str, Any]:
    return {"user_id": {"S": user_id}}


def user_overrides(item: Mapping[str, Any]) -> UserOverrides:
    """Read a row of the overrides table."""
    return UserOverrides.of(_row(item))


def _storable(value: object) -> object:
    """Convert Python's values to those that the serializer accepts.

    A float is read back as the same float.
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
