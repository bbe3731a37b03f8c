// What a switch of "What you get" shows, and what it stores. Pure.

/** The order of columns and names of integrations. */
export const TYPES = ["SLACK", "EMAIL", "SMS", "WEBHOOK", "CLI", "TOOL", "TEST"];

/** Return the types that are set up on this system, in the order of the columns. */
export function columnsOf(effective) {
  const states = [effective.without_category, ...effective.categories];
  const types = Object.keys(effective.without_category.integrations);
  const usable = types.filter((type) =>
    states.some(({ integrations }) => {
      const state = integrations[type];
      return state && (state.enabled || state.reason !== "not_configured");
    }),
  );
  const place = (type) => (TYPES.includes(type) ? TYPES.indexOf(type) : TYPES.length);
  return usable.sort((one, other) => place(one) - place(other));
}

/** Group categories by their heading, in the order in which the headings first appear. */
export function grouped(categories) {
  const groups = new Map();
  for (const category of categories) {
    groups.set(category.group, [...(groups.get(category.group) ?? []), category]);
  }
  return [...groups];
}

/**
 * Return what a cell is: a switch, or a text where a change could have no effect.
 * @returns {{kind: "switch" | "always" | "reason", on: boolean, reason: string | null}}
 */
export function cellOf(state, isLocked) {
  if (state.changeable) return { kind: "switch", on: state.enabled, reason: state.reason };
  if (isLocked && state.enabled) return { kind: "always", on: true, reason: state.reason };
  return { kind: "reason", on: state.enabled, reason: state.reason };
}

/**
 * Return the choice to store for a category after a switch was pressed.
 *
 * A category that the user switched off as a whole is off on every channel; to get one of them
 * back, the others are stored as off one by one.
 */
export function chosen(stored, category, type, on) {
  const integrations = { ...(stored?.integrations ?? {}) };
  if (stored?.enabled === false && on) {
    for (const [other, state] of Object.entries(category.integrations)) {
      if (state.changeable && other !== type) integrations[other] = false;
    }
    return { enabled: true, integrations: { ...integrations, [type]: true } };
  }
  const kept = stored?.enabled === undefined || stored.enabled === null ? {} : { enabled: stored.enabled };
  return { ...kept, integrations: { ...integrations, [type]: on } };
}
