// What would become of a message: one sentence per channel. Used by *What if*, *What* and *When*.
import { useEffect, useState } from "preact/hooks";
import { call, userPath } from "../api.js";
import { announce } from "../store.js";
import { absolute, relative } from "../times.js";
import { html } from "../view.js";
import { language, t } from "../words.js";
import { useLoaded } from "./hooks.js";
import { Loading, State, Trouble, reasonInside, typeName } from "./pieces.js";

/** Return the sentences of a preview, in delivery order. */
export function sentences(preview, zone, mode) {
  const used = preview.deliveries.map((delivery, place) => {
    const type = typeName(delivery.integration_type);
    const lock = delivery.locked ? ` ${t("outlook.locked")}` : "";
    const after = mode === "first_success" && place > 0 ? ` ${t("outlook.ifBefore")}` : "";
    if (!delivery.held) {
      return { kind: "ok", type: delivery.integration_type, text: t("outlook.now", { type }) + after + lock };
    }
    const { until, reason } = delivery.held;
    const values = { type, time: absolute(until, zone, language()), reason: t(`held.${reason}`) };
    return { kind: "held", type: delivery.integration_type, until, text: t("outlook.later", values) + after + lock };
  });
  const unused = preview.skipped.map((one) => ({
    kind: "off",
    type: one.integration_type,
    text: t("outlook.not", {
      type: typeName(one.integration_type),
      reason: reasonInside(one.reason, one.integration_type),
    }),
  }));
  return [...used, ...unused];
}

/** The sentences for a category and mode, loaded from the API. */
export function Outlook({ user, category, mode, zone, saves, isAnnounced }) {
  const body = { ...(category ? { category } : {}), ...(mode ? { mode } : {}) };
  const loaded = useLoaded(
    () => call("POST", userPath(user, "preview"), body).then(({ data }) => data),
    [user, category, mode, saves],
  );
  useEffect(() => {
    if (loaded.data && isAnnounced) announce(sentences(loaded.data, zone, mode)[0]?.text ?? "");
  }, [loaded.data]);
  if (loaded.error) return html`<${Trouble} error=${loaded.error} onRetry=${loaded.reload} />`;
  if (!loaded.data) return html`<${Loading} />`;
  return html`<ul class="outlook">
    ${sentences(loaded.data, zone, mode).map(
      (one) => html`<li key=${one.type} data-type=${one.type}>
        <${State} kind=${one.kind}>${one.text}<//>
        ${one.until && html` <span class="quiet">(${relative(one.until, language())})</span>`}
      </li>`,
    )}
  </ul>`;
}

export function CategoryChoice({ id, categories, value, onChange }) {
  return html`<div class="field">
    <label for=${id}>${t("preview.category")}</label>
    <select id=${id} value=${value} onChange=${(event) => onChange(event.target.value)}>
      <option value="">${t("preview.noCategory")}</option>
      ${categories.map((one) => html`<option key=${one.category} value=${one.category}>${one.title}</option>`)}
    </select>
  </div>`;
}

/** The panel beside *What* and *When*. It asks the API only when it is opened or after a change. */
export function OutlookPanel({ user, categories, zone, saves, about }) {
  const [isOpen, setOpen] = useState(false);
  const [category, setCategory] = useState("");
  useEffect(() => {
    if (saves > 0) setOpen(true);
  }, [saves]);
  useEffect(() => {
    if (about !== undefined) setCategory(about ?? "");
  }, [about, saves]);
  return html`<aside aria-labelledby="outlook-title">
    <h2 id="outlook-title">${t("page.preview")}</h2>
    <p class="quiet">${t("outlook.lead")}</p>
    <${CategoryChoice} id="outlook-category" categories=${categories} value=${category}
      onChange=${(value) => { setCategory(value); setOpen(true); }} />
    ${isOpen
      ? html`<${Outlook} user=${user} category=${category} zone=${zone} saves=${saves} />`
      : html`<p><button type="button" onClick=${() => setOpen(true)}>${t("outlook.show")}</button></p>`}
  </aside>`;
}
