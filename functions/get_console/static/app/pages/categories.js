// Categories: the subjects of messages, as operators define them.
import { useEffect, useState } from "preact/hooks";
import { ApiError, call, get } from "../api.js";
import { address } from "../router.js";
import { announce, useDraft } from "../store.js";
import { TYPES } from "../switches.js";
import { html } from "../view.js";
import { t } from "../words.js";
import { useLoaded } from "../parts/hooks.js";
import { Field, Heading, Loading, Trouble, errorText, fieldError, typeName } from "../parts/pieces.js";

const REACHING = ["EMAIL", "SMS", "SLACK"];
const NEW = { category: "", title: "", description: "", group: "", order: 500, enabled: true, integrations: {}, locked: false, reach_by: [], urgent: false };

export function CategoriesPage({ query }) {
  const loaded = useLoaded(async () => (await get("api/v1/categories")).data.categories, []);
  const [editing, setEditing] = useState(query.get("create") ? NEW : null);
  const [deleting, setDeleting] = useState(null);
  const done = async (text) => {
    setEditing(null);
    setDeleting(null);
    await loaded.reload();
    announce(text);
    document.querySelector("h1")?.focus();
  };
  return html`<${Heading}>${t("page.categories")}<//>
    <p class="lead">${t("categories.lead")}</p>
    ${loaded.error && html`<${Trouble} error=${loaded.error} onRetry=${loaded.reload} />`}
    ${!loaded.data && !loaded.error && html`<${Loading} />`}
    ${loaded.data?.length === 0 && html`<p>${t("categories.empty")}</p>`}
    ${!editing && html`<p class="actions"><button type="button" class="main" onClick=${() => setEditing(NEW)}>${t("categories.create")}</button></p>`}
    ${editing && html`<${Form} key=${editing.category} category=${editing} onDone=${done} onCancel=${() => setEditing(null)} />`}
    <ul class="rows">
      ${loaded.data?.map(
        (one) => html`<li key=${one.category}>
          <div>
            <span class="name" dir="auto">${one.title}</span> <code>${one.category}</code>
            ${one.description && html`<span class="about" dir="auto">${one.description}</span>`}
            <span class="small">${marksOf(one).join(" · ")}</span>
          </div>
          <p class="actions">
            <button type="button" onClick=${() => setEditing(one)}>${t("categories.edit")}<span class="unseen"> ${one.title}</span></button>
            <button type="button" onClick=${() => setDeleting(one)}>${t("categories.delete")}<span class="unseen"> ${one.title}</span></button>
          </p>
          ${deleting === one && html`<${Confirm} category=${one} onDone=${done} onCancel=${() => setDeleting(null)} />`}
        </li>`,
      )}
    </ul>`;
}

function Confirm({ category, onDone, onCancel }) {
  const [error, setError] = useState(null);
  useEffect(() => document.getElementById("confirm-delete")?.focus(), []);
  const remove = async () => {
    try {
      await call("DELETE", `api/v1/categories/${encodeURIComponent(category.category)}`);
      await onDone(t("categories.deleted"));
    } catch (problem) {
      if (problem instanceof ApiError && problem.status === 404) return onDone(t("categories.deleted"));
      setError(problem);
    }
  };
  return html`<div class="confirm" role="group" aria-label=${t("categories.delete")}>
    <p>${t("categories.confirm", { title: category.title })}</p>
    <p class="actions">
      <button type="button" id="confirm-delete" onClick=${remove}>${t("categories.confirmDelete")}</button>
      <button type="button" onClick=${onCancel}>${t("action.cancel")}</button>
    </p>
    <${Trouble} error=${error} />
  </div>`;
}

