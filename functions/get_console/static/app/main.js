// The console: opens a session, loads the words, and shows the page that the address names.
import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { addTo, isSupporting, preferredLanguage, support } from "./people.js";
import { CategoriesPage } from "./pages/categories.js";
import { FindPage } from "./pages/find.js";
import { HistoryPage } from "./pages/history.js";
import { MailboxPage } from "./pages/mailbox.js";
import { OverviewPage } from "./pages/overview.js";
import { PreviewPage } from "./pages/preview.js";
import { WhatPage } from "./pages/what.js";
import { WhenPage } from "./pages/when.js";
import { WherePage } from "./pages/where.js";
import { ADMIN_PAGES, USER_PAGES, address, parseRoute } from "./router.js";
import { may, openSession, parentLanguage, session, signIn } from "./session.js";
import { rootUrl, settings } from "./settings.js";
import { announcement, makeStore, useStore } from "./store.js";
import { html } from "./view.js";
import { LANGUAGES, chosenLanguage, language, t, useLanguage } from "./words.js";
import { keepFocus } from "./parts/focus.js";
import { useWide } from "./parts/hooks.js";
import { Heading, Loading, State } from "./parts/pieces.js";
import { absolute, browserZone } from "./times.js";

const PAGES = {
  what: WhatPage,
  when: WhenPage,
  where: WherePage,
  history: HistoryPage,
  mailbox: MailboxPage,
  preview: PreviewPage,
  find: FindPage,
  overview: OverviewPage,
  categories: CategoriesPage,
};
const FIRST_USER = "john.doe";
const RECENT = "dispatch.users";
const RECENT_LENGTH = 5;
const CHECK_VERSION_AFTER = 60_000;

