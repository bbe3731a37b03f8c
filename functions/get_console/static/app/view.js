// How components are written: html`<p>${text}</p>` makes elements, never markup from text.
import { h } from "preact";
import htm from "htm";

export const html = htm.bind(h);
