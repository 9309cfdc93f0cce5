// The key descriptor: everything that anybody may rely on about one disposable key.

import { type Bytes, concat, copy, parseBase64Url, toBase64Url, toHex, toPem, utf8 } from "../bytes.js";
import { MAX_NONCE, MAX_TIME, MIN_NONCE } from "../codes.js";
import { refuse } from "../error.js";
import { strictJson } from "../json.js";
import { own } from "../own.js";
import { derOfPem, otherKey } from "../pem.js";
import { isP384Point, p384Spki, pointOfSpki, sha384 } from "../webcrypto.js";
import { invalid, readRecord } from "./record.js";

/** What a key is, for whom, for what and for how long. */
export interface KeyDescriptor {
  /** The descriptor's bytes, as they came. */
  readonly bytes: Uint8Array;
  /** SHA-384 of the bytes: in the `info` of every message that is sealed to the key. */
  readonly hash: Bytes;
  /** Names the key and the enclave that holds it: 24 bytes, base64url, 32 characters. */
  readonly keyId: string;
  /** Which boot of an enclave holds the key: 8 bytes, hexadecimal. */
  readonly instance: string;
  /** What to seal to: an uncompressed point, 97 bytes. */
  readonly publicKey: Uint8Array;
  /** When the request was accepted: Unix milliseconds on the enclave's trusted clock. */
  readonly issuedAtMs: number;
  /** When the key is gone: Unix milliseconds. */
  readonly expiresAtMs: number;
  /** What the key is for: 1 to 64 of `[a-z0-9._-]`. */
  readonly purpose: string;
  /** Who reads what the key opens: the holder of this public key (97 bytes); undefined for whoever calls open. */
  readonly recipient: Uint8Array | undefined;
  /** The nonce of whoever asked for the key, 16 to 64 bytes. */
  readonly clientNonce: Uint8Array;
}

/**
 * Reads a descriptor.
 *
 * @throws {Ok2cryError} `record_invalid`.
 */
export async function readDescriptor(encoded: Uint8Array): Promise<KeyDescriptor> {
  const descriptor = decodeDescriptor(encoded);
  return { ...descriptor, hash: await sha384(descriptor.bytes) };
}

/** As {@link readDescriptor}, without the hash, which takes a turn of the event loop. */
export function decodeDescriptor(encoded: Uint8Array): Omit<KeyDescriptor, "hash"> {
  const bytes = copy(encoded, "a descriptor");
  return readRecord("key descriptor", bytes, "ok2cry/key/v1", 9, (record) => {
    const id = record.bytes("key_id", 24);
    record.suite();
    const publicKey = record.point("public_key");
    const issuedAtMs = record.uint("issued_at", MAX_TIME);
    const expiresAtMs = record.uint("expires_at", MAX_TIME);
    if (expiresAtMs <= issuedAtMs) invalid("expires_at: is out of range");
    const purpose = record.text("purpose", 1, 64);
    if (!isPurpose(purpose)) invalid("purpose: may hold a-z, 0-9, '.', '_' and '-' only");
    const recipient = record.deliverTo("release_to");
    const clientNonce = record.bytes("client_nonce", MIN_NONCE, MAX_NONCE);
    return {
      bytes,
      keyId: toBase64Url(id),
      instance: toHex(id.subarray(0, 8)),
      publicKey,
      issuedAtMs,
      expiresAtMs,
      purpose,
      recipient,
      clientNonce,
    };
  });
}

/** Whether a text can be a purpose. */
export function isPurpose(text: string): boolean {
  return typeof text === "string" && /^[a-z0-9._-]{1,64}$/.test(text);
}

/** The `info` of a message that is sealed to a key. */
export function sealInfo({ hash }: KeyDescriptor): Bytes {
  return concat(utf8("ok2cry v1 seal"), hash);
}

/**
 * Reads a P-384 public key from PEM (`PUBLIC KEY`): the uncompressed point, 97 bytes, that recipients are named by.
 *
 * @throws {Ok2cryError} `recipient_key_invalid`; the message says what was found, and which command converts it.
 */
export async function publicKeyFromPem(pem: string): Promise<Bytes> {
  const der = derOfPem(pem, "PUBLIC KEY", refusedKey);
  const point = pointOfSpki(der) ?? refusedKey(otherKey(der, false));
  return isP384Point(point) ? point : refusedKey("its point is not on the curve");
}

/**
 * Reads a recipient's public key from a text of any kind: base64url of the point, as `ok2cry recipient show` prints it, PEM
 * (`PUBLIC KEY`), or a JSON Web Key.
 *
 * @throws {Ok2cryError} As {@link publicKeyFromPem}.
 */
export async function publicKeyFromText(text: string): Promise<Bytes> {
  const trimmed = text.trim();
  const point = trimmed.startsWith("{") ? pointOfJwk(trimmed) : parseBase64Url(trimmed);
  if (point === undefined) return publicKeyFromPem(text);
  return isP384Point(point) ? point : refusedKey("its point is not on the curve P-384, or not uncompressed");
}

function pointOfJwk(text: string): Bytes {
  const invalid = (why: string) => refusedKey(`as a JWK: ${why}`);
  const jwk = own(strictJson(text, invalid) as Record<string, unknown>);
  if (jwk["kty"] !== "EC" || jwk["crv"] !== "P-384") invalid('kty must be "EC" and crv "P-384"');
  if ("d" in jwk) invalid("this is a private key: take d out of it");
  const [x, y] = [jwk["x"], jwk["y"]].map((value) => {
    const bytes = typeof value === "string" ? parseBase64Url(value) : undefined;
    return bytes?.length === 48 ? bytes : invalid("x and y must be 48 bytes each, in base64url");
  });
  return concat(Uint8Array.of(4), x as Bytes, y as Bytes);
}

function refusedKey(why: string): never {
  return refuse("recipient_key_invalid", `the recipient's public key is not understood: ${why}`);
}

/** A public key as PEM (`SubjectPublicKeyInfo`). */
export function publicKeyPem(point: Uint8Array): string {
  return toPem("PUBLIC KEY", p384Spki(point));
}

/** A public key as JSON Web Key (RFC 7518 §6.2). */
export function publicKeyJwk(point: Uint8Array): { kty: "EC"; crv: "P-384"; x: string; y: string } {
  return { kty: "EC", crv: "P-384", x: toBase64Url(point.subarray(1, 49)), y: toBase64Url(point.subarray(49)) };
}
