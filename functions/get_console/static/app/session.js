// Who uses the console. The access token is in the memory of this module and of api.js, and nowhere
// else: not in an address, not in storage, not in a cookie.
import { ApiError, call, get, useCredential } from "./api.js";
import { rootUrl, settings } from "./settings.js";
import { drafts, makeStore } from "./store.js";

const EVERYTHING = ["dispatch:read", "dispatch:write", "dispatch:send", "dispatch:admin"];
const KEPT = "dispatch.sign-in";
const RENEW_LINK_BEFORE = 60_000;
const WARN_BEFORE = 120_000;

/**
 * @typedef {object} Session
 * @property {"opening" | "open" | "closed" | "failed"} state
 * @property {"none" | "token" | "link" | null} kind
 * @property {string | null} user the user who is signed in, or whom the link is for
 * @property {boolean} allUsers
 * @property {string[]} scopes
 * @property {number | null} expiresAt
 * @property {"ending" | "ended" | null} notice
 * @property {string | null} trouble a key of the words, if the session could not be opened
 */
export const session = makeStore(
  /** @type {Session} */ ({
    state: "opening",
    kind: null,
    user: null,
    allUsers: false,
    scopes: [],
    expiresAt: null,
    notice: null,
    trouble: null,
  }),
);

const change = (values) => session.set({ ...session.get(), ...values });

export function may(scopes) {
  const held = session.get().scopes;
  return held.includes("dispatch:admin") || scopes.some((scope) => held.includes(scope));
}

/** Open a session by what the address holds and the operator has set up. */
export async function openSession() {
  const link = /\/p\/([^/]+)$/.exec(location.pathname);
  const answer = new URLSearchParams(location.search);
  try {
    if (link) return await openLink(link[1]);
    if (isEmbedded()) return waitForParent();
    if (settings.auth === "none") {
      return change({ state: "open", kind: "none", allUsers: true, scopes: EVERYTHING });
    }
    if (!settings.client_id) return change({ state: "closed", trouble: "session.noSignIn" });
    if (answer.has("state")) return await finishSignIn(answer);
    return await signIn({ silently: true });
  } catch (error) {
    const trouble = error instanceof Refusal ? error.message : "session.unreachable";
    return change({ state: "failed", trouble });
  }
}

// Links --------------------------------------------------------------------------------------------

/** Exchange the token of a preferences link, and take it out of the address. */
async function openLink(token) {
  history.replaceState(null, "", new URL("console", rootUrl) + location.hash);
  const opened = await exchangeLink(token);
  if (!opened) return change({ state: "failed", trouble: "session.linkEnded" });
  const own = `#/u/${encodeURIComponent(opened.user_id)}`;
  if (!location.hash.startsWith(`${own}/`)) history.replaceState(null, "", `${own}/what`);
  return change({
    state: "open",
    kind: "link",
    user: opened.user_id,
    scopes: ["dispatch:preferences"],
  });
}

