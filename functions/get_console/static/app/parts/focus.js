// The focus is never lost: if the focused element is removed, its section's heading gets the focus.

/** Watch an element and everything in it. */
export function keepFocus(root) {
  let path = [];
  root.addEventListener("focusin", (event) => {
    path = event.composedPath().filter((one) => one instanceof Element && root.contains(one));
  });
  new MutationObserver(() => {
    const isLost = document.activeElement === document.body && path.length && !path[0].isConnected;
    if (!isLost) return;
    const heading = path
      .filter((one) => one.isConnected)
      .map((one) => one.querySelector("h1, h2"))
      .find(Boolean);
    path = [];
    if (!heading) return;
    if (!heading.hasAttribute("tabindex")) heading.setAttribute("tabindex", "-1");
    heading.focus({ preventScroll: true });
  }).observe(root, { childList: true, subtree: true });
}
