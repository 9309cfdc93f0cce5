// What refusals about releases have in common.

import { refuse } from "../error.js";
import { REPLACEMENT } from "../replacement.js";

/** Refuses a field that breaks its rule. */
export function refuseField(what: string, field: string, rule: string): never {
  return refuse("release_field_invalid", `${what}: ${field} must be ${rule}`);
}

/** Foreign text in a message: at most 100 characters, none of which does anything to a terminal. */
export function shown(text: string): string {
  // A character has at most two UTF-16 units.
  return [...text.slice(0, 200)]
    .slice(0, 100)
    .join("")
    .replace(/\p{Cc}/gu, REPLACEMENT);
}

/** As {@link shown}, in quotation marks, and without what cannot be seen or turns the text around. */
export function quoted(text: string): string {
  const escaped = (character: string) => `\\u{${character.codePointAt(0)?.toString(16)}}`;
  return JSON.stringify(shown(text)).replace(/(?! )[\p{C}\p{Z}]/gu, escaped);
}
