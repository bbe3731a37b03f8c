// When: time zone, hours, mute, and the next 24 hours.
import { useEffect, useState } from "preact/hooks";
import { ConflictError, mayChange, savePreferences, usePreferences } from "../people.js";
import { announce, drafts, useDraft } from "../store.js";
import { DAYS, absolute, browserZone, instantOf, knownZones, localOf, nextDay, relative, tomorrowAt } from "../times.js";
import { html } from "../view.js";
import { language, t } from "../words.js";
import { Conflict } from "../parts/conflict.js";
import { useNow } from "../parts/hooks.js";
import { OutlookPanel } from "../parts/outlook.js";
import { Action, Field, Heading, Loading, State, Time, Trouble, errorText, fieldError, typeName } from "../parts/pieces.js";
import { Provenance } from "./what.js";

const INTERRUPTING = ["SLACK", "EMAIL", "SMS"];
const HOUR = 3_600_000;

export function WhenPage({ user }) {
  const { data, error, zone, saves, reload } = usePreferences(user, { fresh: true });
  const [conflict, setConflict] = useState(null);
  const [resets, setResets] = useState(0);
  if (!data) {
    return html`<${Heading}>${t("page.when")}<//>
      ${error ? html`<${Trouble} error=${error} onRetry=${reload} />` : html`<${Loading} />`}`;
  }
  const canChange = mayChange(user, "dispatch:write", "dispatch:preferences");
  /** Save fields; a change from elsewhere is shown beside them. */
  const save = async (change) => {
    try {
      const { rescheduled } = await savePreferences(user, () => change);
      setConflict(null);
      return rescheduled;
    } catch (problem) {
      if (!(problem instanceof ConflictError)) throw problem;
      setConflict(change);
      return null;
    }
  };
  const channels = Object.keys(data.effective.without_category.integrations);
  return html`<${Heading}>${t("page.when")}<//>
    <${Sentence} data=${data} zone=${zone} />
    <${Strip} data=${data} zone=${zone} />
    <${Provenance} data=${data} zone=${zone} />
    ${conflict &&
    html`<${Conflict}
      rows=${Object.entries(conflict).map(([field, mine]) => ({
        label: t(`when.field.${field}`),
        theirs: shown(field, data[field], zone),
        mine: shown(field, mine, zone),
      }))}
      onTheirs=${() => {
        setConflict(null);
        drafts.delete(`when-${user}`);
        setResets(resets + 1);
      }}
      onMine=${() => save(conflict).then((done) => done && announce(t("saved")), (problem) => announce(errorText(problem)))} />`}
    <div class="beside two">
      <div>
        ${canChange
          ? html`<${Mute} data=${data} zone=${zone} save=${save} />
              <${HoursForm} key=${resets} user=${user} data=${data} zone=${zone} channels=${channels} save=${save} />`
          : html`<p>${shown("hours", data.hours, zone)}</p>`}
      </div>
      <${OutlookPanel} user=${user} categories=${data.effective.categories} zone=${zone} saves=${saves} />
    </div>`;
}

/** The state of now as a sentence: "Quiet now. The next message comes Fri 08:00." */
function Sentence({ data, zone }) {
  const { effective, muted_until: muted, hours } = data;
  if (effective.open_now && !hours) return html`<p class="lead"><${State} kind="ok">${t("when.always")}<//></p>`;
  const next = effective.next_open_at;
  const time = next && absolute(next, zone, language());
  const text = effective.open_now
    ? t("when.open")
    : t(muted && new Date(muted) > Date.now() ? "when.muted" : "when.quiet", { time: time ?? "" });
  return html`<p class="lead"><${State} kind=${effective.open_now ? "ok" : "held"}>${text}<//>
    ${next && !effective.open_now && html` <span class="quiet">(${relative(next, language())})</span>`}</p>`;
}

