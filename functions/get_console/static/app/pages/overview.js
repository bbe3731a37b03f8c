// Overview: queues and the last hour, for operators.
import { get } from "../api.js";
import { settings } from "../settings.js";
import { browserZone } from "../times.js";
import { html } from "../view.js";
import { language, t } from "../words.js";
import { useLoaded, useWide } from "../parts/hooks.js";
import { Heading, Loading, State, Time, Trouble, typeName } from "../parts/pieces.js";

/** The sections of docs/operations.md. */
const SECTIONS = { dead_letter: "dead-letters", parked: "parked-messages" };
const DEPTHS = ["visible", "delayed", "in_flight"];
const ENDS = ["delivered", "failed", "skipped", "held"];

export function OverviewPage() {
  const loaded = useLoaded(async () => (await get("api/v1/overview")).data, []);
  const { data } = loaded;
  if (!data) {
    return html`<${Heading}>${t("page.overview")}<//>
      ${loaded.error ? html`<${Trouble} error=${loaded.error} onRetry=${loaded.reload} />` : html`<${Loading} />`}`;
  }
  const hour = data.last_hour;
  const queues = Object.entries(data.queues).map(([name, counts]) => ({
    name: t(`queue.${name}`),
    counts,
    end: html`<${Queue} name=${name} counts=${counts} /> <${Runbook} section=${SECTIONS[name] ?? "queues"} about=${t(`queue.${name}`)} />`,
  }));
  return html`<${Heading}>${t("page.overview")}<//>
    <p class="lead">${t("overview.lead", { stage: data.stage, version: data.version })} <${Time} at=${data.generated_at} zone=${browserZone()} /></p>
    <p class="actions"><button type="button" onClick=${loaded.reload}>${t("history.reload")}</button></p>
    <h2>${t("overview.queues")}</h2>
    <${Figures} caption=${t("overview.queues")} head=${t("overview.queue")} end=${t("overview.state")}
      columns=${DEPTHS} rows=${queues} />
    <h2>${t("overview.hour")}</h2>
    ${hour.available ? html`<${Hour} hour=${hour} />` : html`<p>${t("overview.local")}</p>`}
    <p class="quiet">${t("overview.failures")} <${Runbook} section="log-events" about=${t("overview.log")} isNamed /></p>`;
}

function Hour({ hour }) {
  const rows = Object.entries(hour.by_integration).map(([type, counts]) => ({ name: typeName(type), counts }));
  return html`<dl>
      <dt>${t("overview.accepted")}</dt><dd>${numberText(hour.accepted)}</dd>
      <dt>${t("overview.oldest")}</dt><dd>${hour.oldest_due_seconds === null ? "–" : t("seconds", { count: hour.oldest_due_seconds })}</dd>
    </dl>
    <${Figures} caption=${t("overview.hour")} head=${t("history.channel")} columns=${ENDS} rows=${rows} />`;
}

/** Numbers by row and column: a table, and below 40 rem a list for each row. */
function Figures({ caption, head, columns, rows, end }) {
  const isWide = useWide(40);
  const label = (column) => t(`overview.${column}`);
  if (!isWide) {
    return html`<div class="figures">
      ${rows.map(
        (row) => html`<section key=${row.name}>
          <h3>${row.name}</h3>
          <dl>
            ${columns.map((column) => html`<dt key=${column}>${label(column)}</dt><dd key=${`${column}-value`}>${numberText(row.counts?.[column])}</dd>`)}
          </dl>
          ${row.end && html`<p>${row.end}</p>`}
        </section>`,
      )}
    </div>`;
  }
  return html`<table>
    <caption class="unseen">${caption}</caption>
    <thead><tr><th scope="col">${head}</th>
      ${columns.map((column) => html`<th key=${column} scope="col" class="number">${label(column)}</th>`)}
      ${end && html`<th scope="col">${end}</th>`}</tr></thead>
    <tbody>
      ${rows.map(
        (row) => html`<tr key=${row.name}>
          <th scope="row">${row.name}</th>
          ${columns.map((column) => html`<td key=${column} class="number">${numberText(row.counts?.[column])}</td>`)}
          ${row.end && html`<td>${row.end}</td>`}
        </tr>`,
      )}
    </tbody>
  </table>`;
}

function numberText(value) {
  if (value === null || value === undefined) return "–";
  return new Intl.NumberFormat(language() === "de" ? "de" : "en").format(value);
}

function Queue({ name, counts }) {
  if (counts === null) return html`<${State} kind="off">${t(name === "feedback" ? "overview.noQueue" : "overview.unknown")}<//>`;
  const isTrouble = (name === "dead_letter" || name === "parked") && counts.visible > 0;
  return html`<${State} kind=${isTrouble ? "warn" : "ok"}>${t(isTrouble ? "overview.look" : "overview.fine")}<//>`;
}

/** A link to a section of the runbook; its name if the operator set no URL. */
function Runbook({ section, about, isNamed = false }) {
  const target = settings.runbook ?? "docs/operations.md";
  if (!/^https?:/.test(target)) return isNamed ? html`<span>${target}</span>` : null;
  return html`<a href=${`${target}#${section}`} rel="noreferrer">${t("overview.runbook")}<span class="unseen">: ${about}</span></a>`;
}