function Form({ category, onDone, onCancel }) {
  const isNew = category.category === "";
  const [draft, setDraft, discard] = useDraft(`category-${category.category}`, category);
  const [error, setError] = useState(null);
  useEffect(() => document.getElementById(isNew ? "category-name" : "category-title")?.focus(), []);
  const set = (values) => setDraft({ ...draft, ...values });
  const submit = async (event) => {
    event.preventDefault();
    setError(null);
    const { category: name, ...body } = { ...draft, order: Number(draft.order), reach_by: draft.locked ? draft.reach_by : [] };
    try {
      await call("PUT", `api/v1/categories/${encodeURIComponent(name)}`, body);
      discard(NEW);
      await onDone(t("saved"));
    } catch (problem) {
      setError(problem);
      announce(`${t("notSaved")} ${errorText(problem)}`);
    }
  };
  const text = (name, attributes = {}) => html`<${Field} id=${`category-${name === "category" ? "name" : name}`} label=${t(`categories.field.${name}`)}
    hint=${tHint(name)} error=${fieldError(error, `/${name}`)}>
    ${(control) => html`<input ...${control} ...${attributes} value=${draft[name]} onInput=${(event) => set({ [name]: event.target.value })} />`}
  <//>`;
  const check = (name) => html`<label class="option" key=${name}>
    <input type="checkbox" checked=${draft[name]} onChange=${(event) => set({ [name]: event.target.checked })} />
    <span>${t(`categories.field.${name}`)}<span class="about">${t(`categories.hint.${name}`)}</span></span></label>`;
  return html`<form class="edit" onSubmit=${submit} aria-labelledby="edit-title">
    <h2 id="edit-title">${isNew ? t("categories.create") : t("categories.editTitle", { title: category.title })}</h2>
    ${isNew && text("category", { required: true, pattern: "[a-z0-9][a-z0-9\\-]{0,39}", spellcheck: false, autocomplete: "off" })}
    ${text("title", { required: true, maxlength: 80 })}
    ${text("description", { maxlength: 400 })}
    ${text("group", { maxlength: 40 })}
    ${text("order", { type: "number", min: 0, max: 999 })}
    <fieldset class="plain">
      <legend>${t("categories.rules")}</legend>
      ${check("enabled")} ${check("urgent")} ${check("locked")}
    </fieldset>
    ${draft.locked &&
    html`<fieldset class="plain">
      <legend>${t("categories.field.reach_by")}</legend>
      <p class="hint">${t("categories.hint.reach_by")}</p>
      ${REACHING.map((type) => html`<label class="option inline" key=${type}>
        <input type="checkbox" checked=${draft.reach_by.includes(type)}
          onChange=${(event) => set({ reach_by: event.target.checked ? [...draft.reach_by, type] : draft.reach_by.filter((one) => one !== type) })} />
        ${typeName(type)}</label>`)}
      ${fieldError(error, "/reach_by") && html`<p class="wrong">${fieldError(error, "/reach_by")}</p>`}
    </fieldset>`}
    <fieldset class="plain">
      <legend>${t("categories.field.integrations")}</legend>
      <div class="row">
        ${TYPES.map((type) => html`<div class="field" key=${type}>
          <label for=${`default-${type}`}>${typeName(type)}</label>
          <select id=${`default-${type}`} value=${type in draft.integrations ? String(draft.integrations[type]) : ""}
            onChange=${(event) => {
              const { [type]: _, ...others } = draft.integrations;
              set({ integrations: event.target.value === "" ? others : { ...others, [type]: event.target.value === "true" } });
            }}>
            <option value="">${t("categories.asSet")}</option>
            <option value="true">${t("on")}</option>
            <option value="false">${t("off")}</option>
          </select>
        </div>`)}
      </div>
    </fieldset>
    <section class="sample" aria-label=${t("categories.sample")}>
      <p class="quiet">${t("categories.sample")}</p>
      <p><span class="name" dir="auto">${draft.title || t("categories.field.title")}</span>
        <span class="about" dir="auto">${draft.description}</span>
        ${draft.locked && html`<span class="about">${t("what.locked")}</span>`}
        ${draft.urgent && html`<span class="about">${t("what.urgent")}</span>`}</p>
    </section>
    ${error && html`<${Trouble} error=${error} title=${t("notSaved")} />`}
    <p class="actions"><button type="submit" class="main">${t("action.save")}</button>
      <button type="button" onClick=${() => { discard(NEW); onCancel(); }}>${t("action.cancel")}</button></p>
  </form>`;
}

/** What differs from a usual category, in words. */
const marksOf = ({ locked, urgent, enabled, integrations }) => [
  ...(locked ? [t("categories.locked")] : []),
  ...(urgent ? [t("categories.urgent")] : []),
  ...(enabled ? [] : [t("categories.optIn")]),
  ...Object.entries(integrations).map(([type, on]) => `${typeName(type)}: ${t(on ? "on" : "off")}`),
];

const tHint = (name) => (["category", "group", "order"].includes(name) ? t(`categories.hint.${name}`) : null);
