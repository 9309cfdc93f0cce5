// JSON that has one reading: RFC 8259 without what its implementations read differently.

/** The deepest nesting of objects and arrays. */
const MAX_DEPTH = 127;
/** Strings, numbers and structure of a valid JSON text. */
const TOKENS = /"[^"\\]*(?:\\.[^"\\]*)*"|[-0-9][-+.0-9eE]*|[{}[\],]/g;

/**
 * Reads JSON. Refuses duplicate keys, numbers other than integers from -(2^53 - 1) to 2^53 - 1 without
 * fraction or exponent, lone surrogates, and more than 127 levels.
 *
 * @param invalid Refuses, with the reason.
 */
export function strictJson(text: string, invalid: (why: string) => never): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return invalid("it is not JSON");
  }
  // The text is valid JSON, so the tokens are unambiguous.
  const open: (Set<string> | undefined)[] = [];
  let mayBeKey = false;
  for (const [token] of text.matchAll(TOKENS)) {
    const keys = open.at(-1);
    if (token === "{" || token === "[") {
      if (open.push(token === "{" ? new Set() : undefined) > MAX_DEPTH) return invalid("it nests too deeply");
    } else if (token === "}" || token === "]") {
      open.pop();
    } else if (token.startsWith('"')) {
      const string = JSON.parse(token) as string;
      if (!string.isWellFormed()) return invalid("a string holds a lone surrogate");
      if (mayBeKey && keys !== undefined) {
        if (keys.has(string)) return invalid("a key appears twice");
        keys.add(string);
      }
    } else if (token !== "," && (!/^(?:0|-?[1-9]\d*)$/.test(token) || !Number.isSafeInteger(Number(token)))) {
      return invalid("a number is not an integer from -(2^53 - 1) to 2^53 - 1");
    }
    mayBeKey = token === "{" || token === ",";
  }
  return value;
}
