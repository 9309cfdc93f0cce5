// JSON of release documents: bounded, strict at every level, also in ignored fields, and of a known shape.

import { fromUtf8, utf8 } from "../bytes.js";
import { isRefusal, refuse } from "../error.js";
import { strictJson } from "../json.js";
import { quoted } from "../text.js";
import { isVersion } from "./version.js";

/** The shape of a value: a leaf under a rule, a list (`[shape]`), or an object with these fields. */
export type Shape = Leaf | readonly [Shape] | { readonly [field: string]: Shape };
/** Returns the rule that a leaf breaks, or undefined. An absent field is `undefined`. */
type Leaf = (value: unknown) => string | undefined;

/**
 * Reads a whole document.
 *
 * @param what Its name in errors.
 * @param max Its maximum length, in bytes of UTF-8.
 * @param isOpen Whether unknown fields of objects are ignored.
 * @throws {Ok2cryError} `release_document_too_large`, `release_json_invalid`.
 */
export function read(what: string, source: Uint8Array | string, max: number, shape: Shape, isOpen = false): unknown {
  // UTF-8 has at least as many bytes as a string has units.
  const length = typeof source === "string" && source.length <= max ? utf8(source).length : source.length;
  if (length > max) refuse("release_document_too_large", `${what}: more than ${max} bytes`);
  const text = typeof source === "string" ? source : fromUtf8(source);
  if (!text?.isWellFormed()) return refuseJson(what, "it is not UTF-8");
  const value = strictJson(text, (why) => refuseJson(what, why));
  return shaped(what, value, shape, isOpen);
}

/**
 * Returns a value of a document, if it has this shape.
 *
 * @throws {Ok2cryError} `release_json_invalid`.
 */
export function shaped(what: string, value: unknown, shape: Shape, isOpen = false): unknown {
  const fault = misshapen(value, shape, isOpen, "");
  return fault === undefined ? value : refuseJson(what, fault);
}

/** Refuses JSON that breaks a rule. */
export function refuseJson(what: string, why: string): never {
  return refuse("release_json_invalid", `${what}: ${why}`);
}

/**
 * Reads a value that has more rules than its shape. A refusal becomes `release_json_invalid` of the document.
 */
export async function readValue<T>(what: string, value: Promise<T>): Promise<T> {
  try {
    return await value;
  } catch (error) {
    if (isRefusal(error)) refuseJson(what, error.message);
    throw error;
  }
}

function misshapen(value: unknown, shape: Shape, isOpen: boolean, at: string): string | undefined {
  if (typeof shape === "function") {
    const rule = shape(value);
    return rule && `${at || "it"} must be ${rule}`;
  }
  if (isList(shape)) {
    if (!Array.isArray(value)) return `${at} must be a list`;
    return first(value, (item, index) => misshapen(item, shape[0], isOpen, `${at}[${index}]`));
  }
  if (!isObject(value)) return `${at || "it"} must be an object`;
  const inner = (field: string) => (at ? `${at}.${field}` : field);
  const unknown = isOpen ? undefined : Object.keys(value).find((field) => !Object.hasOwn(shape, field));
  if (unknown !== undefined) return `unknown field ${quoted(unknown)}`;
  return first(Object.entries(shape), ([field, rule]) => {
    // An absent field becomes an own one, so that no prototype supplies it.
    if (!Object.hasOwn(value, field)) value[field] = undefined;
    return misshapen(value[field], rule, isOpen, inner(field));
  });
}

function first<T>(items: readonly T[], fault: (item: T, index: number) => string | undefined): string | undefined {
  for (const [index, item] of items.entries()) {
    const found = fault(item, index);
    if (found !== undefined) return found;
  }
  return undefined;
}

function isList(shape: Exclude<Shape, Leaf>): shape is readonly [Shape] {
  return Array.isArray(shape);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A string. */
export const text: Leaf = (value) => (typeof value === "string" ? undefined : "a string");

/** An integer, 0 or more. */
export const whole: Leaf = (value) => (typeof value === "number" && value >= 0 ? undefined : "an integer, 0 or more");

/** Three numbers, as in `1.20.3`. */
export const version: Leaf = (value) => (isVersion(value) ? undefined : "three numbers, as in 1.20.3");

/** Lower-case hexadecimal of `length` bytes. */
export function hex(length: number): Leaf {
  const isHex = (value: unknown) => typeof value === "string" && value.length === 2 * length && /^[0-9a-f]*$/.test(value);
  return (value) => (isHex(value) ? undefined : `${2 * length} lower-case hexadecimal digits`);
}

/** An object of strings. */
export const texts: Leaf = (value) =>
  isObject(value) && Object.values(value).every((item) => typeof item === "string") ? undefined : "an object of strings";

/** Any object. */
export const object: Leaf = (value) => (isObject(value) ? undefined : "an object");

/** May be absent. */
export function optional(leaf: Leaf): Leaf {
  return (value) => (value === undefined ? undefined : leaf(value));
}

/** May be absent or null. */
export function nullable(leaf: Leaf): Leaf {
  return (value) => (value === undefined || value === null ? undefined : leaf(value));
}
