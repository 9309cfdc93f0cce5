// Records of ok2cry: CBOR in deterministic encoding (RFC 8949 §4.2.1) with integer keys. Each record has one
// encoding.

import { CborReader } from "../attestation/cbor.js";
import { copy, utf8 } from "../bytes.js";
import { POINT_LENGTH, SUITE } from "../codes.js";
import { isRefusal, refuse } from "../error.js";
import { isP384Point } from "../webcrypto.js";

/**
 * Reads one record strictly. Every broken rule is `record_invalid`, and the message names record, field and
 * rule.
 *
 * @param what The record's name in errors.
 * @param type The text in field 0.
 * @param fields The number of fields, the type included.
 */
export function readRecord<T>(
  what: string,
  bytes: Uint8Array,
  type: string,
  fields: number,
  read: (record: RecordReader) => T,
): T {
  try {
    const record = new RecordReader(bytes, fields);
    if (record.text("type", 0, 64) !== type) invalid("type: another record type or version");
    const value = read(record);
    record.end();
    return value;
  } catch (error) {
    if (isRefusal(error)) refuse("record_invalid", `${what}: ${error.message}`);
    throw error;
  }
}

/** Reads fields in the order of their numbers. */
export class RecordReader {
  readonly #cbor: CborReader;
  #next = 0;

  constructor(bytes: Uint8Array, fields: number) {
    this.#cbor = new CborReader(copy(bytes));
    if (this.#cbor.map("map") !== fields) invalid("map: another number of fields");
  }

  /** An unsigned integer of at most `max`. */
  uint(field: string, max: number): number {
    this.#key(field);
    return this.#uint(field, max);
  }

  /** A byte string of `min` to `max` bytes. */
  bytes(field: string, min: number, max = min): Uint8Array {
    this.#key(field);
    return this.#bytes(field, min, max);
  }

  /** A text of `min` to `max` bytes of UTF-8. */
  text(field: string, min: number, max: number): string {
    this.#key(field);
    const text = this.#cbor.text(field);
    checkLength(field, utf8(text).length, min, max);
    return text;
  }

  /** An uncompressed point on P-384. */
  point(field: string): Uint8Array {
    this.#key(field);
    return this.#point(field);
  }

  suite(): void {
    this.#key("suite");
    this.#suite("suite");
  }

  /** Where plaintext is delivered: `[0]` to the caller, `[1, suite, point]` to a recipient. */
  deliverTo(field: string): Uint8Array | undefined {
    this.#key(field);
    const items = this.#cbor.array(field);
    const kind = this.#uint(field, 1);
    checkLength(field, items, kind === 0 ? 1 : 3);
    if (kind === 0) return undefined;
    this.#suite(field);
    return this.#point(field);
  }

  end(): void {
    this.#cbor.finish("end");
  }

  #key(field: string): void {
    if (this.#cbor.uint(field) !== this.#next) invalid(`${field}: missing, repeated or out of order`);
    this.#next++;
  }

  #uint(field: string, max: number): number {
    const value = this.#cbor.uint(field);
    return value <= max ? value : invalid(`${field}: is out of range`);
  }

  #bytes(field: string, min: number, max = min): Uint8Array {
    const value = this.#cbor.bytes(field);
    checkLength(field, value.length, min, max);
    return value;
  }

  #suite(field: string): void {
    checkLength(field, this.#cbor.array(field), SUITE.length);
    if (!SUITE.every((number) => this.#cbor.uint(field) === number)) {
      invalid(`${field}: is not the supported suite`);
    }
  }

  #point(field: string): Uint8Array {
    const point = this.#bytes(field, POINT_LENGTH);
    return isP384Point(point) ? point : invalid(`${field}: is not an uncompressed point on P-384`);
  }
}

/** Refuses the record. */
export function invalid(message: string): never {
  refuse("record_invalid", message);
}

function checkLength(field: string, length: number, min: number, max = min): void {
  if (length < min || length > max) {
    invalid(`${field}: must have ${min === max ? `length ${min}` : `a length from ${min} to ${max}`}`);
  }
}
