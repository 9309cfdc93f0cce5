// JSON of which there is one reading: RFC 8259 with what its implementations differ in left out.

/** How deep objects and arrays may nest. */
const MAX_DEPTH = 127;
/** Strings, numbers and structure of a text that is JSON. */
const TOKENS = /"[^"\\]*(?:\\.[^"\\]*)*"|[-0-9][-+.0-9eE]*|[{}[\],]/g;

/**
 * Reads JSON: no key of an object twice, numbers integers from -(2^53 - 1) to 2^53 - 1 without fraction or exponent, no lone
 * surrogates, at most 127 levels.
 *
 * @param invalid Refuses; is told why.
 */
export function strictJson(text: string, invalid: (why: string) => never): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return invalid("it is not JSON");
  }
  // The text is JSON, so the tokens are what they look like.
  const open: (Set<string> | undefined)[] = [];
  let mayBeKey = false;
  for (const [token] of text.matchAll(TOKENS)) {
    const keys = open.at(-1);
    if (token === "{" || token === "[") {
      if (open.push(token === "{" ? new Set() : undefined) > MAX_DEPTH) return invalid("it nests too deep");
    } else if (token === "}" || token === "]") {
      open.pop();
    } else if (token.startsWith('"')) {
      const string = JSON.parse(token) as string;
      if (!string.isWellFormed()) return invalid("a string holds half a character");
      if (mayBeKey && keys !== undefined) {
        if (keys.has(string)) return invalid("a key is there twice");
        keys.add(string);
      }
    } else if (token !== "," && (!/^(?:0|-?[1-9]\d*)$/.test(token) || !Number.isSafeInteger(Number(token)))) {
      return invalid("a number is no integer from -(2^53 - 1) to 2^53 - 1");
    }
    mayBeKey = token === "{" || token === ",";
  }
  return value;
}
