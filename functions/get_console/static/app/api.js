// The API: one function for all calls. Errors carry what the page has to show.
import { apiUrl } from "./settings.js";

/** A call that did not succeed; `status` is 0 if no response came. */
export class ApiError extends Error {
  constructor(status, problem = {}) {
    super(problem.detail ?? problem.title ?? "");
    this.status = status;
    this.detail = problem.detail ?? "";
    /** @type {{pointer: string, detail: string}[]} */
    this.errors = problem.errors ?? [];
  }

  /** Whether the same call may succeed later. */
  get isTemporary() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

const credential = { token: null, onRefused: () => {} };

/** Send calls with a bearer token, or without one; `onRefused` is called after a 401. */
export function useCredential(token, onRefused = credential.onRefused) {
  credential.token = token;
  credential.onRefused = onRefused;
}

/**
 * Call the API.
 * @returns {Promise<{data: any, etag: string | null}>}
 */
export async function call(method, path, body, options = {}) {
  const headers = {};
  if (credential.token) headers.Authorization = `Bearer ${credential.token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (options.etag) headers["If-Match"] = options.etag;
  const response = await responded(apiUrl(path), {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    cache: "no-store",
    credentials: "omit",
  });
  const text = await response.text().catch(() => "");
  const data = parsed(text);
  if (response.ok) return { data, etag: response.headers.get("ETag") };
  if (response.status === 401 && credential.token) credential.onRefused();
  throw new ApiError(response.status, data ?? {});
}

export const get = (path) => call("GET", path);

/** Return the path of a user's resource, its parts encoded. */
export function userPath(user, ...segments) {
  return ["api/v1/users", ...[user, ...segments].map(encodeURIComponent)].join("/");
}

async function responded(url, request) {
  try {
    return await fetch(url, request);
  } catch {
    throw new ApiError(0);
  }
}

function parsed(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}
