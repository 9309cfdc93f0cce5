// Public keys of release signers, and how many of them must sign.

import { type Bytes, fromBase64, toBase64, toHex, utf8 } from "../bytes.js";
import { derOfPem, otherKey } from "../pem.js";
import type { WebCryptoKey as CryptoKey } from "../platform.js";
import { importP384, pointOfSpki, sha256, sha384 } from "../webcrypto.js";
import { refuseField } from "./fault.js";

/** The most keys of a role. */
const MAX_KEYS = 16;

/**
 * An ECDSA P-384 public key in its one encoding: DER (`SubjectPublicKeyInfo`), the named curve, an
 * uncompressed point.
 */
export interface SignerKey {
  readonly der: Bytes;
  /** The id that signatures carry: SHA-256 of the DER, hexadecimal. */
  readonly id: string;
  readonly key: CryptoKey;
}

/**
 * Reads PEM (`PUBLIC KEY`).
 *
 * @throws {Ok2cryError} `release_field_invalid`.
 */
export async function keyFromPem(pem: string): Promise<SignerKey> {
  return keyFromDer(derOfPem(pem, "PUBLIC KEY", refused));
}

/**
 * Reads base64 of DER, which is PEM without its first and last line.
 *
 * @throws {Ok2cryError} `release_field_invalid`.
 */
export function keyFromBase64(text: string): Promise<SignerKey> {
  return keyFromDer(fromBase64(text));
}

async function keyFromDer(der: Bytes | undefined): Promise<SignerKey> {
  const point = der && pointOfSpki(der);
  const key = point && (await importP384(point));
  if (!key) return refused(der === undefined ? "this is not base64" : otherKey(der, false));
  return { der, id: toHex(await sha256(der)), key };
}

function refused(why: string): never {
  return refuseField("key", "key", `an ECDSA P-384 public key with an uncompressed point: ${why}`);
}

/** Keys, and how many of them must sign. */
export class Role {
  readonly threshold: number;
  readonly keys: readonly SignerKey[];

  /**
   * `threshold` of 1 to 16 distinct keys, at least one.
   *
   * @throws {Ok2cryError} `release_field_invalid`.
   */
  constructor(threshold: number, keys: readonly SignerKey[]) {
    // Keys have one encoding, so equal ids are equal keys.
    if (keys.length === 0 || keys.length > MAX_KEYS || new Set(keys.map((key) => key.id)).size < keys.length) {
      refuseField("role", "keys", "1 to 16 distinct keys");
    }
    if (!Number.isInteger(threshold) || threshold < 1 || threshold > keys.length) {
      refuseField("role", "threshold", "1 to the number of keys");
    }
    this.threshold = threshold;
    this.keys = [...keys];
  }

  /** SHA-384 of the threshold and the keys, independent of their order; hexadecimal. */
  async digest(): Promise<string> {
    const keys = [...this.keys].sort((a, b) => (toHex(a.der) < toHex(b.der) ? -1 : 1));
    return toHex(await sha384(utf8(String(this.threshold)), ...keys.map((key) => key.der)));
  }

  /** Whether both have the same keys in the same order, and the same threshold. */
  equals(other: Role): boolean {
    const text = (role: Role) => [role.threshold, ...role.keys.map((key) => toBase64(key.der))].join();
    return text(this) === text(other);
  }
}
