// What the server says about itself, in the shell's only meta element of that name.

export const settings = JSON.parse(
  document.querySelector('meta[name="settings"]')?.content ?? '{"root": "./", "auth": "none"}',
);

/** The root of the stage, read before the address changes. */
export const rootUrl = new URL(settings.root, location.href.split("#")[0]);

export const apiUrl = (path) => new URL(path.replace(/^\//, ""), rootUrl);