async function exchangeLink(token) {
  useCredential(null, () => change({ notice: "ended" }));
  try {
    const { data } = await call("POST", "api/v1/session", { token: decodeURIComponent(token) });
    useCredential(data.access_token);
    change({ expiresAt: new Date(data.expires_at).getTime(), notice: null });
    const wait = new Date(data.expires_at).getTime() - Date.now() - RENEW_LINK_BEFORE;
    setTimeout(() => renewLink(token), Math.max(wait, 1000));
    return data;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

async function renewLink(token) {
  try {
    if (!(await exchangeLink(token))) change({ notice: "ended" });
  } catch {
    setTimeout(() => renewLink(token), 10_000);
  }
}

// OpenID Connect, authorization code flow with PKCE ---------------------------------------------------

/** A sign-in that must not go on; its message is a key of the words. */
class Refusal extends Error {}

const redirectUri = () => new URL("console", rootUrl).href;

/** Leave for the issuer; forms that are half filled are kept until the return. */
export async function signIn({ silently = false } = {}) {
  const { authorization_endpoint: endpoint } = await discovered();
  const [verifier, state, nonce] = [random(), random(), random()];
  const kept = { verifier, state, nonce, hash: location.hash, drafts: [...drafts] };
  sessionStorage.setItem(KEPT, JSON.stringify(kept));
  const target = new URL(endpoint);
  const parameters = {
    response_type: "code",
    client_id: settings.client_id,
    redirect_uri: redirectUri(),
    scope: settings.scope,
    audience: settings.audience,
    state,
    nonce,
    code_challenge: await challengeOf(verifier),
    code_challenge_method: "S256",
    ...(silently ? { prompt: "none" } : {}),
  };
  for (const [name, value] of Object.entries(parameters)) target.searchParams.set(name, value);
  location.replace(target);
}

async function finishSignIn(answer) {
  const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
  sessionStorage.removeItem(KEPT);
  history.replaceState(null, "", redirectUri() + (kept?.hash ?? ""));
  if (!kept || answer.get("state") !== kept.state) throw new Refusal("session.foreignAnswer");
  for (const [name, value] of kept.drafts) drafts.set(name, value);
  if (!answer.has("code")) return change({ state: "closed" });
  const { token_endpoint: endpoint } = await discovered();
  const response = await fetch(endpoint, {
    method: "POST",
    credentials: "omit",
    body: new URLSearchParams({
      grant_type: "authorization_code",
      code: answer.get("code"),
      redirect_uri: redirectUri(),
      client_id: settings.client_id,
      code_verifier: kept.verifier,
    }),
  });
  if (!response.ok) throw new Refusal("session.codeRefused");
  const tokens = await response.json();
  // The ID token came over TLS from the issuer itself, so its signature need not be checked here
  // (OpenID Connect Core, 3.1.3.7); the API checks the access token's.
  const claims = claimsOf(tokens.id_token);
  const audience = [claims.aud].flat();
  const isOurs = claims.iss === settings.issuer && audience.includes(settings.client_id);
  if (!isOurs || claims.nonce !== kept.nonce) throw new Refusal("session.foreignAnswer");
  return await openToken(tokens.access_token, tokens.expires_in);
}

/** Use an access token: the API says whose it is. */
async function openToken(token, expiresIn) {
  useCredential(token, () => change({ notice: "ended" }));
  const { data } = await get("api/v1/session");
  const known = data.expires_at ? new Date(data.expires_at).getTime() : null;
  const expiresAt = known ?? (expiresIn ? Date.now() + expiresIn * 1000 : null);
  change({
    state: "open",
    kind: "token",
    user: data.user_id,
    allUsers: data.all_users || data.scopes.includes("dispatch:admin"),
    scopes: data.scopes,
    expiresAt,
    notice: null,
    trouble: null,
  });
  if (expiresAt) watchExpiry(expiresAt);
}

let warning;
let ending;

function watchExpiry(expiresAt) {
  clearTimeout(warning);
  clearTimeout(ending);
  const left = expiresAt - Date.now();
  // setTimeout takes at most 24.8 days.
  if (left > 2 ** 31) return;
  warning = setTimeout(() => change({ notice: "ending" }), Math.max(left - WARN_BEFORE, 0));
  ending = setTimeout(() => change({ notice: "ended" }), Math.max(left, 0));
}

async function discovered() {
  const base = settings.issuer.replace(/\/$/, "");
  const response = await fetch(`${base}/.well-known/openid-configuration`, { credentials: "omit" });
  if (!response.ok) throw new Refusal("session.unreachable");
  const document = await response.json();
  if (document.issuer !== settings.issuer) throw new Refusal("session.foreignAnswer");
  return document;
}

function claimsOf(token) {
  try {
    const text = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new Refusal("session.foreignAnswer");
  }
}

const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));

async function challengeOf(verifier) {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier));
  return base64url(new Uint8Array(digest));
}

function base64url(bytes) {
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

// Embedding ----------------------------------------------------------------------------------------

const isEmbedded = () => window.parent !== window && settings.embed_origins.length > 0;

/** The language that the page around this one asked for. */
export const parentLanguage = makeStore(null);

function waitForParent() {
  addEventListener("message", async (event) => {
    const isKnown = settings.embed_origins.includes(event.origin);
    if (!isKnown || event.source !== window.parent || event.data?.type !== "dispatch:session") return;
    if (event.data.language) parentLanguage.set(String(event.data.language));
    try {
      await openToken(String(event.data.access_token));
    } catch {
      change({ state: "failed", trouble: "session.unreachable" });
    }
  });
  change({ state: "closed", trouble: "session.waiting" });
  // Only the origin that frames this page gets it; a browser that does not say which one it is
  // drops those for the others.
  const around = location.ancestorOrigins?.[0];
  for (const origin of settings.embed_origins) {
    if (!around || around === origin) window.parent.postMessage({ type: "dispatch:ready" }, origin);
  }
}
