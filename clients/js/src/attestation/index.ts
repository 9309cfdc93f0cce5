/**
 * Strict verification of AWS Nitro Enclaves attestation documents, for any enclave. For browsers and Node,
 * over WebCrypto.
 *
 * @example
 * ```ts
 * import { Measurements, Policy, TrustAnchor, Verifier, verifyDocument } from "@ok2cry/client/attestation";
 *
 * const verifier = new Verifier(TrustAnchor.awsNitro());
 * const policy = Policy.of(Measurements.fromNitroCliJson(release)).withNonce(nonce).withMaxAgeMs(300_000);
 * const { document } = await verifyDocument(bytes, verifier, policy);
 * ```
 *
 * @module
 */
import { type CheckTime, systemTime } from "../time.js";
import type { AcceptedDocument, Policy } from "./policy.js";
import type { Verifier } from "./verifier.js";

export { type Bytes, fromHex, toHex } from "../bytes.js";
export {
  type AttestationCode,
  type ClientCode,
  DEFAULT_LEEWAY_MS,
  DEFAULT_SIGNATURE_CACHE,
  type ErrorCode,
  type JavaScriptCode,
  MAX_DOCUMENT_LENGTH,
  PCR_COUNT,
  PCR_LENGTH,
  type ServiceCode,
} from "../codes.js";
export { Ok2cryError } from "../error.js";
export { type CheckTime, type Clock, systemTime } from "../time.js";
export { TrustAnchor } from "./anchor.js";
export type { Certificate } from "./certificate.js";
export { Measurements } from "./measurements.js";
export { AcceptedDocument, Policy } from "./policy.js";
export { VerifiedDocument, Verifier, type VerifierOptions } from "./verifier.js";

/**
 * Verifies a document, and compares it with a policy.
 *
 * @param document CBOR (COSE_Sign1), at most 32 KiB.
 * @param verifier Holds the root. Reuse it: it caches certificate signatures.
 * @param policy Holds the expected measurements, nonce, user data and age.
 * @param time The clock to check by; this machine's by default.
 * @throws {Ok2cryError} The first rule that the document breaks (`docs/attestation.md`).
 */
export async function verifyDocument(
  document: Uint8Array,
  verifier: Verifier,
  policy: Policy,
  time: CheckTime = systemTime(),
): Promise<AcceptedDocument> {
  return policy.appraise(await verifier.verify(document, time), time);
}