function App() {
  const current = useStore(session);
  const [route, setRoute] = useState(() => parseRoute(location.hash));
  const [, setWords] = useState(language());
  const [asked, setAsked] = useState(route.query.get("lang"));
  const [isOutdated, setOutdated] = useState(false);
  const user = route.user ?? current.user ?? (current.kind === "none" ? recent.get()[0] : null) ?? null;

  useEffect(() => {
    const follow = () => {
      const next = parseRoute(location.hash);
      setRoute(next);
      if (next.query.get("lang")) setAsked(next.query.get("lang"));
    };
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  useEffect(() => watchVersion(setOutdated), []);

  const fromParent = useStore(parentLanguage);
  const preferred = useStore(preferredLanguage);
  const wanted = chosenLanguage([asked, fromParent, preferred, ...navigator.languages]);
  useEffect(() => {
    if (wanted === language()) return;
    useLanguage(wanted).then(() => setWords(wanted), () => setOutdated(true));
  }, [wanted]);

  const isOpen = current.state === "open";
  const page = isOpen && route.page === "start" ? null : route.page;
  useEffect(() => {
    if (!isOpen || route.page !== "start") return;
    if (user) location.replace(address("what", user));
    else if (may(["dispatch:admin"])) location.replace(address("find"));
  }, [isOpen, route.page, user]);
  useEffect(() => {
    if (isOpen && current.kind === "none" && route.user) rememberUser(route.user);
  }, [isOpen, route.user]);
  useFocusOnHeading(route.page, route.user);
  useEffect(() => {
    const parts = [page && page in PAGES ? t(`page.${page}`) : null, route.user, settings.title];
    document.title = parts.filter(Boolean).join(" · ");
  });

  return html`<a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.querySelector("h1")?.focus(); }}>${t("app.skip")}</a>
    <${Header} session=${current} user=${user} route=${route} />
    ${isOutdated && html`<div class="banner"><p>${t("app.outdated")} <button type="button" onClick=${() => location.reload()}>${t("app.reload")}</button></p></div>`}
    <${SessionNotice} session=${current} />
    <main id="main">
      ${isOpen ? html`<${Page} key=${`${route.page} ${route.user}`} route=${route} user=${user} session=${current} />` : html`<${Door} session=${current} />`}
    </main>
    <${Footer} chosen=${language()} onChoose=${setAsked} />
    <${LiveRegion} />`;
}

/** The one live region: each text is announced once. */
function LiveRegion() {
  const { text, number } = useStore(announcement);
  return html`<div role="status" aria-live="polite" class="unseen"><span key=${number}>${text}</span></div>`;
}

function Page({ route, user, session: current }) {
  useStore(support);
  if (route.page === "start") return user ? html`<${Loading} />` : html`<${Heading}>${settings.title}<//><p>${t("app.noUser")}</p>`;
  const Component = PAGES[route.page];
  if (!Component) {
    return html`<${Heading}>${t("app.unknown")}<//>
      <p>${t("app.unknownLead")} <a href="#/">${t("app.home")}</a></p>`;
  }
  const { scopes } = [...USER_PAGES, ...ADMIN_PAGES].find((one) => one.page === route.page);
  if (!may(scopes)) {
    return html`<${Heading}>${t(`page.${route.page}`)}<//>
      <p>${t(current.kind === "link" ? "app.notByLink" : "app.missingScope", { scope: scopes[0] })}</p>`;
  }
  if (route.user && current.kind !== "none" && route.user !== current.user && !current.allUsers) {
    return html`<${Heading}>${t(`page.${route.page}`)}<//><p>${t("app.otherUser", { user: route.user })}</p>`;
  }
  return html`${route.user && html`<${OnBehalf} user=${route.user} />`}
    <${Component} user=${route.user} query=${route.query} />`;
}

/** An administrator looks first, and changes only after saying so. */
function OnBehalf({ user }) {
  const { allowed } = useStore(support);
  if (!isSupporting(user)) return null;
  return html`<div class="banner">
    ${allowed.has(user)
      ? html`<p>${t("support.changing", { user })}</p>`
      : html`<p>${t("support.looking", { user })}
          <button type="button" onClick=${() => addTo("allowed", user)}>${t("support.change")}</button></p>`}
  </div>`;
}

function Header({ session: current, user, route }) {
  const isWide = useWide(40);
  const [isOpen, setOpen] = useState(false);
  useEffect(() => setOpen(false), [route]);
  const isIn = current.state === "open";
  const links = isIn
    ? [
        ...(user ? USER_PAGES.map((one) => ({ ...one, href: address(one.page, user) })) : []),
        ...ADMIN_PAGES.map((one) => ({ ...one, href: address(one.page) })),
      ].filter(({ scopes }) => may(scopes))
    : [];
  const list = html`<ul>
    ${links.map(({ page, href }) => html`<li key=${page}><a href=${href} aria-current=${route.page === page ? "page" : undefined}>${t(`page.${page}`)}</a></li>`)}
  </ul>`;
  return html`<header>
    <div class="top">
      <p class="brand"><a href="#/">${settings.title}</a></p>
      ${isIn && current.kind === "none" && html`<${UserField} user=${user} page=${route.user ? route.page : "what"} />`}
      ${isIn && current.kind !== "none" && user && html`<p class="who" dir="auto">${user}</p>`}
    </div>
    ${isIn && current.kind === "none" && html`<p class="banner quiet">${t("app.noAuth")}</p>`}
    ${links.length > 0 &&
    html`<nav aria-label=${t("app.pages")}>
      ${isWide ? list : html`<details open=${isOpen} onToggle=${(event) => setOpen(event.currentTarget.open)}><summary>${t("app.menu")}</summary>${list}</details>`}
    </nav>`}
  </header>`;
}

function UserField({ user, page }) {
  const known = useStore(recent);
  const [value, setValue] = useState(user ?? "");
  useEffect(() => setValue(user ?? ""), [user]);
  const go = (event) => {
    event.preventDefault();
    if (value) location.hash = address(page in PAGES ? page : "what", value);
  };
  return html`<form class="user" onSubmit=${go}>
    <label for="user">${t("app.user")}</label>
    <input id="user" list="users" value=${value} autocomplete="off" spellcheck=${false} onInput=${(event) => setValue(event.target.value.trim())} />
    <datalist id="users">${known.map((one) => html`<option key=${one} value=${one} />`)}</datalist>
    <button type="submit">${t("app.open")}</button>
  </form>`;
}

function SessionNotice({ session: current }) {
  if (!current.notice) return null;
  const time = current.expiresAt && absolute(new Date(current.expiresAt).toISOString(), browserZone(), language());
  const text = current.kind === "link" ? t("session.linkEnded") : t(`session.${current.notice}`, { time });
  return html`<div class="banner" role="alert"><p>${text}
    ${current.kind === "token" && html` <button type="button" onClick=${() => signIn()}>${t(current.notice === "ending" ? "session.renew" : "session.signIn")}</button>`}</p></div>`;
}

/** What there is to see before a session is open. */
function Door({ session: current }) {
  if (current.state === "opening") return html`<${Loading} />`;
  const canSignIn = settings.client_id && current.trouble !== "session.waiting" && current.trouble !== "session.linkEnded";
  return html`<${Heading}>${settings.title}<//>
    ${current.trouble && html`<p><${State} kind=${current.state === "failed" ? "failed" : "none"}>${t(current.trouble)}<//></p>`}
    ${canSignIn && html`<p class="actions"><button type="button" class="main" onClick=${() => signIn()}>${t("session.signIn")}</button></p>`}`;
}

function Footer({ chosen, onChoose }) {
  return html`<footer>
    <p>${Object.entries(LANGUAGES).map(
      ([tag, name]) => html`<button type="button" class="small" key=${tag} lang=${tag} aria-pressed=${chosen === tag} onClick=${() => onChoose(tag)}>${name}</button> `,
    )}</p>
    <p class="quiet">${t("app.version", { version: settings.version ?? "" })} <a href=${new URL("docs", rootUrl).href}>${t("app.docs")}</a></p>
  </footer>`;
}

/** After a navigation the focus moves to the page's heading; not when the console opens. */
function useFocusOnHeading(page, user) {
  const isFirst = useRef(true);
  useEffect(() => {
    if (isFirst.current) {
      isFirst.current = page === "start";
      return;
    }
    scrollTo(0, 0);
    document.querySelector("h1")?.focus({ preventScroll: true });
  }, [page, user]);
}

/** A page that was open for long may be older than the server's files. */
function watchVersion(setOutdated) {
  let last = Date.now();
  const look = async () => {
    if (document.hidden || Date.now() - last < CHECK_VERSION_AFTER) return;
    last = Date.now();
    const response = await fetch(new URL("console", rootUrl), { cache: "no-cache" }).catch(() => null);
    if (response?.ok && !(await response.text()).includes(settings.assets)) setOutdated(true);
  };
  document.addEventListener("visibilitychange", look);
  addEventListener("hashchange", look);
  return () => {
    document.removeEventListener("visibilitychange", look);
    removeEventListener("hashchange", look);
  };
}

function recentUsers() {
  try {
    const known = JSON.parse(localStorage.getItem(RECENT) ?? "[]");
    return known.length ? known : [FIRST_USER];
  } catch {
    return [FIRST_USER];
  }
}

const recent = makeStore(recentUsers());

function rememberUser(user) {
  recent.set([user, ...recent.get().filter((one) => one !== user)].slice(0, RECENT_LENGTH));
  try {
    localStorage.setItem(RECENT, JSON.stringify(recent.get()));
  } catch {
    // Storage may be switched off; the field works without it.
  }
}

const first = parseRoute(location.hash);
const [, opened] = await Promise.allSettled([
  useLanguage(chosenLanguage([first.query.get("lang"), ...navigator.languages])),
  openSession(),
]);
if (opened.status === "rejected") throw opened.reason;
const root = document.getElementById("app");
root.replaceChildren();
keepFocus(root);
render(html`<${App} />`, root);
