// The key descriptor: everything about one disposable key that a party may rely on.

import { type Bytes, concat, copy, parseBase64Url, toBase64Url, toHex, toPem, utf8 } from "../bytes.js";
import { MAX_NONCE, MAX_TIME, MIN_NONCE } from "../codes.js";
import { refuse } from "../error.js";
import { strictJson } from "../json.js";
import { own } from "../own.js";
import { derOfPem, otherKey } from "../pem.js";
import { isP384Point, p384Spki, pointOfSpki, sha384 } from "../webcrypto.js";
import { invalid, readRecord } from "./record.js";

/** One disposable key: its public half, purpose, recipient and lifetime. */
export interface KeyDescriptor {
  /** The descriptor's bytes, as received. */
  readonly bytes: Uint8Array;
  /** SHA-384 of the bytes, which is in the `info` of every message to the key. */
  readonly hash: Bytes;
  /** The key's id, which names the enclave too: 24 bytes as base64url, 32 characters. */
  readonly keyId: string;
  /** The boot of the enclave that holds the key: 8 bytes, hexadecimal. */
  readonly instance: string;
  /** The public key: an uncompressed point, 97 bytes. */
  readonly publicKey: Uint8Array;
  /** When the enclave accepted the request, in Unix milliseconds of its trusted clock. */
  readonly issuedAtMs: number;
  /** The key's deadline, in Unix milliseconds. */
  readonly expiresAtMs: number;
  /** The key's purpose: 1 to 64 of `[a-z0-9._-]`. */
  readonly purpose: string;
  /**
   * The recipient's public key (97 bytes) that plaintext is delivered to; undefined for the caller of open.
   */
  readonly recipient: Uint8Array | undefined;
  /** The nonce of the request, 16 to 64 bytes. */
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

/** As {@link readDescriptor}, but synchronous and without the hash. */
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

/** Whether a string is a purpose. */
export function isPurpose(text: string): boolean {
  return typeof text === "string" && /^[a-z0-9._-]{1,64}$/.test(text);
}

/** The `info` of a message to a key. */
export function sealInfo({ hash }: KeyDescriptor): Bytes {
  return concat(utf8("ok2cry v1 seal"), hash);
}

/**
 * Reads a P-384 public key from PEM (`PUBLIC KEY`). Returns the uncompressed point, 97 bytes.
 *
 * @throws {Ok2cryError} `recipient_key_invalid`, with what was found and the command that converts it.
 */
export async function publicKeyFromPem(pem: string): Promise<Bytes> {
  const der = derOfPem(pem, "PUBLIC KEY", refusedKey);
  const point = pointOfSpki(der) ?? refusedKey(otherKey(der, false));
  return isP384Point(point) ? point : refusedKey("its point is not on the curve");
}

/**
 * Reads a recipient's public key from any of its forms: base64url of the point, as `ok2cry recipient show`
 * prints it, PEM (`PUBLIC KEY`), or a JSON Web Key.
 *
 * @throws {Ok2cryError} As {@link publicKeyFromPem}.
 */
export async function publicKeyFromText(text: string): Promise<Bytes> {
  // Not `trim`, which takes more for white space than other languages do.
  const trimmed = text.replace(/^\ufeff/, "").replace(/^[ \t\r\n]+|[ \t\r\n]+$/g, "");
  const point = trimmed.startsWith("{") ? pointOfJwk(trimmed) : parseBase64Url(trimmed);
  if (point === undefined) return publicKeyFromPem(text);
  return isP384Point(point) ? point : refusedKey("its point is not on the curve, or not uncompressed");
}

function pointOfJwk(text: string): Bytes {
  const invalid = (why: string) => refusedKey(`as a JWK: ${why}`);
  const jwk = own(strictJson(text, invalid) as Record<string, unknown>);
  if (jwk["kty"] !== "EC" || jwk["crv"] !== "P-384") invalid('kty must be "EC" and crv "P-384"');
  if ("d" in jwk) invalid("this is a private key: remove d");
  const [x, y] = [jwk["x"], jwk["y"]].map((value) => {
    const bytes = typeof value === "string" ? parseBase64Url(value) : undefined;
    return bytes?.length === 48 ? bytes : invalid("x and y must be 48 bytes each, in base64url");
  });
  return concat(Uint8Array.of(4), x as Bytes, y as Bytes);
}

function refusedKey(why: string): never {
  return refuse("recipient_key_invalid", `invalid recipient's public key: ${why}`);
}

/** A public key as PEM (`SubjectPublicKeyInfo`). */
export function publicKeyPem(point: Uint8Array): string {
  return toPem("PUBLIC KEY", p384Spki(point));
}

/** A public key as a JSON Web Key (RFC 7518 §6.2). */
export function publicKeyJwk(point: Uint8Array): { kty: "EC"; crv: "P-384"; x: string; y: string } {
  return { kty: "EC", crv: "P-384", x: toBase64Url(point.subarray(1, 49)), y: toBase64Url(point.subarray(49)) };
}
