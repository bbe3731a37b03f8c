// The events of a delivery in time order. Pure.

/**
 * @param {object} delivery as the API returns it, with `attempt_log` if it was asked for
 * @returns {{kind: string, at: string | null, values: object}[]} `kind` names a text of the words
 */
export function eventsOf(delivery) {
  const events = [{ kind: "accepted", at: delivery.created_at, tone: "none", values: {} }];
  for (const attempt of delivery.attempt_log ?? []) {
    events.push({
      kind: `attempt.${attempt.outcome}`,
      at: attempt.started_at,
      tone: attempt.outcome === "delivered" ? "ok" : attempt.outcome === "retry" ? "warn" : "failed",
      values: { number: attempt.number, code: codeOf(attempt.code), ms: attempt.duration_ms ?? "?" },
      detail: attempt.outcome === "delivered" ? "" : attempt.detail,
    });
  }
  if (delivery.status === "pending" && delivery.held) {
    events.push({ kind: `held.${delivery.held.reason}`, at: delivery.held.until, tone: "held", values: {}, isNext: true });
  } else if (delivery.status === "pending" && delivery.next_attempt_at) {
    events.push({ kind: "due", at: delivery.next_attempt_at, tone: "waiting", values: {}, isNext: true });
  }
  if (delivery.status === "success") {
    events.push({ kind: "delivered", at: delivery.delivered_at, tone: "ok", values: {} });
  }
  if (delivery.status === "failed") {
    events.push({ kind: "failed", at: null, tone: "failed", values: {}, detail: delivery.error_message });
  }
  if (delivery.status === "skipped") {
    events.push({ kind: "skipped", at: null, tone: "off", values: {}, reason: delivery.error_code });
  }
  const { receipt } = delivery;
  if (receipt) {
    const tone = { delivered: "ok", delayed: "waiting" }[receipt.state] ?? "failed";
    events.push({ kind: `receipt.${receipt.state}`, at: receipt.at, tone, values: {}, detail: receipt.detail });
  }
  return events;
}

/** "503" for `http_503`; other codes as words. */
export const codeOf = (code) => (code ?? "").replace(/^(http|smtp)_/, "").replaceAll("_", " ");

/** What a delivery is now, as one word of the words: its status, or why it waits. */
export function stateOf(delivery) {
  if (delivery.status === "pending") return delivery.held ? "held" : "pending";
  if (delivery.status === "failed" && delivery.error_code === "bounced") return "bounced";
  return delivery.status;
}

/** Put the deliveries of a request together; the newest request comes first. */
export function messagesOf(deliveries) {
  const messages = new Map();
  for (const delivery of deliveries) {
    const key = delivery.request_id;
    if (!messages.has(key)) messages.set(key, { id: key, first: delivery, deliveries: [] });
    messages.get(key).deliveries.push(delivery);
  }
  for (const message of messages.values()) message.deliveries.sort((one, other) => one.priority - other.priority);
  return [...messages.values()];
}
