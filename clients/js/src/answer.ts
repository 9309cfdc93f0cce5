// The service's answers: JSON with exactly the expected fields.

import { type Bytes, fromUtf8, isBytes, parseBase64Url, utf8 } from "./bytes.js";
import { MAX_ANSWER } from "./codes.js";
import { refuse } from "./error.js";
import { strictJson } from "./json.js";
import { own } from "./own.js";

/** An object of an answer. Its values are not checked. */
export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * Reads an answer: one JSON object.
 *
 * @param fields The fields that must be present, and no others. Any are allowed if left out.
 * @throws {Ok2cryError} `answer_invalid`, also for a value that is neither text nor bytes: another reader may
 *   have parsed it differently.
 */
export function parseAnswer(answer: string | Uint8Array, fields?: readonly string[]): JsonObject {
  const isText = typeof answer === "string";
  if (!isText && !isBytes(answer)) return invalid("expected text or bytes");
  // UTF-8 has at least as many bytes as a string has units.
  if (answer.length > MAX_ANSWER || (isText && utf8(answer).length > MAX_ANSWER)) {
    return invalid(`it is longer than ${MAX_ANSWER} bytes`);
  }
  const text = isText ? answer : (fromUtf8(answer) ?? invalid("it is not UTF-8"));
  return objectOf(strictJson(text, invalid), fields);
}

/** Reads a part of an answer that must be an object. */
export function objectOf(value: unknown, fields?: readonly string[]): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return invalid("expected an object");
  const object: JsonObject = own(value as JsonObject);
  if (fields === undefined) return object;
  for (const field of fields) if (!(field in object)) invalid(`${field} is missing`);
  const unknown = Object.keys(object).find((field) => !fields.includes(field));
  if (unknown !== undefined) invalid(`unknown field ${JSON.stringify(unknown.slice(0, 32))}`);
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
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0)
    return invalid(`${field} is not an unsigned integer`);
  return value;
}

/** A string. */
export function textField(object: JsonObject, field: string): string {
  const value = object[field];
  return typeof value === "string" ? value : invalid(`${field} is not a string`);
}

/** Refuses an answer. */
export function invalid(why: string): never {
  refuse("answer_invalid", `invalid answer: ${why}`);
}
