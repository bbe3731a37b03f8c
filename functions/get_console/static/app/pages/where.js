// Where: the channels in delivery order, with address, state and one action.
import { useEffect, useRef, useState } from "preact/hooks";
import { call, get, userPath } from "../api.js";
import { mayChange, usePreferences } from "../people.js";
import { announce, useDraft } from "../store.js";
import { settings } from "../settings.js";
import { html } from "../view.js";
import { t } from "../words.js";
import { useLoaded } from "../parts/hooks.js";
import { Action, Field, Heading, Loading, State, Time, Trouble, errorText, fieldError, reasonText, typeName } from "../parts/pieces.js";

/** The key of the config that holds a user's address. */
const ADDRESS = { EMAIL: "email_address", SMS: "phone_number", WEBHOOK: "url", SLACK: "slack_user_id" };
/** Types whose address follows from the user ID, if none is set. */
const FOLLOWS = ["EMAIL", "SLACK"];
const INPUT = { EMAIL: "email", SMS: "tel", WEBHOOK: "url", SLACK: "text" };

export function WherePage({ user }) {
  const { zone } = usePreferences(user);
  const loaded = useLoaded(() => loadChannels(user), [user]);
  if (!loaded.data) {
    return html`<${Heading}>${t("page.where")}<//>
      ${loaded.error ? html`<${Trouble} error=${loaded.error} onRetry=${loaded.reload} />` : html`<${Loading} />`}`;
  }
  const { channels } = loaded.data;
  return html`<${Heading}>${t("page.where")}<//>
    ${channels.length
      ? html`<p class="lead">${t("where.lead")}</p>
          <ol class="channels">
            ${channels.map((channel) => html`<${Receiver} key=${channel.type} user=${user} channel=${channel} zone=${zone} reload=${loaded.reload} />`)}
          </ol>`
      : html`<p class="lead">${t("where.empty")} <a href=${`${settings.root}docs`}>${t("where.setUp")}</a></p>`}`;
}

async function loadChannels(user) {
  const [{ data: resolved }, { data: stored }, { data: blocked }] = await Promise.all([
    get(userPath(user, "integration-defaults")),
    get(userPath(user, "integrations")),
    get(userPath(user, "suppressions")),
  ]);
  const used = Object.keys(resolved.effective_configs);
  const unused = Object.keys(resolved.disabled_integrations).filter(
    (type) => resolved.disabled_integrations[type] !== "not_configured",
  );
  const channels = [...used, ...unused].map((type) => ({
    type,
    reason: resolved.disabled_integrations[type] ?? null,
    settings: resolved.effective_configs[type] ?? null,
    override: stored.integrations.find((one) => one.integration_type === type) ?? null,
    suppressions: blocked.suppressions.filter((one) => one.integration_type === type),
  }));
  return { channels };
}

function Receiver({ user, channel, zone, reload }) {
  const { type, reason, override, suppressions } = channel;
  const config = { ...channel.settings?.config, ...override?.config };
  const given = config[ADDRESS[type]] ?? (type === "SLACK" ? (config.channel_id ?? config.user_email) : null);
  const hasAddress = given || !ADDRESS[type] || FOLLOWS.includes(type);
  const health = override?.health ?? null;
  const values = channel.settings ?? override ?? {};
  const name = typeName(type);
  const canWrite = mayChange(user, "dispatch:write");
  const canSend = mayChange(user, "dispatch:send");
  return html`<li data-type=${type}>
    <div>
    <h2>${name}</h2>
    <p class="now"><${ChannelState} reason=${reason} type=${type} health=${health} zone=${zone} blocked=${suppressions.length > 0} /></p>
    </div>
    <div>
    <dl>
      ${(given || ADDRESS[type]) &&
      html`<dt>${t(`where.address.${ADDRESS[type] ?? "other"}`)}</dt>
        <dd dir="auto">${given ? (suppressions.length ? html`<del>${given}</del>` : given) : t(FOLLOWS.includes(type) && reason !== "no_address" ? "where.addressKnown" : "where.addressNone")}</dd>`}
      ${suppressions.map(
        (one) => html`<dt key=${`${one.suppression_id}-t`}>${t("where.blocked")}</dt>
          <dd key=${one.suppression_id}>
            <del>${one.address}</del>: ${t(`suppression.${one.state}`)}
            ${one.detail && html` <span class="quiet" dir="auto" lang="en">${one.detail}</span>`} <${Time} at=${one.at} zone=${zone} />
            ${canWrite &&
            html`<p class="actions"><${Action} label=${t("where.useAgain")} about=${`${name} ${one.address}`}
              run=${async () => {
                await call("DELETE", userPath(user, "suppressions", one.suppression_id));
                announce(t("where.usedAgain"));
                await reload();
              }} /></p>`}
          </dd>`,
      )}
      ${values.priority !== undefined && html`<dt>${t("where.priority")}</dt><dd>${values.priority}</dd>`}
      ${values.retry_count !== undefined &&
      html`<dt>${t("where.retries")}</dt>
        <dd>${t("where.retriesEach", { count: values.retry_count, delay: t("seconds", { count: values.retry_delay_seconds ?? 0 }) })}</dd>`}
    </dl>
    ${canWrite && ADDRESS[type] && html`<${AddressForm} user=${user} type=${type} override=${override} given=${given} reload=${reload} />`}
    <div class="actions">
      ${canWrite && reason === "disabled_by_user" &&
      html`<${Action} label=${t("where.enable")} about=${name}
        run=${async () => { await call("PUT", userPath(user, "integrations", type), { enabled: true }); await reload(); }} />`}
      ${canSend && hasAddress && reason !== "no_address" &&
      html`<${Action} label=${t("where.test")} about=${name} done=${t("where.tested")}
        run=${() => call("POST", userPath(user, "integrations", type, "test"))} />`}
      ${canWrite && type === "WEBHOOK" && override && html`<${Secret} user=${user} zone=${zone} />`}
    </div>
    </div>
  </li>`;
}

