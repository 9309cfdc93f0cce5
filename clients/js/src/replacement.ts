/**
 * U+FFFD, which stands for what cannot be shown. Decoded, because bundlers turn an escape back into the character, and a page of
 * another character set reads that as three others.
 */
export const REPLACEMENT: string = /* @__PURE__ */ decodeURIComponent("%EF%BF%BD");