/** The next 24 hours, drawn. The sentence above says the same, so it is hidden from screen readers. */
function Strip({ data, zone }) {
  const now = useNow(60);
  const steps = nextDay(data.hours?.windows, data.muted_until, zone, now);
  const labels = steps.filter((step, place) => place % 24 === 0);
  const clock = (time) => localOf(time, zone).slice(11);
  return html`<figure class="strip" aria-hidden="true">
    <svg viewBox="0 0 960 24" preserveAspectRatio="none" width="100%" height="24">
      ${runsOf(steps).map(({ state, start, length }) => html`<rect key=${start} class=${state} x=${start * 10} y=${state === "open" ? 0 : 9} width=${length * 10} height=${state === "open" ? 24 : 6} />`)}
    </svg>
    <div class="ticks">${labels.map((step) => html`<span key=${step.time}>${clock(step.time)}</span>`)}<span>${clock(steps[0].time)}</span></div>
    <figcaption><span class="key open">${t("when.keyOpen")}</span> <span class="key closed">${t("when.keyClosed")}</span></figcaption>
  </figure>`;
}

/** Put equal neighbours together. */
function runsOf(steps) {
  const runs = [];
  steps.forEach(({ state }, start) => {
    if (runs.at(-1)?.state === state) runs.at(-1).length += 1;
    else runs.push({ state, start, length: 1 });
  });
  return runs;
}

function Mute({ data, zone, save }) {
  const muted = data.muted_until && new Date(data.muted_until) > Date.now() ? data.muted_until : null;
  const [date, setDate] = useState("");
  const until = (time) => ({ muted_until: new Date(time).toISOString() });
  const mute = (time) => save(until(time));
  return html`<section aria-labelledby="mute-title">
    <h2 id="mute-title">${t("when.mute")}</h2>
    <p>${muted ? html`${t("when.mutedUntil")} <${Time} at=${muted} zone=${zone} />` : t("when.muteLead")}</p>
    <p class="actions">
      ${muted && html`<${Action} label=${t("when.unmute")} done=${t("saved")} run=${() => save({ muted_until: null })} />`}
      <${Action} label=${t("when.muteHour")} done=${t("saved")} run=${() => mute(Date.now() + HOUR)} />
      <${Action} label=${t("when.muteTomorrow")} done=${t("saved")} run=${() => mute(tomorrowAt(8 * 60, zone, Date.now()))} />
    </p>
    <form class="row" onSubmit=${(event) => event.preventDefault()}>
      <${Field} id="mute-until" label=${t("when.muteUntil", { zone })}>
        ${(control) => html`<input ...${control} type="datetime-local" value=${date}
          min=${localOf(Date.now(), zone)} onInput=${(event) => setDate(event.target.value)} />`}
      <//>
      <${Action} label=${t("when.muteUntilButton")} done=${t("saved")}
        run=${async () => {
          if (!date) throw Object.assign(new Error(), { detail: t("when.noDate") });
          await mute(instantOf(date, zone));
        }} />
    </form>
  </section>`;
}

/** @typedef {{mode: "always" | "simple" | "weekly", simple: object, week: object, channels: string[], zone: string}} Hours */

