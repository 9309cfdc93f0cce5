// A strict CBOR reader (RFC 8949): the expected item in its shortest form, and nothing else.
//
// Why not a library: cborg in its strictest mode reads a superset of what is allowed here, and has one error
// for all refusals. Attestation documents have one indefinite map and no other indefinite length, the records
// of ok2cry none, and each refusal has a code that other languages share. The tests compare this reader with
// cborg.

import { fromUtf8 } from "../bytes.js";
import { refuse } from "../error.js";

const UINT = 0;
const BYTES = 2;
const TEXT = 3;
const ARRAY = 4;
const MAP = 5;
const TAG = 6;
const NULL = 0xf6;
const BREAK = 0xff;

const EXPECTED: Readonly<Record<number, string>> = {
  [UINT]: "an unsigned integer",
  [BYTES]: "a byte string",
  [TEXT]: "a text string",
  [ARRAY]: "an array",
  [MAP]: "a map",
  [TAG]: "a tag",
};

/**
 * Reads one encoding from its start. Every method takes the field's name, for errors. Byte strings are not
 * copied.
 */
export class CborReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Refuses trailing bytes. */
  finish(field: string): void {
    if (this.#at < this.#bytes.length) refuse("cbor_trailing_bytes", `${field}: bytes after the end`);
  }

  /** An unsigned integer. One above 2^53 - 1 is rounded, to some number above it. */
  uint(field: string): number {
    return this.#definite(UINT, field);
  }

  bytes(field: string): Uint8Array {
    return this.#take(this.#definite(BYTES, field), field);
  }

  /** A byte string, or undefined for `null`. */
  optionalBytes(field: string): Uint8Array | undefined {
    if (this.#bytes[this.#at] !== NULL) return this.bytes(field);
    this.#at++;
    return undefined;
  }

  text(field: string): string {
    const bytes = this.#take(this.#definite(TEXT, field), field);
    return fromUtf8(bytes) ?? refuse("cbor_not_utf8", `${field}: not UTF-8`);
  }

  /** Opens an array. Returns the number of its items. */
  array(field: string): number {
    return this.#definite(ARRAY, field);
  }

  /** Opens a map. Returns the number of its pairs. */
  map(field: string): number {
    return this.#definite(MAP, field);
  }

  /** Opens a map of definite or indefinite length. Yields once for each pair. */
  *anyMap(field: string): Generator<void, void> {
    const count = this.#head(MAP, field);
    if (count !== undefined) {
      for (let left = count; left > 0; left--) yield;
      return;
    }
    for (;;) {
      const next = this.#bytes[this.#at];
      if (next === undefined) this.#truncated(field);
      if (next === BREAK) break;
      yield;
    }
    this.#at++;
  }

  /** The number of a tag, if the next item is one. */
  optionalTag(field: string): number | undefined {
    const next = this.#bytes[this.#at];
    return next !== undefined && next >> 5 === TAG ? this.#definite(TAG, field) : undefined;
  }

  #definite(major: number, field: string): number {
    return (
      this.#head(major, field) ??
      refuse("cbor_indefinite_length", `${field}: only the payload's map may have an indefinite length`)
    );
  }

  /** The argument of an item of this major type; undefined for an indefinite length. */
  #head(major: number, field: string): number | undefined {
    const initial = this.#take(1, field)[0] ?? 0;
    const found = initial >> 5;
    const info = initial & 0x1f;
    let value: number | undefined = info;
    if (info >= 24) {
      const size = [1, 2, 4, 8][info - 24];
      if (size !== undefined) {
        value = this.#take(size, field).reduce((sum, byte) => sum * 256 + byte, 0);
        if (value < (size === 1 ? 24 : 256 ** (size / 2))) {
          refuse("cbor_non_minimal", `${field}: not in its shortest form`);
        }
      } else if (info === 31 && found >= BYTES && found <= MAP) {
        value = undefined;
      } else {
        refuse("cbor_malformed", `${field}: not well-formed CBOR`);
      }
    }
    if (found !== major) refuse("cbor_wrong_type", `${field}: expected ${EXPECTED[major] ?? ""}`);
    return value;
  }

  #take(length: number, field: string): Uint8Array {
    if (length > this.#bytes.length - this.#at) this.#truncated(field);
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  #truncated(field: string): never {
    refuse("cbor_truncated", `${field}: the encoding is cut off`);
  }
}
