// What you get: a switch for every category and channel.
import { useState } from "preact/hooks";
import { ConflictError, mayChange, savePreferences, switchIntegration, usePreferences } from "../people.js";
import { address } from "../router.js";
import { may, session } from "../session.js";
import { announce } from "../store.js";
import { cellOf, chosen, columnsOf, grouped } from "../switches.js";
import { html } from "../view.js";
import { language, t } from "../words.js";
import { absolute } from "../times.js";
import { Conflict } from "../parts/conflict.js";
import { useWide } from "../parts/hooks.js";
import { OutlookPanel } from "../parts/outlook.js";
import { Heading, Loading, Trouble, reasonText, typeName } from "../parts/pieces.js";
import { Switch } from "../parts/switch.js";

export function WhatPage({ user }) {
  const preferences = usePreferences(user, { fresh: true });
  const [conflicts, setConflicts] = useState([]);
  const [failure, setFailure] = useState(null);
  const [about, setAbout] = useState(undefined);
  const isWide = useWide(40);
  const { data, error, zone, saves, reload } = preferences;

  if (!data) {
    return html`<${Heading}>${t("page.what")}<//>
      ${error ? html`<${Trouble} error=${error} onRetry=${reload} />` : html`<${Loading} />`}`;
  }
  const { effective } = data;
  const types = columnsOf(effective);
  const isLink = session.get().kind === "link";
  const canChange = mayChange(user, "dispatch:write", "dispatch:preferences");
  const canOverride = mayChange(user, "dispatch:write") && !isLink;

  const choose = (category, type) => {
    const label = `${category.title}, ${typeName(type)}`;
    const attempt = async (on) => {
      let before;
      const { data: saved } = await savePreferences(user, (stored) => {
        before = stored.categories?.[category.category] ?? null;
        const now = stored.effective.categories.find((one) => one.category === category.category) ?? category;
        return { categories: { [category.category]: chosen(before, now, type, on) } };
      }).catch((problem) => {
        if (problem instanceof ConflictError) {
          setConflicts((list) => [...list.filter((one) => one.label !== label), { label, category, type, on, attempt }]);
        }
        throw problem;
      });
      setAbout(category.category);
      return {
        on: storedOn(saved.effective, { category, type }),
        undo: () => savePreferences(user, () => ({ categories: { [category.category]: before } })),
      };
    };
    return attempt;
  };
  const override = (type) => async (on) => {
    const undo = await switchIntegration(user, type, on);
    setAbout(null);
    return { on, undo };
  };

  const rows = {
    id: "without",
    title: t("what.without"),
    description: isLink ? t("what.withoutByLink") : t("what.withoutLead"),
    cells: types.map((type) => ({
      type,
      cell: isLink
        ? { kind: "plain", on: effective.without_category.integrations[type].enabled }
        : cellOf(effective.without_category.integrations[type], false),
      change: override(type),
      isReadOnly: !canOverride,
    })),
  };
  const categoryRow = (category) => ({
    id: category.category,
    title: category.title,
    description: category.description,
    hints: hintsOf(category),
    cells: types.map((type) => ({
      type,
      cell: cellOf(category.integrations[type], category.locked),
      change: choose(category, type),
      isReadOnly: !canChange,
    })),
  });
  const groups = grouped(effective.categories).map(([name, categories]) => ({
    name,
    rows: categories.map(categoryRow),
  }));
  const current = conflicts[0];
  const settle = () => setConflicts((list) => list.slice(1));
  const keepMine = async () => {
    setFailure(null);
    try {
      await current.attempt(current.on);
      settle();
      announce(t("saved"));
    } catch (problem) {
      if (!(problem instanceof ConflictError)) setFailure(problem);
    }
  };
  return html`<${Heading}>${t("page.what")}<//>
    <p class="lead">${effective.categories.length ? t("what.lead") : t("what.empty")}
      ${effective.categories.length === 0 && may(["dispatch:admin"]) &&
      html` <a href=${address("categories", null, { create: 1 })}>${t("what.create")}</a>`}</p>
    <${Provenance} data=${data} zone=${zone} />
    ${current &&
    html`<${Conflict} key=${current.label}
      rows=${[{
        label: current.label,
        theirs: t(storedOn(effective, current) ? "on" : "off"),
        mine: t(current.on ? "on" : "off"),
      }]}
      onTheirs=${settle}
      onMine=${keepMine} />`}
    <${Trouble} error=${failure} title=${t("notSaved")} onRetry=${keepMine} />
    <div class="beside">
      ${isWide
        ? html`<${Table} types=${types} first=${rows} groups=${groups} />`
        : html`<${Fieldsets} first=${rows} groups=${groups} />`}
      <${OutlookPanel} user=${user} categories=${effective.categories} zone=${zone} saves=${saves} about=${about} />
    </div>`;
}

