"""Set what the template says and the local cloud's CloudFormation leaves out.

On AWS none of this is needed: there the template alone does it.
"""

from __future__ import annotations

from typing import Any

import boto3

API = "AWS::ApiGateway::RestApi"
STAGE = "AWS::ApiGateway::Stage"
TABLE = "AWS::DynamoDB::Table"


def physical_ids(session: boto3.Session, stack: str) -> dict[str, str]:
    """Return the real names of the stack's resources by their logical IDs."""
    pages = session.client("cloudformation").get_paginator("list_stack_resources")
    return {
        resource["LogicalResourceId"]: resource["PhysicalResourceId"]
        for page in pages.paginate(StackName=stack)
        for resource in page["StackResourceSummaries"]
    }


def finish(session: boto3.Session, stack: str) -> tuple[str, str]:
    """Do all that is left to do; return the API's ID and stage name."""
    ids = physical_ids(session, stack)
    client = session.client("cloudformation")
    answer = client.get_template(StackName=stack, TemplateStage="Processed")
    # As JSON, which boto3 decodes.
    resources: dict[str, Any] = dict(answer["TemplateBody"])["Resources"]
    api = stage = ""
    for logical_id, resource in resources.items():
        properties = resource.get("Properties", {})
        # A resource under a false condition does not exist.
        real_name = ids.get(logical_id)
        if real_name is None:
            continue
        if resource["Type"] == API:
            api = real_name
            set_gateway_responses(session, api, properties)
        elif resource["Type"] == STAGE:
            stage = real_name
        elif resource["Type"] == TABLE:
            set_time_to_live(session, real_name, properties)
    # A deployment is a snapshot: without a new one, the gateway's responses stay as they were.
    session.client("apigateway").create_deployment(restApiId=api, stageName=stage)
    return api, stage


def set_gateway_responses(session: boto3.Session, api: str, properties: dict[str, Any]) -> None:
    """Set the gateway's own responses, to unknown routes for example."""
    client = session.client("apigateway")
    answers = properties.get("Body", {}).get("x-amazon-apigateway-gateway-responses", {})
    for kind, answer in answers.items():
        status = {"statusCode": str(answer["statusCode"])} if "statusCode" in answer else {}
        client.put_gateway_response(
            restApiId=api,
            responseType=kind,
            responseParameters=answer.get("responseParameters", {}),
            responseTemplates=answer.get("responseTemplates", {}),
            **status,
        )


def set_time_to_live(session: boto3.Session, table: str, properties: dict[str, Any]) -> None:
    """Let the table's expired rows go."""
    specification = properties.get("TimeToLiveSpecification")
    client = session.client("dynamodb")
    if specification and (
        client.describe_time_to_live(TableName=table)["TimeToLiveDescription"]["TimeToLiveStatus"]
        == "DISABLED"
    ):
        client.update_time_to_live(TableName=table, TimeToLiveSpecification=specification)
