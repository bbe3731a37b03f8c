// Find: the pages of another user, and what failed for them.
import { useState } from "preact/hooks";
import { call, get, userPath } from "../api.js";
import { addTo, missing } from "../people.js";
import { address } from "../router.js";
import { announce, useDraft } from "../store.js";
import { browserZone, instantOf, localOf } from "../times.js";
import { html } from "../view.js";
import { t } from "../words.js";
import { Field, Heading, Trouble, errorText, fieldError, reasonInside } from "../parts/pieces.js";

const DELIVERY_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export function FindPage() {
  const [draft, setDraft, discard] = useDraft("find", { user: "", id: "" });
  const [error, setError] = useState(null);
  const submit = async (event) => {
    event.preventDefault();
    const { user, id } = draft;
    setError(null);
    if (!user) return setError({ field: "user", text: t("find.noUser") });
    try {
      const target = id ? await found(user, id) : address("what", user);
      if (!target) {
        announce(t("find.nothing"));
        return setError({ field: "id", text: t("find.nothing") });
      }
      addTo("found", user);
      discard(draft);
      location.hash = target;
    } catch (problem) {
      setError({ field: "user", text: errorText(problem) });
      announce(errorText(problem));
    }
  };
  const field = (name) => error?.field === name && error.text;
  return html`<${Heading}>${t("page.find")}<//>
    <p class="lead">${t("find.lead")}</p>
    <form onSubmit=${submit}>
      <${Field} id="find-user" label=${t("find.user")} error=${field("user")}>
        ${(control) => html`<input ...${control} value=${draft.user} autocomplete="off" spellcheck=${false}
          onInput=${(event) => setDraft({ ...draft, user: event.target.value.trim() })} />`}
      <//>
      <${Field} id="find-id" label=${t("find.id")} hint=${t("find.idHint")} error=${field("id")}>
        ${(control) => html`<input ...${control} value=${draft.id} autocomplete="off" spellcheck=${false}
          onInput=${(event) => setDraft({ ...draft, id: event.target.value.trim() })} />`}
      <//>
      <p class="actions"><button type="submit" class="main">${t("find.open")}</button></p>
    </form>
    <${Recover} user=${draft.user} />`;
}

/** Return the address of a delivery's or request's message, null if the user has none. */
async function found(user, id) {
  if (DELIVERY_ID.test(id)) {
    const delivery = await get(userPath(user, "deliveries", id)).catch(missing);
    if (delivery) return address("history", user, { request: delivery.data.request_id });
  }
  const request = await get(userPath(user, "requests", id)).catch(missing);
  return request && address("history", user, { request: request.data.request_id });
}

/** Open failed messages again: first a dry run that counts them, then the real one. */
function Recover({ user }) {
  const [since, setSince] = useState(() => localOf(Date.now() - 86_400_000, browserZone()));
  const [last, setLast] = useState({ step: "idle" });
  // What was counted for one user and time says nothing about another.
  const state = last.user === user && last.since === since ? last : { step: "idle" };
  const setState = (values) => setLast({ ...values, user, since });
  const run = async (isTrial) => {
    setState({ step: "busy" });
    const total = { opened: 0, refused: new Map() };
    let cursor = null;
    try {
      do {
        const body = { since: new Date(instantOf(since, browserZone())).toISOString(), dry_run: isTrial, ...(cursor ? { cursor } : {}) };
        const { data } = await call("POST", userPath(user, "deliveries", "recover"), body);
        total.opened += data.opened.length;
        for (const { reason } of data.not_opened) total.refused.set(reason, (total.refused.get(reason) ?? 0) + 1);
        cursor = data.next_cursor;
      } while (cursor);
      setState({ step: isTrial ? "tried" : "done", total });
      announce(t(isTrial ? "recover.would" : "recover.did", { count: total.opened }));
    } catch (error) {
      setState({ step: "failed", error });
      if (fieldError(error, "/since")) announce(`${t("error.title")} ${errorText(error)}`);
    }
  };
  const wrong = fieldError(state.error, "/since");
  return html`<section aria-labelledby="recover-title">
    <h2 id="recover-title">${t("recover.title")}</h2>
    <p class="quiet">${t("recover.lead")}</p>
    <form class="row" onSubmit=${(event) => { event.preventDefault(); if (user) run(true); else setState({ step: "failed", error: { detail: t("find.noUser") } }); }}>
      <${Field} id="since" label=${t("recover.since", { zone: browserZone() })} error=${wrong}>
        ${(control) => html`<input ...${control} type="datetime-local" required value=${since} onInput=${(event) => setSince(event.target.value)} />`}
      <//>
      <button type="submit">${t("recover.try")}</button>
    </form>
    ${state.total &&
    html`<p>${t(state.step === "done" ? "recover.did" : "recover.would", { count: state.total.opened })}</p>
      ${state.total.refused.size > 0 && html`<ul>${[...state.total.refused].map(([reason, count]) => html`<li key=${reason}>${t("recover.refused", { count, reason: reasonInside(reason, "") })}</li>`)}</ul>`}`}
    ${state.step === "tried" && state.total.opened > 0 &&
    html`<p class="actions"><button type="button" class="main" onClick=${() => run(false)}>${t("recover.run", { user })}</button></p>`}
    ${state.step === "failed" && !wrong && html`<${Trouble} error=${state.error} />`}
  </section>`;
}
