// History: messages, newest first; each opens to what happened on every channel.
import { useEffect, useRef, useState } from "preact/hooks";
import { call, get, userPath } from "../api.js";
import { mayChange, usePreferences } from "../people.js";
import { address } from "../router.js";
import { announce } from "../store.js";
import { TYPES } from "../switches.js";
import { absolute, clock, localOf } from "../times.js";
import { eventsOf, messagesOf, stateOf } from "../timeline.js";
import { html } from "../view.js";
import { language, t, tFirst } from "../words.js";
import { useLoaded } from "../parts/hooks.js";
import { Action, Heading, Loading, State, Time, Trouble, reasonText, typeName } from "../parts/pieces.js";

const STATUSES = ["pending", "success", "failed", "skipped"];
const PER_PAGE = 50;
const PER_SEARCH = 200;
const MOST_CALLS = 10;

export function HistoryPage({ user, query }) {
  const { zone } = usePreferences(user);
  const status = query.get("status") ?? "";
  const type = query.get("type") ?? "";
  const only = query.get("request") ?? "";
  const [more, setMore] = useState({ deliveries: [], cursor: undefined, error: null, isBusy: false });
  const path = (cursor) => {
    const search = new URLSearchParams({ limit: status || type ? PER_SEARCH : PER_PAGE });
    if (status) search.set("status", status);
    if (type) search.set("integration_type", type);
    if (only) search.set("request_id", only);
    if (cursor) search.set("cursor", cursor);
    return `${userPath(user, "deliveries")}?${search}`;
  };
  /** With filters, a page may be empty although older messages match: read on, up to a limit. */
  const read = async (from, calls = 1) => {
    const { data } = await get(path(from));
    const isDone = data.deliveries.length > 0 || !data.next_cursor || calls === MOST_CALLS;
    return isDone ? data : read(data.next_cursor, calls + 1);
  };
  const loaded = useLoaded(async () => {
    setMore({ deliveries: [], cursor: undefined, error: null, isBusy: false });
    return read();
  }, [user, status, type, only]);
  const filter = (values) => {
    location.hash = address("history", user, { status, type, request: only, ...values });
  };
  const cursor = more.cursor === undefined ? loaded.data?.next_cursor : more.cursor;
  const loadMore = async () => {
    setMore({ ...more, isBusy: true });
    try {
      const data = await read(cursor);
      const deliveries = [...more.deliveries, ...data.deliveries];
      setMore({ deliveries, cursor: data.next_cursor, error: null, isBusy: false });
      announce(t("history.loaded", { count: data.deliveries.length }));
    } catch (error) {
      setMore({ ...more, error, isBusy: false });
    }
  };
  const messages = messagesOf([...(loaded.data?.deliveries ?? []), ...more.deliveries]);
  const isFiltered = Boolean(status || type || only);
  return html`<${Heading}>${t("page.history")}<//>
    <form class="row filters" onSubmit=${(event) => event.preventDefault()}>
      <${Filter} id="status" label=${t("history.status")} value=${status} onChange=${(value) => filter({ status: value })}
        options=${STATUSES.map((one) => [one, t(`state.${one}`)])} />
      <${Filter} id="type" label=${t("history.channel")} value=${type} onChange=${(value) => filter({ type: value })}
        options=${TYPES.map((one) => [one, typeName(one)])} />
      <div class="field"><button type="button" onClick=${loaded.reload}>${t("history.reload")}</button></div>
    </form>
    ${only && html`<p>${t("history.only", { id: only })} <a href=${address("history", user)}>${t("history.all")}</a></p>`}
    ${loaded.error && html`<${Trouble} error=${loaded.error} onRetry=${loaded.reload} />`}
    ${!loaded.data && !loaded.error && html`<${Loading} />`}
    ${loaded.data && messages.length === 0 && html`<${Empty} user=${user} isFiltered=${isFiltered} isPartial=${Boolean(cursor)} reload=${loaded.reload} />`}
    <ol class="messages">
      ${messages.map((message, place) => html`<${Message} key=${message.id} user=${user} message=${message} zone=${zone}
        isFirst=${place === 0 && Boolean(only)} reload=${loaded.reload} />`)}
    </ol>
    ${more.error && html`<${Trouble} error=${more.error} />`}
    ${cursor && html`<p class="actions"><button type="button" aria-disabled=${more.isBusy} onClick=${() => more.isBusy || loadMore()}>${t("history.more")}</button></p>`}
    <p class="quiet">${t("preview.zone", { zone })}</p>`;
}

function Filter({ id, label, value, options, onChange }) {
  return html`<div class="field">
    <label for=${id}>${label}</label>
    <select id=${id} value=${value} onChange=${(event) => onChange(event.target.value)}>
      <option value="">${t("history.any")}</option>
      ${options.map(([name, text]) => html`<option key=${name} value=${name}>${text}</option>`)}
    </select>
  </div>`;
}

function Empty({ user, isFiltered, isPartial, reload }) {
  if (isFiltered) return html`<p class="lead">${t(isPartial ? "history.nothingYet" : "history.nothing")} <a href=${address("history", user)}>${t("history.all")}</a></p>`;
  return html`<p class="lead">${t("history.empty")}</p>
    ${mayChange(user, "dispatch:send") &&
    html`<p class="actions"><${Action} label=${t("where.test")} done=${t("where.tested")}
      run=${async () => {
        const { data } = await get(userPath(user, "integration-defaults"));
        const [first] = Object.keys(data.effective_configs);
        if (!first) throw Object.assign(new Error(), { detail: t("history.noChannel") });
        await call("POST", userPath(user, "integrations", first, "test"));
        await reload();
      }} /></p>`}`;
}

