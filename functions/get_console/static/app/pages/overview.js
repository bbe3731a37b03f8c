// Overview: queues and the last hour, for operators.
import { get } from "../api.js";
import { settings } from "../settings.js";
import { html } from "../view.js";
import { language, t } from "../words.js";
import { useLoaded } from "../parts/hooks.js";
import { Heading, Loading, State, Time, Trouble, typeName } from "../parts/pieces.js";
import { browserZone } from "../times.js";

/** The sections of docs/operations.md. */
const SECTIONS = { dead_letter: "dead-letters", parked: "parked-messages" };

export function OverviewPage() {
  const loaded = useLoaded(async () => (await get("api/v1/overview")).data, []);
  const { data } = loaded;
  const number = (value) => (value === null || value === undefined ? "–" : new Intl.NumberFormat(language() === "de" ? "de" : "en").format(value));
  if (!data) {
    return html`<${Heading}>${t("page.overview")}<//>
      ${loaded.error ? html`<${Trouble} error=${loaded.error} onRetry=${loaded.reload} />` : html`<${Loading} />`}`;
  }
  const hour = data.last_hour;
  return html`<${Heading}>${t("page.overview")}<//>
    <p class="lead">${t("overview.lead", { stage: data.stage, version: data.version })} <${Time} at=${data.generated_at} zone=${browserZone()} /></p>
    <p class="actions"><button type="button" onClick=${loaded.reload}>${t("history.reload")}</button></p>
    <h2>${t("overview.queues")}</h2>
    <div class="scroll"><table>
      <caption class="unseen">${t("overview.queues")}</caption>
      <thead><tr><th scope="col">${t("overview.queue")}</th>
        ${["visible", "delayed", "in_flight"].map((one) => html`<th key=${one} scope="col" class="number">${t(`overview.${one}`)}</th>`)}
        <th scope="col">${t("overview.state")}</th></tr></thead>
      <tbody>
        ${Object.entries(data.queues).map(([name, counts]) => html`<tr key=${name}>
          <th scope="row">${t(`queue.${name}`)}</th>
          ${["visible", "delayed", "in_flight"].map((one) => html`<td key=${one} class="number">${number(counts?.[one])}</td>`)}
          <td><${Queue} name=${name} counts=${counts} /> <${Runbook} section=${SECTIONS[name] ?? "queues"} about=${t(`queue.${name}`)} /></td>
        </tr>`)}
      </tbody>
    </table></div>
    <h2>${t("overview.hour")}</h2>
    ${!hour.available && html`<p>${t("overview.local")}</p>`}
    <dl class="figures">
      <dt>${t("overview.accepted")}</dt><dd>${number(hour.accepted)}</dd>
      <dt>${t("overview.oldest")}</dt><dd>${hour.oldest_due_seconds === null ? "–" : t("seconds", { count: hour.oldest_due_seconds })}</dd>
    </dl>
    ${hour.by_integration &&
    html`<div class="scroll"><table>
      <caption class="unseen">${t("overview.hour")}</caption>
      <thead><tr><th scope="col">${t("history.channel")}</th>
        ${["delivered", "failed", "skipped", "held"].map((one) => html`<th key=${one} scope="col" class="number">${t(`overview.${one}`)}</th>`)}</tr></thead>
      <tbody>${Object.entries(hour.by_integration).map(([type, counts]) => html`<tr key=${type}>
        <th scope="row">${typeName(type)}</th>
        ${["delivered", "failed", "skipped", "held"].map((one) => html`<td key=${one} class="number">${number(counts?.[one])}</td>`)}
      </tr>`)}</tbody>
    </table></div>`}
    <p class="quiet">${t("overview.failures")} <${Runbook} section="log-events" about=${t("overview.log")} isNamed /></p>`;
}

/** A link to a section of the runbook; its name if the operator set no URL. */
function Runbook({ section, about, isNamed = false }) {
  const target = settings.runbook ?? "docs/operations.md";
  if (!/^https?:/.test(target)) return isNamed ? html`<span>${target}</span>` : null;
  return html`<a href=${`${target}#${section}`} rel="noreferrer">${t("overview.runbook")}<span class="unseen">: ${about}</span></a>`;
}

function Queue({ name, counts }) {
  if (counts === null) return html`<${State} kind="off">${t(name === "feedback" ? "overview.noQueue" : "overview.unknown")}<//>`;
  const isTrouble = (name === "dead_letter" || name === "parked") && counts.visible > 0;
  return html`<${State} kind=${isTrouble ? "warn" : "ok"}>${t(isTrouble ? "overview.look" : "overview.fine")}<//>`;
}
