"""The table of overrides in DynamoDB: one row per user, one map attribute per integration type."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from dispatcher.adapters.aws import unavailable_if_it_fails
from dispatcher.adapters.dynamodb import Expressions, from_item, refusal
from dispatcher.configuration.resolution import Override, UserOverrides
from dispatcher.integrations import catalogue

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from dispatcher.delivery.rows import Item


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
            answer = self._dynamodb.get_item(
                TableName=self._table, Key=_key(user_id), ConsistentRead=True
            )
        return _overrides(from_item(answer["Item"])) if "Item" in answer else UserOverrides()

    def create(
        self, user_id: str, integration_type: str, override: Override, *, now: float, token: str
    ) -> None:
        """Add an override if there is none of this type."""
        terms = Expressions()
        name, version = terms.name(integration_type), terms.name("version")
        self._update(
            user_id,
            f"SET {terms.assign(integration_type, _item(override))}, "
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
            f"SET {terms.assign(integration_type, _item(override))}, "
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
        if not _overrides(left).by_type:
            self._remove_if(user_id, left["version"])

    def clear(self, user_id: str) -> tuple[str, ...]:
        """Remove the whole row at once."""
        with unavailable_if_it_fails():
            answer = self._dynamodb.delete_item(
                TableName=self._table, Key=_key(user_id), ReturnValues="ALL_OLD"
            )
        return tuple(_overrides(from_item(answer.get("Attributes", {}))).by_type)

    def _update(
        self, user_id: str, update: str, condition: str, terms: Expressions, token: str
    ) -> Item:
        with unavailable_if_it_fails():
            try:
                answer = self._dynamodb.update_item(
                    TableName=self._table,
                    Key=_key(user_id),
                    UpdateExpression=update,
                    ConditionExpression=condition,
                    ReturnValues="ALL_NEW",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                    **terms.parameters(),
                )
            except ClientError as error:
                refused = refusal(error)
                if refused is None:
                    raise
                if refused.row and refused.row.get("last_write") == token:
                    return refused.row
                raise refused from error
        return from_item(answer["Attributes"])

    def _remove_if(self, user_id: str, version: int) -> None:
        terms = Expressions()
        with unavailable_if_it_fails():
            try:
                self._dynamodb.delete_item(
                    TableName=self._table,
                    Key=_key(user_id),
                    ConditionExpression=f"{terms.name('version')} = {terms.value(version)}",
                    **terms.parameters(),
                )
            except ClientError as error:
                # Somebody has created an override in the meantime: the row stays.
                if refusal(error) is None:
                    raise


def _key(user_id: str) -> dict[str, Any]:
    return {"user_id": {"S": user_id}}


def _item(override: Override) -> Item:
    item = {field.name: getattr(override, field.name) for field in fields(override)}
    return {**item, "settings": dict(override.settings), "sealed": list(override.sealed)}


def _overrides(row: Item) -> UserOverrides:
    by_type = {
        name: Override(**{**row[name], "sealed": tuple(row[name]["sealed"])})
        for name in catalogue()
        if name in row
    }
    return UserOverrides(by_type, version=row.get("version", 0))
