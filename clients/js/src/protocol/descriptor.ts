// The key descriptor: everything that anybody may rely on about one disposable key.

import { type Bytes, concat, copy, fromPem, toBase64Url, toHex, toPem, utf8 } from "../bytes.js";
import { refuse } from "../error.js";
import { importP384, p384Spki, pointOfSpki, sha384 } from "../webcrypto.js";
import { invalid, readRecord } from "./record.js";

/** The latest time that a record can name, in Unix milliseconds. */
export const MAX_TIME = Number.MAX_SAFE_INTEGER;

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
export function readDescriptor(encoded: Uint8Array): Promise<KeyDescriptor> {
  const bytes = copy(encoded, "a descriptor");
  return readRecord("key descriptor", bytes, "ok2cry/key/v1", 9, async (record) => {
    const id = record.bytes("key_id", 24);
    record.suite();
    const publicKey = await record.point("public_key");
    const issuedAtMs = record.uint("issued_at", MAX_TIME);
    const expiresAtMs = record.uint("expires_at", MAX_TIME);
    if (expiresAtMs <= issuedAtMs) invalid("expires_at: is out of range");
    const purpose = record.text("purpose", 1, 64);
    if (!isPurpose(purpose)) invalid("purpose: may hold a-z, 0-9, '.', '_' and '-' only");
    const recipient = await record.releaseTo("release_to");
    const clientNonce = record.bytes("client_nonce", 16, 64);
    return {
      bytes,
      hash: await sha384(bytes),
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
  return /^[a-z0-9._-]{1,64}$/.test(text);
}

/** The `info` of a message that is sealed to a key. */
export function sealInfo({ hash }: KeyDescriptor): Bytes {
  return concat(utf8("ok2cry v1 seal"), hash);
}

/**
 * Reads a P-384 public key from PEM (`PUBLIC KEY`): the uncompressed point, 97 bytes, that recipients are named by.
 *
 * @throws {Ok2cryError} `recipient_key_invalid`.
 */
export async function publicKeyFromPem(pem: string): Promise<Uint8Array> {
  const der = fromPem("PUBLIC KEY", pem);
  const point = der && pointOfSpki(der);
  if (point === undefined || !(await importP384(point))) {
    return refuse("recipient_key_invalid", "the recipient's key is not understood: not a P-384 public key in PEM");
  }
  return point;
}

/** A public key as PEM (`SubjectPublicKeyInfo`). */
export function publicKeyPem(point: Uint8Array): string {
  return toPem("PUBLIC KEY", p384Spki(point));
}

/** A public key as JSON Web Key (RFC 7518 §6.2). */
export function publicKeyJwk(point: Uint8Array): { kty: "EC"; crv: "P-384"; x: string; y: string } {
  return { kty: "EC", crv: "P-384", x: toBase64Url(point.subarray(1, 49)), y: toBase64Url(point.subarray(49)) };
}
