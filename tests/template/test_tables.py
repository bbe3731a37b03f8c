"""Tables and their key: what outlives a mistake."""

from __future__ import annotations

import pytest

TABLES = ("OverridesTable", "DeliveriesTable")


@pytest.mark.parametrize("table", TABLES)
def test_a_table_survives_mistakes(resources, table):
    """Restorable to any second, encrypted with our key, kept with its stack gone."""
    declared = resources[table]

    properties = declared["Properties"]
    assert declared["DeletionPolicy"] == "RetainExceptOnCreate"
    assert declared["UpdateReplacePolicy"] == "Retain"
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert properties["SSESpecification"] == {
        "SSEEnabled": True,
        "SSEType": "KMS",
        "KMSMasterKeyId": {"Fn::GetAtt": "Key.Arn"},
    }
    assert properties["DeletionProtectionEnabled"] == {"Fn::If": ["IsProtected", True, False]}


def test_overrides_have_one_row_per_user(resources):
    """One read serves every resolution; nothing of it expires."""
    properties = resources["OverridesTable"]["Properties"]

    assert properties["AttributeDefinitions"] == [
        {"AttributeName": "user_id", "AttributeType": "S"}
    ]
    assert properties["KeySchema"] == [{"AttributeName": "user_id", "KeyType": "HASH"}]
    assert "GlobalSecondaryIndexes" not in properties
    assert "TimeToLiveSpecification" not in properties


def test_a_users_rows_are_sorted_by_kind_and_time(resources):
    """The sort key alone orders a user's history; DynamoDB deletes expired rows."""
    properties = resources["DeliveriesTable"]["Properties"]

    assert properties["AttributeDefinitions"] == [
        {"AttributeName": "user_id", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "S"},
        {"AttributeName": "sweep_shard", "AttributeType": "S"},
        {"AttributeName": "sweep_at", "AttributeType": "N"},
    ]
    assert properties["KeySchema"] == [
        {"AttributeName": "user_id", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ]
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}


def test_the_sweep_index_holds_keys_alone(resources):
    """The sweeper reads the row that decides, so the index costs a write only if a key changes."""
    [index] = resources["DeliveriesTable"]["Properties"]["GlobalSecondaryIndexes"]

    assert index == {
        "IndexName": "sweep",
        "KeySchema": [
            {"AttributeName": "sweep_shard", "KeyType": "HASH"},
            {"AttributeName": "sweep_at", "KeyType": "RANGE"},
        ],
        "Projection": {"ProjectionType": "KEYS_ONLY"},
    }


def test_the_key_stays_as_long_as_what_it_encrypts(resources):
    """A retained table whose key is gone is lost."""
    key = resources["Key"]

    assert key["DeletionPolicy"] == resources["OverridesTable"]["DeletionPolicy"]
    assert key["UpdateReplacePolicy"] == resources["OverridesTable"]["UpdateReplacePolicy"]
    assert key["Properties"]["EnableKeyRotation"] is True


def test_the_key_obeys_the_account_and_works_for_dynamodb(resources):
    """Functions need no right to it for a table's sake; everything else their own policies say."""
    statements = resources["Key"]["Properties"]["KeyPolicy"]["Statement"]

    account, dynamodb = statements
    root = "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"
    assert account["Principal"] == {"AWS": {"Fn::Sub": root}}
    assert account["Action"] == "kms:*"
    assert dynamodb["Principal"] == {"AWS": "*"}
    assert dynamodb["Condition"] == {
        "StringEquals": {
            "kms:CallerAccount": {"Ref": "AWS::AccountId"},
            "kms:ViaService": {"Fn::Sub": "dynamodb.${AWS::Region}.${AWS::URLSuffix}"},
        }
    }
