// Byte strings and their text encodings. Strict: one spelling for each value.

import { Ok2cryError, refuse } from "./error.js";

/** Bytes that WebCrypto takes: not in memory shared with other threads. */
export type Bytes = Uint8Array<ArrayBuffer>;

let encoder: TextEncoder | undefined;
let strictDecoder: TextDecoder | undefined;

/**
 * A string as UTF-8.
 *
 * @throws {Ok2cryError} `crypto_failed` if there is no `TextEncoder`.
 */
export function utf8(text: string): Bytes {
  encoder ??= construct("TextEncoder", () => new TextEncoder());
  // A copy: under Jest's jsdom the encoder returns another realm's array.
  return new Uint8Array(encoder.encode(text));
}

/** The string of UTF-8; undefined if it is not UTF-8. A byte order mark stays. */
export function fromUtf8(bytes: Uint8Array): string | undefined {
  strictDecoder ??= construct("TextDecoder", () => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }));
  try {
    return strictDecoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Constructs at first use, so that the package loads, and names what is missing, without it. */
function construct<T>(name: string, make: () => T): T {
  try {
    return make();
  } catch (cause) {
    return refuse("crypto_failed", `${name} is missing: under Jest's jsdom take it from node:util`, { cause });
  }
}

/** Joins byte strings. */
export function concat(...parts: readonly Uint8Array[]): Bytes {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Whether both are the same bytes. Not constant-time: for public values only. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

/** Whether `part` is at this place. Not constant-time: for public values only. */
export function hasAt(bytes: Uint8Array, at: number, part: Uint8Array): boolean {
  return part.every((byte, index) => bytes[at + index] === byte);
}

/**
 * A copy that the caller cannot change. Everything from a caller is copied before the first `await`. A Node
 * `Buffer`'s own `slice` is a view, and so is a `Uint8Array` over an `ArrayBuffer`.
 *
 * @throws {TypeError} if it is not a `Uint8Array`. A string would be read as an array of digits.
 */
export function copy(bytes: Uint8Array, what = "this"): Bytes {
  if (!isBytes(bytes)) throw new TypeError(`${what} must be a Uint8Array`);
  return new Uint8Array(bytes);
}

/** Whether a value is a `Uint8Array`, also of another realm. */
export function isBytes(value: unknown): value is Uint8Array {
  return ArrayBuffer.isView(value) && value[Symbol.toStringTag as never] === "Uint8Array";
}

/** A number as `length` bytes, big-endian. */
export function bigEndian(value: number, length: number): Bytes {
  const bytes = new Uint8Array(length);
  for (let at = length - 1, rest = value; at >= 0; at--, rest = Math.floor(rest / 256)) bytes[at] = rest % 256;
  return bytes;
}

/** Lower-case hexadecimal. */
export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}

/** The bytes of lower-case hexadecimal; undefined if it is not that. */
export function fromHex(text: string): Bytes | undefined {
  if (!/^(?:[0-9a-f]{2})*$/.test(text)) return undefined;
  return Uint8Array.from({ length: text.length / 2 }, (_, at) => Number.parseInt(text.slice(2 * at, 2 * at + 2), 16));
}

/** Base64 (RFC 4648 §4), padded. */
export function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/** The bytes of padded base64 (RFC 4648 §4) in its one spelling; undefined if it is not that. */
export function fromBase64(text: string): Bytes | undefined {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0) return undefined;
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  // The last character's unused bits must be zero.
  return toBase64(bytes) === text ? bytes : undefined;
}

/** Base64url (RFC 4648 §5) without padding. */
export function toBase64Url(bytes: Uint8Array): string {
  return toBase64(copy(bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

/**
 * The bytes of base64url (RFC 4648 §5) without padding, in its one spelling.
 *
 * @throws {Ok2cryError} `base64url_invalid` if it is not that, also for white space.
 */
export function fromBase64Url(text: string): Bytes {
  const bytes = parseBase64Url(text);
  if (bytes === undefined) throw new Ok2cryError("base64url_invalid", "not base64url without padding");
  return bytes;
}

/** As {@link fromBase64Url}; undefined instead of an error. */
export function parseBase64Url(text: string): Bytes | undefined {
  if (!/^[A-Za-z0-9_-]*$/.test(text) || text.length % 4 === 1) return undefined;
  const padded = text.replace(/-/g, "+").replace(/_/g, "/") + "=".repeat((4 - (text.length % 4)) % 4);
  return fromBase64(padded);
}

/** DER as PEM, in lines of 64 characters. */
export function toPem(label: string, der: Uint8Array): string {
  const lines = toBase64(der).match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}
