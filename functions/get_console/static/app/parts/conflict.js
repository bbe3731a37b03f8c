// Two changes of the same thing: both are shown, and the user chooses.
import { useEffect, useRef } from "preact/hooks";
import { announce } from "../store.js";
import { html } from "../view.js";
import { t } from "../words.js";

/** @param {{rows: {label: string, theirs: string, mine: string}[], onTheirs: () => void, onMine: () => void}} props */
export function Conflict({ rows, onTheirs, onMine }) {
  const heading = useRef(null);
  useEffect(() => {
    heading.current.focus();
    announce(t("conflict.title"));
  }, []);
  return html`<section class="conflict" aria-labelledby="conflict-title">
    <h2 id="conflict-title" tabindex="-1" ref=${heading}>${t("conflict.title")}</h2>
    <p>${t("conflict.lead")}</p>
    <table>
      <thead>
        <tr>
          <th scope="col">${t("conflict.what")}</th>
          <th scope="col">${t("conflict.theirs")}</th>
          <th scope="col">${t("conflict.mine")}</th>
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (row) => html`<tr key=${row.label}>
            <th scope="row">${row.label}</th>
            <td>${row.theirs}</td>
            <td>${row.mine}</td>
          </tr>`,
        )}
      </tbody>
    </table>
    <p class="actions">
      <button type="button" onClick=${onTheirs}>${t("conflict.keepTheirs")}</button>
      <button type="button" onClick=${onMine}>${t("conflict.keepMine")}</button>
    </p>
  </section>`;
}