function HoursForm({ user, data, zone, channels, save }) {
  const name = `when-${user}`;
  const [draft, setDraft, discard] = useDraft(name, draftOf(data));
  const [problem, setProblem] = useState(null);
  const [done, setDone] = useState("");
  const set = (values) => {
    setDone("");
    setDraft({ ...draft, ...values });
  };
  // Hours that were changed elsewhere are shown, unless somebody is typing here.
  useEffect(() => {
    if (!drafts.has(name)) discard(draftOf(data));
  }, [data.version]);
  const submit = async (event) => {
    event.preventDefault();
    setProblem(null);
    const windows = windowsOf(draft);
    try {
      const rescheduled = await save({
        time_zone: draft.zone === "" ? null : draft.zone,
        hours: windows && { windows, integrations: draft.channels },
      });
      if (rescheduled) {
        discard(draft);
        const text = rescheduled.deliveries ? t("when.rescheduled", { count: rescheduled.deliveries }) : t("saved");
        setDone(text);
        announce(text);
      }
    } catch (error) {
      setProblem(error);
      announce(`${t("notSaved")} ${errorText(error)}`);
    }
  };
  const proposal = browserZone();
  return html`<form onSubmit=${submit} aria-labelledby="hours-title">
    <h2 id="hours-title">${t("when.hours")}</h2>
    <fieldset class="plain">
      <legend class="unseen">${t("when.hours")}</legend>
      ${["always", "simple", "weekly"].map(
        (mode) => html`<label class="option" key=${mode}>
          <input type="radio" name="mode" value=${mode} checked=${draft.mode === mode}
            onChange=${() => set({ mode, week: mode === "weekly" && draft.mode === "simple" ? weekOf(windowsOf(draft)) : draft.week })} />
          ${t(`when.mode.${mode}`)}
        </label>`,
      )}
    </fieldset>
    ${draft.mode === "simple" && html`<${Simple} value=${draft.simple} onChange=${(simple) => set({ simple })} />`}
    ${draft.mode === "weekly" && html`<${Weekly} value=${draft.week} onChange=${(week) => set({ week })} />`}
    ${problem && fieldError(problem, "/hours") && html`<p class="wrong">${fieldError(problem, "/hours")}</p>`}
    ${draft.mode !== "always" &&
    html`<fieldset class="plain">
      <legend>${t("when.channels")}</legend>
      ${channels.map(
        (type) => html`<label class="option inline" key=${type}>
          <input type="checkbox" checked=${draft.channels.includes(type)}
            onChange=${(event) => set({ channels: event.target.checked ? [...draft.channels, type] : draft.channels.filter((one) => one !== type) })} />
          ${typeName(type)}
        </label>`,
      )}
    </fieldset>`}
    <${Field} id="zone" label=${t("when.zone")} error=${fieldError(problem, "/time_zone")}
      hint=${data.time_zone ? null : t("when.zoneDefault", { zone: data.effective.time_zone.value })}>
      ${(control) => html`<input ...${control} list="zones" value=${draft.zone} autocomplete="off" spellcheck=${false}
        onInput=${(event) => set({ zone: event.target.value.trim() })} />`}
    <//>
    <datalist id="zones">${knownZones().map((name) => html`<option key=${name} value=${name} />`)}</datalist>
    ${draft.zone !== proposal &&
    html`<p class="hint">${t("when.zoneProposal", { zone: proposal })}${" "}
      <button type="button" class="small" onClick=${() => set({ zone: proposal })}>${t("when.zoneUse")}</button></p>`}
    ${problem && !problem.errors?.length && html`<p class="wrong">${t("notSaved")} ${errorText(problem)}</p>`}
    <p class="actions"><button type="submit" class="main">${t("when.save")}</button>
      ${done && html`<span class="done">${done}</span>`}</p>
  </form>`;
}

function Simple({ value, onChange }) {
  const set = (values) => onChange({ ...value, ...values });
  return html`<fieldset class="plain">
    <legend>${t("when.simpleLead")}</legend>
    <div class="row">
      <${Clock} id="simple-from" label=${t("when.from")} value=${value.from} onChange=${(from) => set({ from })} />
      <${Clock} id="simple-to" label=${t("when.to")} value=${value.to} onChange=${(to) => set({ to })} />
    </div>
    <div class="days">
      ${DAYS.map(
        (day) => html`<label class="option inline" key=${day}>
          <input type="checkbox" checked=${value.days.includes(day)}
            onChange=${(event) => set({ days: DAYS.filter((one) => (one === day ? event.target.checked : value.days.includes(one))) })} />
          ${t(`day.${day}`)}
        </label>`,
      )}
    </div>
  </fieldset>`;
}

