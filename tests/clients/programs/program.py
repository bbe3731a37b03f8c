"""Calls the API with the generated client; prints what the client read, as JSON.

Run with the URL of the API and a file that holds bodies of new overrides.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from dispatcher_client import Client
from dispatcher_client.api.configuration import (
    create_override,
    get_effective_configuration,
    list_overrides,
    update_override,
)
from dispatcher_client.api.deliveries import get_delivery, list_deliveries
from dispatcher_client.api.mailbox import delete_message, list_messages
from dispatcher_client.api.messages import get_request, send_message
from dispatcher_client.api.service import get_docs, get_health
from dispatcher_client.models import (
    CreateOverrideRequest,
    ListMessagesIntegrationType,
    Recipient,
    SendMessageRequest,
    SendMessageRequestIntegrationTypesItem,
    SendMessageRequestTemplateVariables,
    UpdateOverrideIntegrationType,
    UpdateOverrideRequest,
)

USER = "auth0|ada+test@example.com"

url, overrides = sys.argv[1:]
client = Client(base_url=url, raise_on_unexpected_status=True)
found = {}

# Configuration
created = [
    create_override.sync(USER, client=client, body=CreateOverrideRequest.from_dict(body))
    for body in json.loads(Path(overrides).read_text())
]
found["created"] = [override.integration_type for override in created]
found["signed"] = [bool(override.signing_secret) for override in created]
changed = update_override.sync(
    USER,
    UpdateOverrideIntegrationType.TEST,
    client=client,
    body=UpdateOverrideRequest(priority=None, retry_count=0),
)
found["retry_count"] = changed.retry_count
listed = list_overrides.sync(USER, client=client)
found["listed"] = [override.integration_type for override in listed.integrations]
effective = get_effective_configuration.sync("bob", client=client)
found["effective"] = [*effective.effective_configs.additional_properties]
found["disabled"] = effective.disabled_integrations.additional_properties

# Messages
variables = SendMessageRequestTemplateVariables()
variables["name"] = "Ada"
sent = send_message.sync(
    "bob",
    client=client,
    body=SendMessageRequest(
        subject="Ticket 42",
        content="Hello $name",
        template_variables=variables,
        recipient=Recipient(email="bob@example.com"),
        integration_types=[
            SendMessageRequestIntegrationTypesItem.TEST,
            SendMessageRequestIntegrationTypesItem.SMS,
        ],
    ),
)
found["accepted"] = [[one.integration_type, one.status] for one in sent.deliveries]
found["skipped"] = [[one.integration_type, one.reason] for one in sent.skipped]
send_message.sync("bob", client=client, body=SendMessageRequest(content="Second"))
request = get_request.sync("bob", sent.request_id, client=client)
found["request"] = [request.subject, request.mode, len(request.deliveries)]

# Deliveries, on pages of one
found["history"] = []
page = list_deliveries.sync("bob", client=client, limit=1)
while True:
    found["history"] += [
        [one.integration_type, one.status, one.error_code, one.created_at.utcoffset() is not None]
        for one in page.deliveries
    ]
    if not page.next_cursor:
        break
    page = list_deliveries.sync("bob", client=client, limit=1, cursor=page.next_cursor)
detail = get_delivery.sync("bob", sent.deliveries[0].delivery_id, client=client)
found["attempts"] = [[one.outcome, one.code] for one in detail.attempt_log]

# Mailbox
mailbox = list_messages.sync(
    "bob", client=client, integration_type=ListMessagesIntegrationType.TEST
)
found["mailbox"] = [[one.integration_type, one.content] for one in mailbox.messages]
delete_message.sync_detailed("bob", mailbox.messages[0].message_id, client=client)

# Problems and service
invalid = send_message.sync("bob", client=client, body=SendMessageRequest(content=" "))
found["invalid"] = [invalid.status, [[one.pointer, one.detail] for one in invalid.errors]]
missing = get_request.sync("bob", "no-such-request", client=client)
found["missing"] = [missing.status, missing.title]
found["health"] = get_health.sync(client=client).status
found["docs"] = get_docs.sync(client=client)[:15]

sys.stdout.write(json.dumps(found))
