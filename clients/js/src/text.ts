// Foreign text in messages for people.

/**
 * U+FFFD, for characters that cannot be shown. Decoded at run time, because bundlers replace an escape by the
 * character, which a page of another character set misreads.
 */
export const REPLACEMENT: string = /* @__PURE__ */ decodeURIComponent("%EF%BF%BD");

/** Foreign text in a message: at most 100 characters, without control characters. */
export function shown(text: string): string {
  // A character has at most two UTF-16 units.
  return [...text.slice(0, 200)]
    .slice(0, 100)
    .join("")
    .replace(/\p{Cc}/gu, REPLACEMENT);
}

/** As {@link shown}, in quotation marks, with invisible and bidirectional characters escaped. */
export function quoted(text: string): string {
  const escaped = (character: string) => `\\u{${character.codePointAt(0)?.toString(16)}}`;
  return JSON.stringify(shown(text)).replace(/(?! )[\p{C}\p{Z}]/gu, escaped);
}
