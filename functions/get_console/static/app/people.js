// What is known about the user whose pages are open: preferences, time zone, and what may be changed.
import { useEffect } from "preact/hooks";
import { ApiError, call, get, userPath } from "./api.js";
import { may, session } from "./session.js";
import { makeStore, useStore } from "./store.js";
import { browserZone } from "./times.js";

const stores = new Map();

/** The language that the user of this session has chosen, once it is known. */
export const preferredLanguage = makeStore(null);

function storeOf(user) {
  if (!stores.has(user)) {
    stores.set(user, makeStore({ data: null, etag: null, error: null, saves: 0, queue: Promise.resolve() }));
  }
  return stores.get(user);
}

/** A save that met a change from elsewhere. The store holds the values of the other change. */
export class ConflictError extends Error {}

/** Read a user's preferences again. */
export async function loadPreferences(user) {
  const store = storeOf(user);
  try {
    const { data, etag } = await get(userPath(user, "preferences"));
    store.set({ ...store.get(), data, etag, error: null });
    const { kind, user: own } = session.get();
    if (kind === "none" || own === user) preferredLanguage.set(data.language);
  } catch (error) {
    store.set({ ...store.get(), error });
  }
}

/** A user's preferences: the known ones at once, and fresh ones if the page asks for them. */
export function usePreferences(user, { fresh = false } = {}) {
  const store = storeOf(user);
  const state = useStore(store);
  useEffect(() => {
    if (fresh || !store.get().data) loadPreferences(user);
  }, [store]);
  return { ...state, zone: zoneOf(state), reload: () => loadPreferences(user) };
}

export const zoneOf = ({ data }) => data?.effective.time_zone.value ?? browserZone();

/**
 * Change preferences. Changes of one page wait for each other, so that a second one knows the tag
 * that the first one got.
 * @param {(data: object) => object} changeOf returns the body for the preferences as they are then
 */
export function savePreferences(user, changeOf) {
  const store = storeOf(user);
  const step = async () => {
    const { data, etag } = store.get();
    try {
      const saved = await call("PUT", userPath(user, "preferences"), changeOf(data), { etag });
      const { rescheduled, ...next } = saved.data;
      store.set({ ...store.get(), data: next, etag: saved.etag, saves: store.get().saves + 1 });
      return { data: next, rescheduled };
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 412) throw error;
      await loadPreferences(user);
      throw new ConflictError();
    }
  };
  const done = store.get().queue.then(step, step);
  store.set({ ...store.get(), queue: done.catch(() => {}) });
  return done;
}

/** Switch an integration on or off for messages without a category; return what undoes it. */
export async function switchIntegration(user, type, enabled) {
  const path = userPath(user, "integrations", type);
  const { data } = await get(userPath(user, "integrations"));
  const before = data.integrations.find((one) => one.integration_type === type);
  if (before) await call("PUT", path, { enabled });
  else await call("POST", userPath(user, "integrations"), { integration_type: type, enabled });
  await refreshed(user);
  return async () => {
    if (before) await call("PUT", path, { enabled: before.enabled ?? null });
    else await call("DELETE", path);
    await refreshed(user);
  };
}

async function refreshed(user) {
  await loadPreferences(user);
  const store = storeOf(user);
  store.set({ ...store.get(), saves: store.get().saves + 1 });
}

/** Return null for something that does not exist; every other error goes on. */
export function missing(error) {
  if (error instanceof ApiError && error.status === 404) return null;
  throw error;
}

// Support: an administrator looks at a user's pages before changing anything ---------------------------

/** Users who were opened by *Find*, and those whose settings may be changed on their behalf. */
export const support = makeStore({ found: new Set(), allowed: new Set() });

export function addTo(list, user) {
  const state = support.get();
  support.set({ ...state, [list]: new Set([...state[list], user]) });
}

export function isSupporting(user) {
  const { kind, user: own, scopes } = session.get();
  const { found } = support.get();
  if (kind === "none") return found.has(user);
  return own !== user && scopes.includes("dispatch:admin");
}

/** Whether the page may offer a change that takes one of these scopes. */
export function mayChange(user, ...scopes) {
  return may(scopes) && (!isSupporting(user) || support.get().allowed.has(user));
}