function Weekly({ value, onChange }) {
  const set = (day, spans) => onChange({ ...value, [day]: spans });
  return html`<div class="week">
    ${DAYS.map((day) => {
      const spans = value[day];
      const change = (place, values) => set(day, spans.map((one, index) => (index === place ? { ...one, ...values } : one)));
      return html`<fieldset key=${day}>
        <legend>${t(`day.${day}`)}</legend>
        ${spans.length === 0 && html`<p class="quiet">${t("when.closedDay")}</p>`}
        ${spans.map(
          (span, place) => html`<div class="row" key=${place}>
            <${Clock} id=${`${day}-${place}-from`} label=${t("when.from")} value=${span.from} onChange=${(from) => change(place, { from })} />
            <${Clock} id=${`${day}-${place}-to`} label=${t("when.to")} value=${span.to} onChange=${(to) => change(place, { to })} />
            <button type="button" onClick=${() => set(day, spans.filter((_, index) => index !== place))}>
              ${t("when.removeSpan")}<span class="unseen"> ${t(`day.${day}`)} ${span.from}</span></button>
          </div>`,
        )}
        <p class="actions">
          <button type="button" class="small" onClick=${() => set(day, [...spans, { from: "08:00", to: "18:00" }])}>
            ${t("when.addSpan")}<span class="unseen"> ${t(`day.${day}`)}</span></button>
          ${spans.length > 0 &&
          html`<button type="button" class="small"
            onClick=${() => {
              onChange(Object.fromEntries(DAYS.map((one) => [one, spans.map((span) => ({ ...span }))])));
              announce(t("when.copied", { day: t(`day.${day}`) }));
            }}>${t("when.copy")}<span class="unseen"> (${t(`day.${day}`)})</span></button>`}
        </p>
      </fieldset>`;
    })}
  </div>`;
}

function Clock({ id, label, value, onChange }) {
  return html`<div class="field">
    <label for=${id}>${label}</label>
    <input id=${id} type="time" required value=${value === "24:00" ? "00:00" : value}
      onInput=${(event) => onChange(event.target.value)} />
  </div>`;
}

// Windows and the form --------------------------------------------------------------------------------

const emptyWeek = () => Object.fromEntries(DAYS.map((day) => [day, []]));

export function weekOf(windows) {
  const week = emptyWeek();
  for (const { days, from, to } of windows ?? []) {
    for (const day of days) week[day] = [...week[day], { from, to }];
  }
  return week;
}

/** Return the windows of a form: days with equal hours share a window. Null means no windows. */
export function windowsOf({ mode, simple, week }) {
  if (mode === "always") return null;
  if (mode === "simple") return [{ days: simple.days, from: simple.from, to: midnight(simple.to) }];
  const shared = new Map();
  for (const day of DAYS) {
    for (const { from, to } of week[day]) {
      const key = `${from} ${midnight(to)}`;
      shared.set(key, [...new Set([...(shared.get(key) ?? []), day])]);
    }
  }
  return [...shared].map(([key, days]) => ({ days, from: key.slice(0, 5), to: key.slice(6) }));
}

// An input of type time has no 24:00.
const midnight = (to) => (to === "00:00" ? "24:00" : to);

function draftOf(data) {
  const windows = data.hours?.windows;
  const mode = !windows ? "always" : windows.length === 1 ? "simple" : "weekly";
  return {
    mode,
    simple: mode === "simple" ? windows[0] : { days: DAYS.slice(0, 5), from: "08:00", to: "18:00" },
    week: weekOf(windows),
    channels: data.hours?.integrations ?? INTERRUPTING,
    zone: data.time_zone ?? "",
  };
}

/** A field of the preferences in words. */
function shown(field, value, zone) {
  if (field === "hours") {
    if (!value) return t("when.mode.always");
    return value.windows
      .map(({ days, from, to }) => `${days.map((day) => t(`day.short.${day}`)).join(", ")} ${from}–${to}`)
      .join("; ");
  }
  if (value === null || value === undefined) return t("when.notSet");
  return field === "muted_until" ? absolute(value, zone, language()) : String(value);
}