const KINDS = { success: "ok", failed: "failed", bounced: "failed", skipped: "off", held: "held", pending: "pending" };

function Message({ user, message, zone, isFirst, reload }) {
  const [isOpen, setOpen] = useState(isFirst);
  const { first } = message;
  const subject = first.subject || t("history.noSubject");
  return html`<li>
    <details open=${isOpen} onToggle=${(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <span class="subject" dir="auto">${subject}</span>
        <span class="quiet">${absolute(first.created_at, zone, language())}</span>
        <span class="states">
          ${message.deliveries.map(
            (one) => html`<${State} key=${one.delivery_id} kind=${KINDS[stateOf(one)]}>${typeName(one.integration_type)}: ${t(`state.${stateOf(one)}`)}<//>`,
          )}
        </span>
      </summary>
      ${isOpen && html`<${Details} user=${user} id=${message.id} subject=${subject} zone=${zone} reload=${reload} />`}
    </details>
  </li>`;
}

function Details({ user, id, subject, zone, reload }) {
  const loaded = useLoaded(async () => {
    const { data: request } = await get(userPath(user, "requests", id));
    const full = await Promise.all(request.deliveries.map((one) => get(userPath(user, "deliveries", one.delivery_id))));
    return { request, deliveries: full.map(({ data }) => data) };
  }, [user, id]);
  const box = useRef(null);
  const changed = async (text) => {
    await Promise.all([loaded.reload(), reload()]);
    announce(text);
    // The button that was pressed is gone.
    box.current?.focus();
  };
  useEffect(() => {
    const isPending = loaded.data?.deliveries.some((one) => one.status === "pending" && !one.held);
    if (!isPending) return undefined;
    const timer = setTimeout(loaded.reload, 5000);
    return () => clearTimeout(timer);
  }, [loaded.data]);
  if (loaded.error) return html`<${Trouble} error=${loaded.error} onRetry=${loaded.reload} />`;
  if (!loaded.data) return html`<${Loading} />`;
  const { request, deliveries } = loaded.data;
  return html`<div class="story" tabindex="-1" ref=${box} role="group" aria-label=${subject}>
    ${deliveries.length === 0 && html`<p>${t("history.nowhere")}</p>`}
    ${deliveries.map((one) => html`<${Way} key=${one.delivery_id} user=${user} delivery=${one} zone=${zone} changed=${changed} />`)}
    ${request.skipped.length > 0 &&
    html`<section>
      <h2>${t("history.notSent")}</h2>
      <ul class="plain">
        ${request.skipped.map(
          (one) => html`<li key=${one.integration_type} data-type=${one.integration_type}>
            <${State} kind="off">${typeName(one.integration_type)}: ${reasonText(one.reason, one.integration_type)}<//></li>`,
        )}
      </ul>
    </section>`}
    <p class="quiet small">${t("history.requestId")} <code>${request.request_id}</code></p>
  </div>`;
}

function Way({ user, delivery, zone, changed }) {
  const path = userPath(user, "deliveries", delivery.delivery_id);
  const canSend = mayChange(user, "dispatch:send");
  const name = typeName(delivery.integration_type);
  return html`<section data-type=${delivery.integration_type} aria-label=${name}>
    <h2>${name} <${State} kind=${KINDS[stateOf(delivery)]}>${t(`state.${stateOf(delivery)}`)}<//></h2>
    <ol class="events">
      ${eventsOf(delivery).map((event, place) => html`<${Event} key=${place} event=${event} since=${delivery.created_at} type=${delivery.integration_type} zone=${zone} />`)}
    </ol>
    ${delivery.locked && html`<p class="quiet">${t("outlook.locked")}</p>`}
    ${canSend && delivery.status === "pending" &&
    html`<p class="actions"><${Action} label=${t("history.cancel")} about=${name}
      run=${async () => { await call("DELETE", path); await changed(t("history.cancelled")); }} /></p>`}
    ${canSend && delivery.status === "failed" &&
    html`<p class="actions">
      <${Action} label=${t("history.tryAgain")} about=${name}
        run=${async () => { await call("POST", `${path}/retry`); await changed(t("history.retried")); }} />
      <${Action} label=${t("history.tryNow")} about=${name}
        run=${async () => { await call("POST", `${path}/retry?now=true`); await changed(t("history.retried")); }} />
    </p>`}
  </section>`;
}

function Event({ event, since, type, zone }) {
  const isSameDay = event.at && localOf(event.at, zone).slice(0, 10) === localOf(since, zone).slice(0, 10);
  const shown = isSameDay ? clock : absolute;
  const text = event.reason
    ? reasonText(event.reason, type)
    : tFirst([`event.${event.kind}`, event.kind.replace(/^.*\./, "")], event.values);
  return html`<li>
    <span class="at">${event.at && !event.isNext && html`<time datetime=${event.at}>${shown(event.at, zone, language())}</time>`}</span>
    <span><${State} kind=${event.tone}>${text}<//>
      ${event.isNext && html` <${Time} at=${event.at} zone=${zone} />`}
      ${event.detail && html` <span class="quiet" dir="auto" lang="en">${event.detail}</span>`}</span>
  </li>`;
}