function ChannelState({ reason, type, health, zone, blocked }) {
  if (health?.state === "paused") {
    return html`<${State} kind="held">${t("where.paused")}<//> <${Time} at=${health.paused_until} zone=${zone} />`;
  }
  if (reason) {
    const kind = reason.startsWith("disabled_by_") && reason !== "disabled_by_receiver" ? "off" : "warn";
    return html`<${State} kind=${kind}>${reasonText(reason, type)}<//>`;
  }
  if (blocked) return html`<${State} kind="warn">${reasonText("address_bounced", type)}<//>`;
  if (health?.state === "failing") {
    return html`<${State} kind="warn">${t("where.failing", { count: health.failures })}<//> <${Time} at=${health.last_failed_at} zone=${zone} />`;
  }
  return html`<${State} kind="ok">${t("where.ok")}<//>`;
}

function AddressForm({ user, type, override, given, reload }) {
  const [value, setValue, discard] = useDraft(`address-${user}-${type}`, given ?? "");
  const [error, setError] = useState(null);
  const key = ADDRESS[type];
  const submit = async (event) => {
    event.preventDefault();
    setError(null);
    const config = { ...(override?.config ?? {}), [key]: value };
    if (!value) delete config[key];
    try {
      if (override) await call("PUT", userPath(user, "integrations", type), { config });
      else await call("POST", userPath(user, "integrations"), { integration_type: type, config });
      discard(value);
      announce(t("saved"));
      await reload();
    } catch (problem) {
      setError(problem);
      announce(`${t("notSaved")} ${errorText(problem)}`);
    }
  };
  return html`<details>
    <summary>${t("where.change")}<span class="unseen"> ${typeName(type)}</span></summary>
    <form class="row" onSubmit=${submit}>
      <${Field} id=${`address-${type}`} label=${t(`where.address.${key}`)} error=${error && (fieldError(error, `/config/${key}`) ?? errorText(error))}>
        ${(control) => html`<input ...${control} type=${INPUT[type]} value=${value} autocomplete="off"
          onInput=${(event) => setValue(event.target.value.trim())} />`}
      <//>
      <button type="submit">${t("action.save")}</button>
    </form>
  </details>`;
}

/** The signing secret of the webhook: shown once, after it was rotated. */
function Secret({ user, zone }) {
  const [rotated, setRotated] = useState(null);
  const [isAsking, setAsking] = useState(false);
  const start = useRef(null);
  const isUsed = useRef(false);
  // Each step replaces the button that was pressed, so the focus goes on with it.
  useEffect(() => {
    if (isUsed.current) start.current?.focus();
  }, [rotated, isAsking]);
  const go = (asking, secret) => {
    isUsed.current = true;
    setAsking(asking);
    setRotated(secret);
  };
  if (rotated) {
    return html`<div class="secret">
      <p tabindex="-1" ref=${start}>${t("where.shownOnce")}</p>
      <p><code>${rotated.signing_secret}</code></p>
      <p class="actions"><${Action} label=${t("action.copy")} done=${t("copied")} run=${() => navigator.clipboard.writeText(rotated.signing_secret)} />
        <button type="button" onClick=${() => go(false, null)}>${t("action.hide")}</button></p>
      ${rotated.previous_valid_until && html`<p class="quiet">${t("where.previousOne")} <${Time} at=${rotated.previous_valid_until} zone=${zone} /></p>`}
    </div>`;
  }
  if (!isAsking) {
    return html`<button type="button" ref=${start} onClick=${() => go(true, null)}>${t("where.rotate")}</button>`;
  }
  return html`<div class="confirm">
    <p tabindex="-1" ref=${start}>${t("where.rotateWarning")}</p>
    <p class="actions">
      <${Action} label=${t("where.rotateNow")}
        run=${async () => {
          const { data } = await call("POST", userPath(user, "integrations", "WEBHOOK", "rotate-secret"));
          go(false, data);
          announce(t("where.shownOnce"));
        }} />
      <button type="button" onClick=${() => go(false, null)}>${t("action.cancel")}</button>
    </p>
  </div>`;
}
