// A switch that saves at once, can be undone for 10 s, and returns if the save fails.
import { useEffect, useRef, useState } from "preact/hooks";
import { ConflictError } from "../people.js";
import { announce } from "../store.js";
import { html } from "../view.js";
import { t } from "../words.js";
import { errorText } from "./pieces.js";

const UNDO_FOR = 10_000;

/**
 * @param {object} props
 * @param {string} props.label the accessible name: "category, channel"
 * @param {boolean} props.on
 * @param {string | null} props.note why it is as it is
 * @param {(on: boolean) => Promise<{on: boolean, undo: () => Promise<void>}>} props.change
 */
export function Switch({ id, label, on, note, isNoteSeen, change, isReadOnly }) {
  const [state, setState] = useState({ phase: "idle" });
  const timer = useRef(null);
  useEffect(() => () => clearTimeout(timer.current), []);

  const settle = (next, text) => {
    clearTimeout(timer.current);
    setState(next);
    announce(text);
    if (next.phase === "saved") {
      timer.current = setTimeout(() => setState({ phase: "idle" }), UNDO_FOR);
    }
  };
  const attempt = async (want) => {
    clearTimeout(timer.current);
    setState({ phase: "saving", want });
    try {
      const saved = await change(want);
      const text = saved.on === want ? t(want ? "saved.on" : "saved.off", { label }) : t("saved.noEffect", { label });
      settle({ phase: "saved", undo: saved.undo, hasEffect: saved.on === want }, text);
    } catch (error) {
      if (error instanceof ConflictError) return setState({ phase: "idle" });
      settle({ phase: "failed", want, error }, t("notSaved.about", { label, why: errorText(error) }));
    }
  };
  const undo = async () => {
    const { undo: run } = state;
    clearTimeout(timer.current);
    document.getElementById(id)?.focus();
    setState({ phase: "saving", want: !on });
    try {
      await run();
      settle({ phase: "idle" }, t("undone", { label }));
    } catch (error) {
      if (error instanceof ConflictError) return setState({ phase: "idle" });
      settle({ phase: "failed", want: !on, error }, t("notSaved.about", { label, why: errorText(error) }));
    }
  };
  const isOn = state.phase === "saving" ? state.want : on;
  return html`<span class="switch">
    <input id=${id} type="checkbox" role="switch" aria-label=${label} checked=${isOn}
      aria-describedby=${`${id}-note`} aria-disabled=${isReadOnly || state.phase === "saving" ? "true" : undefined}
      onClick=${(event) => (isReadOnly || state.phase === "saving") && event.preventDefault()}
      onChange=${(event) => attempt(event.target.checked)} />
    <span class=${isNoteSeen || state.phase !== "idle" ? "note" : "unseen"} id=${`${id}-note`}>${noteOf(state, note)}</span>
    ${state.phase === "saved" &&
    html`<button type="button" class="small" onClick=${undo}>${t("action.undo")}<span class="unseen"> ${label}</span></button>`}
    ${state.phase === "failed" &&
    html`<button type="button" class="small" onClick=${() => attempt(state.want)}>${t("action.retry")}<span class="unseen"> ${label}</span></button>`}
  </span>`;
}

function noteOf(state, note) {
  if (state.phase === "saved") return state.hasEffect ? t("saved") : t("saved.noEffectShort");
  if (state.phase !== "failed") return note;
  return html`<span class="wrong">${t("notSaved")} ${state.error.status === 0 ? "" : errorText(state.error)}</span>`;
}
