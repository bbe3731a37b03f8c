// Verifies one webhook request with the receiver of docs/webhooks.md; prints what it read, as JSON.
// Run with the secret, the headers and the body, as JSON.

import { readMessage } from "./receiver.ts";

const [secret, headers, body] = JSON.parse(process.argv[2] ?? "");
try {
  console.log(JSON.stringify(readMessage(secret, headers, body)));
} catch (error) {
  console.log(JSON.stringify((error as Error).message));
}
