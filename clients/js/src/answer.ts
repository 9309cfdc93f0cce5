// The service's answers: JSON with exactly the fields that are due.

import { type Bytes, fromUtf8, isBytes, parseBase64Url, utf8 } from "./bytes.js";
import { MAX_ANSWER } from "./codes.js";
import { refuse } from "./error.js";
import { strictJson } from "./json.js";
import { own } from "./own.js";

/** An object of an answer: nobody has looked at its values. */
export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * Reads an answer: one JSON object.
 *
 * @param fields The fields that must be there, and no other; whatever there is if left out.
 * @throws {Ok2cryError} `answer_invalid`, also for what is neither text nor bytes: JSON that another reader has read may have had
 *   two readings.
 */
export function parseAnswer(answer: string | Uint8Array, fields?: readonly string[]): JsonObject {
  const isText = typeof answer === "string";
  if (!isText && !isBytes(answer)) return invalid("text or bytes are due");
  // UTF-8 has at least as many bytes as a text has units.
  if (answer.length > MAX_ANSWER || (isText && utf8(answer).length > MAX_ANSWER)) {
    return invalid(`it is longer than ${MAX_ANSWER} bytes`);
  }
  const text = isText ? answer : (fromUtf8(answer) ?? invalid("it is not UTF-8"));
  return objectOf(strictJson(text, invalid), fields);
}

/** Looks at a part of an answer, which must be an object. */
export function objectOf(value: unknown, fields?: readonly string[]): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return invalid("an object is due");
  const object: JsonObject = own(value as JsonObject);
  if (fields === undefined) return object;
  for (const field of fields) if (!(field in object)) invalid(`${field} is missing`);
  const unknown = Object.keys(object).find((field) => !fields.includes(field));
  if (unknown !== undefined) invalid(`there is an unknown field ${JSON.stringify(unknown.slice(0, 32))}`);
  return object;
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
