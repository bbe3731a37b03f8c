// Values that several components show, and that change: a store tells them.
import { useEffect, useState } from "preact/hooks";

/** @template T @param {T} value */
export function makeStore(value) {
  const listeners = new Set();
  return {
    get: () => value,
    set(next) {
      value = next;
      for (const listener of [...listeners]) listener(next);
    },
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

export function useStore(store) {
  const [value, setValue] = useState(() => store.get());
  useEffect(() => {
    setValue(store.get());
    return store.listen((next) => setValue(() => next));
  }, [store]);
  return value;
}

/** Texts for screen readers: each is read once. */
export const announcement = makeStore({ text: "", number: 0 });

export function announce(text) {
  announcement.set({ text, number: announcement.get().number + 1 });
}

/**
 * Half-filled forms by name. They survive the redirect of a sign-in, and nothing else. The name of
 * a form about a user contains the user: nobody gets what was typed for somebody else.
 */
export const drafts = new Map();

/** Like `useState`, for the values of a form that must survive a sign-in. */
export function useDraft(name, initial) {
  const [value, setValue] = useState(() => drafts.get(name) ?? initial);
  const change = (next) => {
    drafts.set(name, next);
    setValue(next);
  };
  const discard = (next) => {
    drafts.delete(name);
    setValue(next);
  };
  return [value, change, discard];
}
