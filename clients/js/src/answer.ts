// The service's answers: JSON with exactly the fields that are due.

import { type Bytes, fromUtf8, parseBase64Url } from "./bytes.js";
import { refuse } from "./error.js";
import { strictJson } from "./json.js";

/** The longest answer that is read, in bytes. */
export const MAX_ANSWER = 1 << 20;

/** An object of an answer: nobody has looked at its values. */
export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * Reads an answer, or looks at a part of one that was read.
 *
 * @param fields The fields that must be there, and no other; whatever there is if left out.
 * @throws {Ok2cryError} `answer_invalid`.
 */
export function parseAnswer(answer: unknown, fields?: readonly string[]): JsonObject {
  if ((typeof answer === "string" || answer instanceof Uint8Array) && answer.length > MAX_ANSWER) {
    return invalid(`it is longer than ${MAX_ANSWER} bytes`);
  }
  const text = answer instanceof Uint8Array ? (fromUtf8(answer) ?? invalid("it is not UTF-8")) : answer;
  const value = typeof text === "string" ? strictJson(text, invalid) : text;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return invalid("an object is due");
  if (fields === undefined) return value as JsonObject;
  for (const field of fields) if (!Object.hasOwn(value, field)) invalid(`${field} is missing`);
  const unknown = Object.keys(value).find((field) => !fields.includes(field));
  if (unknown !== undefined) invalid(`there is an unknown field ${JSON.stringify(unknown.slice(0, 32))}`);
  return value as JsonObject;
}

/** A byte string: base64url without padding. */
export function bytesField(object: JsonObject, field: string): Bytes {
  const value = object[field];
  const bytes = typeof value === "string" ? parseBase64Url(value) : undefined;
  return bytes ?? invalid(`${field} is not base64url without padding`);
}

/** An unsigned integer. */
export function numberField(object: JsonObject, field: string): number {
  const value = object[field];
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) return invalid(`${field} is no number`);
  return value;
}

/** A text. */
export function textField(object: JsonObject, field: string): string {
  const value = object[field];
  return typeof value === "string" ? value : invalid(`${field} is no text`);
}

/** Refuses an answer. */
export function invalid(why: string): never {
  refuse("answer_invalid", `the answer is not understood: ${why}`);
}