const storedOn = (effective, { category, type }) =>
  effective.categories.find((one) => one.category === category.category)?.integrations[type]?.enabled;

/** Say so if the last change came by a link from an email. */
export function Provenance({ data, zone }) {
  if (data.updated_via !== "link" && data.updated_via !== "unsubscribe") return null;
  return html`<p class="quiet">${t(`via.${data.updated_via}`, { time: absolute(data.updated_at, zone, language()) })}</p>`;
}

const states = (category) => Object.values(category.integrations).map((one) => one.reason);

function hintsOf(category) {
  const hints = [];
  if (category.locked) hints.push(t("what.locked"));
  if (category.urgent) hints.push(t("what.urgent"));
  if (!category.locked && !category.enabled && states(category).includes("category_disabled_by_default")) hints.push(t("what.optIn"));
  if (category.ignored.length) hints.push(t("what.ignored"));
  return hints;
}

function Table({ types, first, groups }) {
  return html`<div class="scroll"><table class="choices">
    <caption class="unseen">${t("page.what")}</caption>
    <thead>
      <tr>
        <th scope="col">${t("what.category")}</th>
        ${types.map((type) => html`<th key=${type} scope="col">${typeName(type)}</th>`)}
      </tr>
    </thead>
    <tbody><${Row} row=${first} /></tbody>
    ${groups.map(
      ({ name, rows }) => html`<tbody key=${name}>
        ${name && html`<tr><th scope="rowgroup" colspan=${types.length + 1} class="group" dir="auto">${name}</th></tr>`}
        ${rows.map((row) => html`<${Row} key=${row.id} row=${row} />`)}
      </tbody>`,
    )}
  </table></div>`;
}

function Row({ row }) {
  return html`<tr>
    <th scope="row"><${Title} row=${row} /></th>
    ${row.cells.map((one) => html`<td key=${one.type} data-reason=${one.cell.reason ?? ""}><${Cell} row=${row} one=${one} /></td>`)}
  </tr>`;
}

function Title({ row }) {
  return html`<span class="name" dir="auto">${row.title}</span>
    ${row.description && html`<span class="about" dir="auto">${row.description}</span>`}
    ${row.hints?.map((hint) => html`<span class="about" key=${hint}>${hint}</span>`)}`;
}

/** Below 40 rem the table becomes one fieldset for each category. */
function Fieldsets({ first, groups }) {
  const fieldset = (row) => html`<fieldset key=${row.id}>
    <legend><${Title} row=${row} /></legend>
    ${row.cells.map(
      (one) => html`<div class="line" key=${one.type} data-reason=${one.cell.reason ?? ""}>
        <span aria-hidden=${one.cell.kind === "switch" ? "true" : undefined}>${typeName(one.type)}</span>
        <${Cell} row=${row} one=${one} />
      </div>`,
    )}
  </fieldset>`;
  return html`<div class="choices">
    ${fieldset(first)}
    ${groups.map(
      ({ name, rows }) => html`<section key=${name} aria-label=${name || undefined}>
        ${name && html`<h2 dir="auto">${name}</h2>`}
        ${rows.map(fieldset)}
      </section>`,
    )}
  </div>`;
}

function Cell({ row, one }) {
  const { type, cell } = one;
  if (cell.kind === "always") {
    return html`<span class="fixed">${t("cell.always")}<span class="unseen">: ${t("cell.alwaysBecause", { title: row.title })}</span></span>`;
  }
  if (cell.kind === "plain") return html`<span class="fixed">${t(cell.on ? "on" : "off")}</span>`;
  if (cell.kind === "reason") return html`<span class="fixed">${cell.reason ? reasonText(cell.reason, type) : t(cell.on ? "on" : "off")}</span>`;
  return html`<${Switch} id=${`${row.id}-${type}`} label=${`${row.title}, ${typeName(type)}`} on=${cell.on}
    note=${cell.reason ? reasonText(cell.reason, type) : null} isNoteSeen=${isTelling(row, cell.reason)}
    change=${one.change} isReadOnly=${one.isReadOnly} />`;
}

/** Whether a reason is shown beside its switch: most repeat what the switch or the row says. */
function isTelling(row, reason) {
  if (row.id === "without") return reason !== "disabled_by_user" && reason !== "disabled_by_default";
  return !["disabled_by_default", "category_disabled_by_user", "category_disabled_by_default"].includes(reason);
}
