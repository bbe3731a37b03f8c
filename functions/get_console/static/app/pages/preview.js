// What if: what would become of a message of a category.
import { useState } from "preact/hooks";
import { usePreferences } from "../people.js";
import { html } from "../view.js";
import { t } from "../words.js";
import { CategoryChoice, Outlook } from "../parts/outlook.js";
import { Heading } from "../parts/pieces.js";

export function PreviewPage({ user, query }) {
  const { data, zone, saves } = usePreferences(user);
  const [category, setCategory] = useState(query.get("category") ?? "");
  const [mode, setMode] = useState("all");
  return html`<${Heading}>${t("page.preview")}<//>
    <p class="lead">${t("preview.lead")}</p>
    <div class="row">
      <${CategoryChoice} id="category" categories=${data?.effective.categories ?? []} value=${category} onChange=${setCategory} />
      <div class="field">
        <label for="mode">${t("preview.mode")}</label>
        <select id="mode" value=${mode} onChange=${(event) => setMode(event.target.value)}>
          <option value="all">${t("preview.mode.all")}</option>
          <option value="first_success">${t("preview.mode.first_success")}</option>
        </select>
      </div>
    </div>
    <${Outlook} user=${user} category=${category} mode=${mode} zone=${zone} saves=${saves} isAnnounced=${true} />
    <p class="quiet">${t("preview.zone", { zone })}</p>`;
}
