// What this package asks of WebCrypto, and nothing else does: hashes, ECDSA P-384 and Ed25519 verification, points.

import { type Bytes, concat, toHex } from "./bytes.js";
import { refuse } from "./error.js";

/** Length of an uncompressed P-384 point in bytes (SEC 1 §2.3.3). */
export const POINT_LENGTH = 97;
/** Length of r ‖ s of ECDSA P-384 in bytes (RFC 9053 §2.1). */
export const SIGNATURE_LENGTH = 96;

/** DER of a P-384 `SubjectPublicKeyInfo` up to the point (RFC 5480). */
const P384_SPKI_PREFIX = Uint8Array.of(
  ...[0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01],
  ...[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00],
);
const P384 = { name: "ECDSA", namedCurve: "P-384" };

/** SHA-384 of the parts, one after the other. */
export async function sha384(...parts: readonly Uint8Array[]): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-384", concat(...parts)));
}

/** SHA-256 of the parts, one after the other. */
export async function sha256(...parts: readonly Uint8Array[]): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", concat(...parts)));
}

/** An uncompressed point as a key that verifies; nothing if it is not on the curve. */
export async function importP384(point: Uint8Array): Promise<CryptoKey | undefined> {
  if (point.length !== POINT_LENGTH || point[0] !== 4) return undefined;
  try {
    return await crypto.subtle.importKey("raw", concat(point), P384, true, ["verify"]);
  } catch {
    return undefined;
  }
}

/** Verifies ECDSA P-384 with SHA-384; `signature` is r ‖ s, 96 bytes. */
export async function verifyP384(key: CryptoKey, message: Uint8Array, signature: Uint8Array): Promise<boolean> {
  return crypto.subtle.verify({ name: "ECDSA", hash: "SHA-384" }, key, concat(signature), concat(message));
}

/** DER (`SubjectPublicKeyInfo`) of a point. */
export function p384Spki(point: Uint8Array): Bytes {
  return concat(P384_SPKI_PREFIX, point);
}

/** The point of the one DER encoding that a P-384 key has here; nothing if it is another. It may be off the curve. */
export function pointOfSpki(der: Uint8Array): Bytes | undefined {
  const prefix = P384_SPKI_PREFIX;
  const isOne = der.length === prefix.length + POINT_LENGTH && prefix.every((byte, at) => der[at] === byte);
  return isOne && der[prefix.length] === 4 ? new Uint8Array(der.subarray(prefix.length)) : undefined;
}

/**
 * Verifies Ed25519 (RFC 8032), strictly: no key and no R of small order, for which one signature would hold for many messages.
 *
 * @throws {Ok2cryError} `crypto_failed` where WebCrypto does not have it yet.
 */
export async function verifyEd25519(key: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean> {
  if (signature.length !== 64 || isSmallOrder(key) || isSmallOrder(signature.subarray(0, 32))) return false;
  let imported: CryptoKey;
  try {
    imported = await crypto.subtle.importKey("raw", concat(key), "Ed25519", false, ["verify"]);
  } catch (error) {
    if ((error as Error).name === "NotSupportedError") refuse("crypto_failed", "this browser has no Ed25519: it is too old");
    return false;
  }
  return crypto.subtle.verify("Ed25519", imported, concat(signature), concat(message));
}

/** The y coordinates of Edwards25519's points of order 1, 2, 4 and 8, as integers below the field's prime. */
const SMALL_ORDER_Y: readonly bigint[] = (() => {
  const prime = 2n ** 255n - 19n;
  const order8 = 0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n;
  return [0n, 1n, prime - 1n, order8, prime - order8];
})();

/** Whether 32 bytes encode a point whose order divides 8, in whichever spelling. */
export function isSmallOrder(encoded: Uint8Array): boolean {
  const littleEndian = Uint8Array.from(encoded).reverse();
  const y = BigInt(`0x${toHex(littleEndian)}`) & (2n ** 255n - 1n);
  return SMALL_ORDER_Y.includes(y % (2n ** 255n - 19n));
}
