// A strict DER reader (X.690) for certificates: low tag numbers, definite and shortest lengths, no recursion.
//
// Why not a library: Nitro's certificates have one fixed shape. This file and certificate.ts read it, and
// every rule has a code. @peculiar/x509 is 62 kB and pkijs 92 kB (gzip), and both leave most of these rules
// to their caller.

import type { Bytes } from "../bytes.js";
import type { ErrorCode } from "../codes.js";
import { SIGNATURE_LENGTH } from "../webcrypto.js";

export const BOOLEAN = 0x01;
export const INTEGER = 0x02;
export const BIT_STRING = 0x03;
export const OCTET_STRING = 0x04;
export const OID = 0x06;
export const SEQUENCE = 0x30;
export const SET = 0x31;

/** A rule of DER or of certificates that was broken. The caller adds which certificate broke it. */
export class CertificateFault extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** Reads the elements of one structure. `part` is its name in errors. */
export class DerReader {
  #rest: Uint8Array;
  readonly part: string;

  constructor(bytes: Uint8Array, part: string) {
    this.#rest = bytes;
    this.part = part;
  }

  get isEmpty(): boolean {
    return this.#rest.length === 0;
  }

  get peekTag(): number | undefined {
    return this.#rest[0];
  }

  /** The unread bytes. */
  get rest(): Uint8Array {
    return this.#rest;
  }

  finish(): void {
    if (!this.isEmpty) throw new CertificateFault("der_trailing_bytes", `bytes after ${this.part}`);
  }

  /** Tag and contents of the next element. */
  element(): [tag: number, value: Uint8Array] {
    const rest = this.#rest;
    const tag = rest[0];
    let length = rest[1];
    // 0x1f starts a tag number of several bytes, which X.509 does not use. 0 ends BER's indefinite lengths.
    if (tag === undefined || length === undefined || tag === 0 || (tag & 0x1f) === 0x1f) return this.malformed();
    let header = 2;
    if (length === 0x81) {
      length = rest[2] ?? 0;
      header = 3;
      if (length < 0x80) return this.malformed();
    } else if (length === 0x82) {
      length = (rest[2] ?? 0) * 256 + (rest[3] ?? 0);
      header = 4;
      if (length < 0x100) return this.malformed();
    } else if (length >= 0x80) {
      // Indefinite, or longer than the 1,024 bytes of a certificate.
      return this.malformed();
    }
    if (rest.length < header + length) return this.malformed();
    this.#rest = rest.subarray(header + length);
    return [tag, rest.subarray(header, header + length)];
  }

  /** The contents of the next element, which must have this tag. */
  expect(tag: number): Uint8Array {
    const [found, value] = this.element();
    return found === tag ? value : this.malformed();
  }

  /** A reader of the next element's contents. The element must have this tag. */
  nested(tag: number, part: string): DerReader {
    // A wrong tag is reported for the inner part, a broken length for the outer one.
    const [found, value] = this.element();
    const inner = new DerReader(value, part);
    return found === tag ? inner : inner.malformed();
  }

  /** The next element with its header. */
  whole(tag: number): Uint8Array {
    const before = this.#rest;
    this.expect(tag);
    return before.subarray(0, before.length - this.#rest.length);
  }

  /** An INTEGER in its shortest form, as two's-complement bytes. */
  integer(): Uint8Array {
    const value = this.expect(INTEGER);
    const [first, second] = value;
    if (first === undefined) return this.malformed();
    const isPadded = second !== undefined && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80));
    return isPadded ? this.malformed() : value;
  }

  /** A non-negative INTEGER, without the leading zero byte of its sign. */
  unsigned(): Uint8Array {
    const value = this.integer();
    if ((value[0] ?? 0) >= 0x80) return this.malformed();
    return value[0] === 0 && value.length > 1 ? value.subarray(1) : value;
  }

  /**
   * A BOOLEAN that is TRUE, or absent. FALSE is the DEFAULT wherever certificates use one, and DER omits
   * defaults.
   */
  optionalTrue(): boolean {
    if (this.peekTag !== BOOLEAN) return false;
    const value = this.expect(BOOLEAN);
    return value.length === 1 && value[0] === 0xff ? true : this.malformed();
  }

  /** A BIT STRING of whole bytes. */
  bitString(): Uint8Array {
    const value = this.expect(BIT_STRING);
    return value[0] === 0 ? value.subarray(1) : this.malformed();
  }

  malformed(): never {
    throw new CertificateFault("der_malformed", `${this.part} is not strict DER of the expected form`);
  }
}

/**
 * r ‖ s of an ECDSA P-384 signature in DER: two positive integers of at most 48 bytes (RFC 3279 §2.2.3) and
 * nothing else, so that one signature has one encoding.
 *
 * @throws {CertificateFault}
 */
export function signatureValue(der: Uint8Array): Bytes {
  const part = "signatureValue";
  const outer = new DerReader(der, part);
  const signature = outer.nested(SEQUENCE, part);
  outer.finish();
  const fixed = new Uint8Array(SIGNATURE_LENGTH);
  for (const end of [SIGNATURE_LENGTH / 2, SIGNATURE_LENGTH]) {
    const value = signature.unsigned();
    if (value.length > SIGNATURE_LENGTH / 2 || (value.length === 1 && value[0] === 0)) signature.malformed();
    fixed.set(value, end - value.length);
  }
  signature.finish();
  return fixed;
}
