// Mailbox: messages to the terminal, oldest first.
import { useState } from "preact/hooks";
import { call, get, userPath } from "../api.js";
import { mayChange, usePreferences } from "../people.js";
import { announce } from "../store.js";
import { html } from "../view.js";
import { t } from "../words.js";
import { useLoaded } from "../parts/hooks.js";
import { Action, Heading, Loading, Time, Trouble } from "../parts/pieces.js";

const LETTERS = 50;

export function MailboxPage({ user }) {
  const { zone } = usePreferences(user);
  const [error, setError] = useState(null);
  const path = (after) => `${userPath(user, "messages")}?${new URLSearchParams({ integration_type: "CLI", limit: LETTERS, ...(after ? { after } : {}) })}`;
  const loaded = useLoaded(async () => (await get(path())).data, [user]);
  const { data } = loaded;
  const more = async () => {
    try {
      const next = await get(path(data.next_cursor));
      loaded.setData({ ...next.data, messages: [...data.messages, ...next.data.messages] });
      announce(t("history.loaded", { count: next.data.messages.length }));
    } catch (problem) {
      setError(problem);
    }
  };
  const acknowledge = async (message, place) => {
    await call("DELETE", userPath(user, "messages", message.message_id));
    loaded.setData({ ...data, messages: data.messages.filter((one) => one !== message) });
    announce(t("mailbox.acknowledged"));
    // The focus goes on to the next message, or to the heading after the last one.
    requestAnimationFrame(() => {
      const items = document.querySelectorAll(".letters > li button");
      (items[Math.min(place, items.length - 1)] ?? document.querySelector("h1")).focus();
    });
  };
  return html`<${Heading}>${t("page.mailbox")}<//>
    ${loaded.error && html`<${Trouble} error=${loaded.error} onRetry=${loaded.reload} />`}
    ${!data && !loaded.error && html`<${Loading} />`}
    ${data && data.messages.length === 0 && html`<p class="lead">${t("mailbox.empty")}</p>`}
    <ol class="letters">
      ${data?.messages.map(
        (message, place) => html`<li key=${message.message_id}>
          <article>
            <h2 dir="auto">${message.subject || t("history.noSubject")}</h2>
            <p class="quiet"><${Time} at=${message.created_at} zone=${zone} />
              ${message.agent_id && html` <span dir="auto">· ${message.agent_id}</span>`}</p>
            <${Content} text=${message.content} />
            ${mayChange(user, "dispatch:write") &&
            html`<p class="actions"><${Action} label=${t("mailbox.acknowledge")} about=${message.subject ?? ""} run=${() => acknowledge(message, place)} /></p>`}
          </article>
        </li>`,
      )}
    </ol>
    <${Trouble} error=${error} />
    ${data?.next_cursor && html`<p class="actions"><button type="button" onClick=${more}>${t("history.more")}</button></p>`}`;
}

const SHORT = 2000;

/** Content as text. Long content is cut until it is asked for. */
function Content({ text }) {
  const [isWhole, setWhole] = useState(text.length <= SHORT);
  return html`<pre class="content" dir="auto">${isWhole ? text : `${text.slice(0, SHORT)} …`}</pre>
    ${!isWhole && html`<p><button type="button" class="small" onClick=${() => setWhole(true)}>${t("mailbox.whole", { count: text.length })}</button></p>`}`;
}
