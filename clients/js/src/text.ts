// Foreign text in messages for people.

/**
 * U+FFFD, which stands for what cannot be shown. Decoded, because bundlers turn an escape back into the character, and a page of
 * another character set reads that as three others.
 */
export const REPLACEMENT: string = /* @__PURE__ */ decodeURIComponent("%EF%BF%BD");

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
