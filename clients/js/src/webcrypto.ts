// All calls to WebCrypto: hashes, ECDSA P-384 and Ed25519 verification, points.

import { type Bytes, concat, equal, fromHex, hasAt, toHex } from "./bytes.js";
import { POINT_LENGTH } from "./codes.js";
import { Ok2cryError, refuse } from "./error.js";

/** Length of r ‖ s of ECDSA P-384 in bytes (RFC 9053 §2.1). */
export const SIGNATURE_LENGTH = 96;

/**
 * DER in hexadecimal: the AlgorithmIdentifier of P-384 keys, and a `SubjectPublicKeyInfo` up to the point
 * (RFC 5480).
 */
const P384_ALGORITHM = "301006072a8648ce3d020106052b81040022";
const P384_SPKI_PREFIX = `3076${P384_ALGORITHM}036200`;
/** PKCS #8 (RFC 5208, RFC 5915) up to the scalar, and from there to the point. */
const P384_PKCS8 = [`3081b6020100${P384_ALGORITHM}04819e30819b0201010430`, "a164036200"] as const;
/** The order of P-384. */
const P384_ORDER = "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973";
/** Key agreement, and signatures. */
export const ECDH_P384 = { name: "ECDH", namedCurve: "P-384" };
const ECDSA_P384 = { name: "ECDSA", namedCurve: "P-384" };

/**
 * Runs work that fails for one reason, the platform: its input was checked before.
 *
 * @param what The algorithm's name in errors.
 * @throws {Ok2cryError} `crypto_failed`, with the platform's error as `cause`.
 */
export async function onPlatform<T>(what: string, work: (subtle: SubtleCrypto) => T): Promise<Awaited<T>> {
  try {
    const subtle = globalThis.crypto?.subtle;
    return await work(
      subtle ?? refuse("crypto_failed", "crypto.subtle is missing: browsers need a page over https, or from localhost"),
    );
  } catch (cause) {
    if (cause instanceof Ok2cryError) throw cause;
    return refuse("crypto_failed", `WebCrypto failed at ${what}: checkEnvironment() names what is missing`, { cause });
  }
}

/**
 * Random bytes.
 *
 * @throws {Ok2cryError} `crypto_failed`.
 */
export function randomBytes(length: number): Bytes {
  try {
    return crypto.getRandomValues(new Uint8Array(length));
  } catch (cause) {
    return refuse("crypto_failed", "crypto.getRandomValues failed: checkEnvironment() names what is missing", { cause });
  }
}

/** SHA-384 of the joined parts. */
export function sha384(...parts: readonly Uint8Array[]): Promise<Bytes> {
  return digest("SHA-384", parts);
}

/** SHA-256 of the joined parts. */
export function sha256(...parts: readonly Uint8Array[]): Promise<Bytes> {
  return digest("SHA-256", parts);
}

async function digest(name: string, parts: readonly Uint8Array[]): Promise<Bytes> {
  return new Uint8Array(await onPlatform(name, (subtle) => subtle.digest(name, concat(...parts))));
}

/**
 * Whether these are the 97 bytes of an uncompressed point on P-384 (SEC 1 §2.3.3): both coordinates below the
 * prime, on the curve. The identity has no such encoding, and the curve's order is prime, so these checks
 * suffice. Computed here, because WebKitGTK and Deno import points that are off the curve.
 */
export function isP384Point(point: Uint8Array): boolean {
  if (point.length !== POINT_LENGTH || point[0] !== 4) return false;
  const prime = 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n;
  const b = 0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aefn;
  const [x, y] = [integer(point.subarray(1, 49)), integer(point.subarray(49))];
  return x < prime && y < prime && (y * y - (x * x - 3n) * x - b) % prime === 0n;
}

/** Bytes as a number, big-endian. */
function integer(bytes: Uint8Array): bigint {
  return BigInt(`0x${toHex(bytes)}`);
}

/** An uncompressed point as a key that verifies; undefined if it is not on the curve. */
export async function importP384(point: Uint8Array): Promise<CryptoKey | undefined> {
  if (!isP384Point(point)) return undefined;
  return onPlatform(ECDSA_P384.name, (subtle) => subtle.importKey("raw", concat(point), ECDSA_P384, true, ["verify"]));
}

/**
 * Whether both halves of an ECDH key pair belong together: they agree with a third key on the same secret.
 */
export function isPair({ privateKey, publicKey }: CryptoKeyPair): Promise<boolean> {
  return onPlatform(ECDH_P384.name, async (subtle) => {
    const other = (await subtle.generateKey(ECDH_P384, false, ["deriveBits"])) as CryptoKeyPair;
    const agreed = async (ours: CryptoKey, theirs: CryptoKey) =>
      new Uint8Array(await subtle.deriveBits({ name: "ECDH", public: theirs }, ours, 384));
    return equal(await agreed(privateKey, other.publicKey), await agreed(other.privateKey, publicKey));
  });
}

