// Calls the API with the generated types; prints what it read, as JSON.
// Run with the URL of the API.

import createClient from "openapi-fetch";
import type { components, paths } from "./api.ts";

declare const process: { argv: string[] };

type CreateOverrideRequest = components["schemas"]["CreateOverrideRequest"];
type DeliveryResponse = components["schemas"]["DeliveryResponse"];

const client = createClient<paths>({ baseUrl: process.argv[2] ?? "" });
const path = { user_id: "auth0|bob+test@example.com" };

// A request has only known values: the compiler finds a misspelled one.
// @ts-expect-error
const misspelled: CreateOverrideRequest = { integration_type: "EMIAL" };

// Of a body, nothing is required that the service does not require.
const webhook: CreateOverrideRequest = {
  integration_type: "WEBHOOK",
  config: { url: "https://hooks.example.com/dispatch" },
};

// A response may have values that this program does not know.
function describe(delivery: DeliveryResponse): string {
  switch (delivery.integration_type) {
    case "TEST":
      return `${delivery.integration_type} ${delivery.status}`;
    case "FAX":
      return `by fax: ${delivery.status} ${delivery.error_code ?? "no error"}`;
    default:
      return `other: ${delivery.integration_type}`;
  }
}

const created = await client.POST("/api/v1/users/{user_id}/integrations", {
  params: { path },
  body: webhook,
});
if (created.error) throw new Error(created.error.detail);

const sent = await client.POST("/api/v1/users/{user_id}/deliveries", {
  params: { path },
  body: { content: "Hello $name", template_variables: { name: "Bob" }, integration_types: ["TEST"] },
});
if (sent.error) throw new Error(sent.error.detail);

const history = await client.GET("/api/v1/users/{user_id}/deliveries", {
  params: { path, query: { limit: 10 } },
});
if (history.error) throw new Error(history.error.detail);

const invalid = await client.POST("/api/v1/users/{user_id}/deliveries", {
  params: { path },
  body: { content: " " },
});

console.log(
  JSON.stringify({
    created: created.data.integration_type,
    signed: created.data.signing_secret?.startsWith("whsec_"),
    accepted: sent.data.deliveries.map((one) => one.integration_type),
    skipped: sent.data.skipped.map((one) => one.reason),
    history: history.data.deliveries.map(describe),
    invalid: invalid.error?.errors?.map((one) => one.pointer),
  }),
);
