// Small parts of pages: times, states, waiting, errors, fields.
import { useEffect, useRef, useState } from "preact/hooks";
import { announce } from "../store.js";
import { absolute, relative } from "../times.js";
import { html } from "../view.js";
import { language, t, tFirst } from "../words.js";
import { useNow } from "./hooks.js";

/** A time in the user's zone, with the relative time beside it. */
export function Time({ at, zone, plain = false }) {
  const now = useNow();
  if (!at) return null;
  return html`<time datetime=${at}
    ><span class="when">${absolute(at, zone, language(), now)}</span>${plain
      ? null
      : html` <span class="quiet">(${relative(at, language(), now)})</span>`}</time
  >`;
}

const MARKS = {
  ok: "✓",
  success: "✓",
  open: "✓",
  pending: "○",
  held: "‖",
  waiting: "○",
  failed: "✕",
  skipped: "–",
  off: "–",
  warn: "!",
};

const TONES = {
  ok: "ok",
  success: "ok",
  pending: "waiting",
  held: "waiting",
  waiting: "waiting",
  failed: "failed",
  warn: "failed",
};

/** A state as a word with a mark: never by color alone. */
export function State({ kind, children }) {
  return html`<span class=${`state ${TONES[kind] ?? "none"}`}
    ><span class="mark" aria-hidden="true">${MARKS[kind] ?? "·"}</span> ${children}</span
  >`;
}

export const typeName = (type) =>
  tFirst([`type.${type}`, type.charAt(0) + type.slice(1).toLowerCase()]);

/** A reason within a sentence. */
export const reasonInside = (reason, type) =>
  tFirst([`reason.${reason}.${type}`, `reason.${reason}`, reason.replaceAll("_", " ")]);

/** A reason by itself, so it begins with a capital. */
export function reasonText(reason, type) {
  const text = reasonInside(reason, type);
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A line that appears only if waiting takes longer than 400 ms; its room is kept. */
export function Loading() {
  const [isLate, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), 400);
    return () => clearTimeout(timer);
  }, []);
  return html`<p class="loading" role="presentation">${isLate ? t("loading") : " "}</p>`;
}

/** What a failed call means, in words. */
export function errorText(error) {
  if (error.status === 0) return t("error.network");
  if (error.status === 403) return `${t("error.forbidden")} ${error.detail}`;
  if (error.errors?.length) {
    return error.errors.map((one) => `${one.pointer.slice(1)} ${one.detail}`.trim()).join(". ");
  }
  return error.detail || t("error.other", { status: error.status ?? "" });
}

/** An error with what to do: *Retry* where the same call may succeed. */
export function Trouble({ error, onRetry, title }) {
  const text = error ? errorText(error) : "";
  useEffect(() => {
    if (text) announce(`${title ?? t("error.title")} ${text}`);
  }, [text]);
  if (!error) return null;
  return html`<div class="trouble">
    <p><${State} kind="failed">${title ?? t("error.title")}<//></p>
    <p dir="auto">${text}</p>
    ${onRetry && html`<button type="button" onClick=${onRetry}>${t("action.retry")}</button>`}
  </div>`;
}

/** A button whose action runs once at a time; `done` is shown and announced afterwards. */
export function Action({ run, label, about, done, kind = "" }) {
  const [state, setState] = useState({ isBusy: false, text: "", error: null });
  const isGone = useRef(false);
  useEffect(() => () => void (isGone.current = true), []);
  const press = async () => {
    if (state.isBusy) return;
    setState({ isBusy: true, text: "", error: null });
    try {
      await run();
      if (done) announce(done);
      if (!isGone.current) setState({ isBusy: false, text: done ?? "", error: null });
    } catch (error) {
      if (!isGone.current) setState({ isBusy: false, text: "", error });
      announce(errorText(error));
    }
  };
  return html`<span class="action">
    <button type="button" class=${kind} aria-disabled=${state.isBusy} onClick=${press}>
      ${label}${about && html`<span class="unseen"> ${about}</span>`}
    </button>
    ${state.text && html` <span class="done">${state.text}</span>`}
    ${state.error && html` <span class="wrong">${errorText(state.error)}</span>`}
  </span>`;
}

/** A labelled control with its hint and error tied to it. `children` gets the attributes. */
export function Field({ id, label, hint, error, children }) {
  const described = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(" ");
  return html`<div class="field">
    <label for=${id}>${label}</label>
    ${hint && html`<p class="hint" id=${`${id}-hint`}>${hint}</p>`}
    ${children({ id, "aria-describedby": described || undefined, "aria-invalid": error ? "true" : undefined })}
    ${error && html`<p class="wrong" id=${`${id}-error`}>${error}</p>`}
  </div>`;
}

/** Return the error of a field of a body, if the API named it. */
export const fieldError = (error, pointer) =>
  error?.errors?.find((one) => one.pointer === pointer || one.pointer.startsWith(`${pointer}/`))?.detail;

/** A heading to which the focus moves when the page opens. */
export function Heading({ children }) {
  return html`<h1 tabindex="-1">${children}</h1>`;
}