/**
 * Verifies ECDSA P-384 with SHA-384. `signature` is r ‖ s, 96 bytes, each from 1 to the curve's order less 1.
 */
export async function verifyP384(key: CryptoKey, message: Uint8Array, signature: Uint8Array): Promise<boolean> {
  const order = BigInt(`0x${P384_ORDER}`);
  const halves = [integer(signature.subarray(0, 48)), integer(signature.subarray(48))];
  if (!halves.every((half) => half > 0n && half < order)) return false;
  const algorithm = { name: "ECDSA", hash: "SHA-384" };
  return onPlatform(ECDSA_P384.name, (subtle) => subtle.verify(algorithm, key, concat(signature), concat(message)));
}

/** A point as DER (`SubjectPublicKeyInfo`). */
export function p384Spki(point: Uint8Array): Bytes {
  return concat(constant(P384_SPKI_PREFIX), point);
}

/**
 * The point of a P-384 key in the one accepted DER encoding; undefined for another. It may be off the curve.
 */
export function pointOfSpki(der: Uint8Array): Bytes | undefined {
  const prefix = constant(P384_SPKI_PREFIX);
  const isOne = der.length === prefix.length + POINT_LENGTH && hasAt(der, 0, prefix) && der[prefix.length] === 4;
  return isOne ? new Uint8Array(der.subarray(prefix.length)) : undefined;
}

function constant(hex: string): Bytes {
  return fromHex(hex) ?? new Uint8Array();
}

/**
 * The point of a PKCS #8 private key in the one accepted encoding: version 0, the named curve, a scalar from
 * 1 to the curve's order less 1, an uncompressed point on the curve; undefined for another. Does not check
 * that scalar and point belong together.
 */
export function pointOfPkcs8(der: Uint8Array): Bytes | undefined {
  const [prefix, middle] = [constant(P384_PKCS8[0]), constant(P384_PKCS8[1])];
  const scalarEnd = prefix.length + 48;
  const pointAt = scalarEnd + middle.length;
  if (der.length !== pointAt + POINT_LENGTH || !hasAt(der, 0, prefix) || !hasAt(der, scalarEnd, middle)) return undefined;
  // Byte by byte: a secret number could not be overwritten.
  const scalar = der.subarray(prefix.length, scalarEnd);
  const order = constant(P384_ORDER);
  const at = scalar.findIndex((byte, index) => byte !== order[index]);
  const isInRange = at >= 0 && (scalar[at] ?? 0) < (order[at] ?? 0) && scalar.some((byte) => byte !== 0);
  const point = new Uint8Array(der.subarray(pointAt));
  return isInRange && isP384Point(point) ? point : undefined;
}

/**
 * Verifies Ed25519 (RFC 8032), strictly: no key and no R of small order, under which one signature holds for
 * many messages.
 *
 * @throws {Ok2cryError} `crypto_failed` if WebCrypto does not have Ed25519.
 */
export async function verifyEd25519(key: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean> {
  if (signature.length !== 64 || isSmallOrder(key) || isSmallOrder(signature.subarray(0, 32))) return false;
  // RFC 8032 §5.1.7. WebKitGTK accepts an S that is not reduced, so one signature would have several
  // spellings.
  const order = 2n ** 252n + 27742317777372353535851937790883648493n;
  if (integer(Uint8Array.from(signature.subarray(32)).reverse()) >= order) return false;
  return onPlatform("Ed25519", async (subtle) => {
    const imported = await subtle.importKey("raw", concat(key), "Ed25519", false, ["verify"]).catch((error: unknown) => {
      // Some platforms refuse here what is not the one spelling of a point. Any other error is the platform's
      // fault.
      if ((error as Error | undefined)?.name === "DataError") return undefined;
      throw error;
    });
    return imported !== undefined && subtle.verify("Ed25519", imported, concat(signature), concat(message));
  });
}

/** The y coordinates of Edwards25519's points of order 1, 2, 4 and 8, as integers below the field's prime. */
const SMALL_ORDER_Y: readonly bigint[] = (() => {
  const prime = 2n ** 255n - 19n;
  const order8 = 0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n;
  return [0n, 1n, prime - 1n, order8, prime - order8];
})();

/** Whether 32 bytes encode a point whose order divides 8, in any spelling. */
export function isSmallOrder(encoded: Uint8Array): boolean {
  const y = integer(Uint8Array.from(encoded).reverse()) & (2n ** 255n - 1n);
  return SMALL_ORDER_Y.includes(y % (2n ** 255n - 19n));
}
