// DSSE envelopes: a payload, its type, and signatures over both.

import { CertificateFault, signatureValue } from "../attestation/der.js";
import { type Bytes, concat, fromBase64, utf8 } from "../bytes.js";
import { MAX_ENVELOPE_LENGTH } from "../codes.js";
import { refuse } from "../error.js";
import { quoted } from "../text.js";
import { verifyP384 } from "../webcrypto.js";
import { refuseField } from "./fault.js";
import { optional, read, text } from "./json.js";
import type { Role, SignerKey } from "./key.js";

/**
 * The most signatures of an envelope: two whole roles, because old and new keys sign a root document that
 * replaces its keys.
 */
const MAX_SIGNATURES = 32;

const SHAPE = { payloadType: text, payload: text, signatures: [{ keyid: optional(text), sig: text }] } as const;

interface Signature {
  /** Names the key to verify with. Only verification decides whether that key signed. */
  readonly keyid: string;
  readonly der: Bytes;
}

/**
 * A DSSE envelope (github.com/secure-systems-lab/dsse, v1.0.0) whose signatures are not verified:
 * {@link Envelope.verify} returns the payload.
 *
 * Unknown fields of the envelope, which is not signed, are ignored, as the specification asks. Those of
 * payloads are refused.
 */
export class Envelope {
  /** The payload's type, not verified. */
  readonly payloadType: string;
  /** The payload, not verified. */
  readonly unverifiedPayload: Bytes;
  readonly #signatures: readonly Signature[];

  private constructor(payloadType: string, payload: Bytes, signatures: readonly Signature[]) {
    this.payloadType = payloadType;
    this.unverifiedPayload = payload;
    this.#signatures = signatures;
  }

  /**
   * Reads an envelope of at most {@link MAX_ENVELOPE_LENGTH} bytes.
   *
   * @param what Its name in errors.
   * @throws {Ok2cryError} `release_document_too_large`, `release_json_invalid`, `release_field_invalid`.
   */
  static decode(what: string, source: string): Envelope {
    const json = read(what, source, MAX_ENVELOPE_LENGTH, SHAPE, true) as {
      payloadType: string;
      payload: string;
      signatures: { keyid?: string; sig: string }[];
    };
    if (json.signatures.length > MAX_SIGNATURES) refuseField(what, "signatures", "at most 32");
    const bytes = (field: "payload" | "sig", encoded: string) =>
      base64(encoded) ?? refuseField(what, field, "base64, standard or URL-safe, padded");
    const payload = bytes("payload", json.payload);
    const signatures = json.signatures.map(({ keyid = "", sig }) => ({ keyid, der: bytes("sig", sig) }));
    return new Envelope(json.payloadType, payload, signatures);
  }

  /**
   * Returns the payload if it has this type and enough distinct keys of `role` signed it. Signatures of other
   * keys are ignored, because other roles may have signed too.
   *
   * @throws {Ok2cryError} `payload_type_mismatch`, `release_signature_invalid`, `signature_repeated`,
   *   `signature_key_unknown`, `signatures_below_threshold`.
   */
  async verify(what: string, payloadType: string, role: Role): Promise<Bytes> {
    if (this.payloadType !== payloadType) {
      refuse("payload_type_mismatch", `${what}: the envelope's payloadType is ${quoted(this.payloadType)}`);
    }
    // DSSE's pre-authentication encoding of type and payload.
    const payload = this.unverifiedPayload;
    const header = `DSSEv1 ${utf8(payloadType).length} ${payloadType} ${payload.length} `;
    const message = concat(utf8(header), payload);
    const signed = new Set<SignerKey>();
    for (const { keyid, der } of this.#signatures) {
      const key = role.keys.find(({ id }) => id === keyid);
      if (!key) continue;
      // A key id leads to at most one verification, which bounds the work, and proves nothing.
      if (!(await isSignedBy(key, message, der))) {
        refuse("release_signature_invalid", `${what}: a signature does not verify under its key`);
      }
      if (signed.has(key)) refuse("signature_repeated", `${what}: one key signed twice`);
      signed.add(key);
    }
    const [found, threshold] = [signed.size, role.threshold];
    if (found === 0) {
      refuse("signature_key_unknown", `${what}: none of its signing keys signed it`);
    }
    if (found < threshold) {
      refuse("signatures_below_threshold", `${what}: signed by ${found} keys, expected ${threshold}`);
    }
    return payload;
  }
}

async function isSignedBy({ key }: SignerKey, message: Uint8Array, der: Uint8Array): Promise<boolean> {
  let signature: Bytes;
  try {
    signature = signatureValue(der);
  } catch (error) {
    if (error instanceof CertificateFault) return false;
    throw error;
  }
  return verifyP384(key, message, signature);
}

/** DSSE: a signer may use either alphabet, a verifier must read both. */
function base64(encoded: string): Bytes | undefined {
  const isUrlSafe = /^[^+/]*$/.test(encoded);
  return fromBase64(isUrlSafe ? encoded.replace(/-/g, "+").replace(/_/g, "/") : encoded);
}
