// Addresses of pages. They are in the fragment, so no server sees a user ID or a token.

/** Pages of one user, in the order of the navigation, with the scopes of which each needs one. */
export const USER_PAGES = [
  { page: "what", scopes: ["dispatch:read", "dispatch:preferences"] },
  { page: "when", scopes: ["dispatch:read", "dispatch:preferences"] },
  { page: "where", scopes: ["dispatch:read"] },
  { page: "history", scopes: ["dispatch:read"] },
  { page: "mailbox", scopes: ["dispatch:read"] },
  { page: "preview", scopes: ["dispatch:read", "dispatch:send", "dispatch:preferences"] },
];

export const ADMIN_PAGES = [
  { page: "find", scopes: ["dispatch:admin"] },
  { page: "overview", scopes: ["dispatch:admin"] },
  { page: "categories", scopes: ["dispatch:admin"] },
];

/**
 * @typedef {{page: string, user: string | null, query: URLSearchParams}} Route
 * @param {string} fragment such as `#/u/ada/what?lang=de`
 * @returns {Route} `page` is "start" for an empty fragment and "unknown" for one that leads nowhere
 */
export function parseRoute(fragment) {
  const [path, search = ""] = fragment.replace(/^#?\/?/, "").split("?");
  const query = new URLSearchParams(search);
  const segments = path.split("/").map(decoded);
  if (path === "") return { page: "start", user: null, query };
  if (segments[0] === "u" && segments[1]) {
    const page = segments.length === 2 ? "what" : segments[2];
    const known = segments.length < 4 && USER_PAGES.some((one) => one.page === page);
    return { page: known ? page : "unknown", user: segments[1], query };
  }
  const known = segments.length === 1 && ADMIN_PAGES.some((one) => one.page === path);
  return { page: known ? path : "unknown", user: null, query };
}

/** Return the fragment of a page. */
export function address(page, user = null, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== "");
  const search = given.length ? `?${new URLSearchParams(given)}` : "";
  return user === null ? `#/${page}${search}` : `#/u/${encodeURIComponent(user)}/${page}${search}`;
}

function decoded(segment) {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
