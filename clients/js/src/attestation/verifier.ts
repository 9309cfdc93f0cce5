// Whether a Nitro module signed a document, and its chain is valid now: all checks, in order.

import { DEFAULT_SIGNATURE_CACHE } from "../codes.js";
import { refuse } from "../error.js";
import { own } from "../own.js";
import { beyondLeeway, type CheckTime, formatDuration, systemTime } from "../time.js";
import { importP384, verifyP384 } from "../webcrypto.js";
import type { TrustAnchor } from "./anchor.js";
import type { Certificate } from "./certificate.js";
import { chainOf, checkClock, checkSignatures, leafOf, SignatureCache } from "./chain.js";
import { type Claims, decode } from "./document.js";
import { isZero } from "./measurements.js";

/** Keeps the constructors private to this module. */
const VERIFIER: unique symbol = /* @__PURE__ */ Symbol("Verifier");

/** Settings of a {@link Verifier}. */
export interface VerifierOptions {
  /**
   * The most certificate signatures that are cached, 0 for none; {@link DEFAULT_SIGNATURE_CACHE} by default.
   */
  readonly signatureCache?: number;
  /** Accepts debug enclaves, whose PCR0, 1 and 2 are zero. **Insecure**: the host can read their memory. */
  readonly insecureAllowDebug?: boolean;
}

/**
 * Decides whether attestation documents are genuine. Reuse it: it caches verified certificate signatures, so
 * the next document of an enclave costs one signature instead of five. No verdict depends on the cache.
 */
export class Verifier {
  readonly #anchor: TrustAnchor;
  readonly #cache: SignatureCache;
  readonly #allowDebug: boolean;

  /** @param anchor The root that documents are verified under; {@link TrustAnchor.awsNitro} in production. */
  constructor(anchor: TrustAnchor, options: VerifierOptions = {}) {
    this.#anchor = anchor;
    const { signatureCache = DEFAULT_SIGNATURE_CACHE, insecureAllowDebug } = own(options);
    this.#cache = new SignatureCache(signatureCache);
    this.#allowDebug = insecureAllowDebug === true;
    Object.freeze(this);
  }

  /**
   * Verifies a document by a clock. Any AWS account can get a genuine document for its own image, so continue
   * with {@link Policy.appraise}.
   *
   * @param document CBOR (COSE_Sign1), at most 32 KiB.
   * @param time The clock to check by; this machine's by default.
   * @throws {Ok2cryError} The first rule that the document breaks (`docs/attestation.md`).
   */
  verify(document: Uint8Array, time: CheckTime = systemTime()): Promise<VerifiedDocument> {
    return this.#check(document, time);
  }

  /**
   * Verifies a document at its own timestamp: whether it was valid when it was made. For audits only, because
   * the sender chooses which document to send.
   *
   * @throws {Ok2cryError} As {@link Verifier.verify}.
   */
  verifyHistorical(document: Uint8Array): Promise<VerifiedDocument> {
    return this.#check(document, undefined);
  }

  async #check(document: Uint8Array, checked: CheckTime | undefined): Promise<VerifiedDocument> {
    const { claims, signedBytes, signature } = decode(document);
    const chain = chainOf(claims, this.#anchor);
    const time = checked ?? { nowMs: claims.timestampMs, leewayMs: 0 };
    checkClock(chain, claims.timestampMs, time);
    checkNotFromFuture(claims.timestampMs, time);

    const signed = importP384(leafOf(chain).point).then((key) => key !== undefined && verifyP384(key, signedBytes, signature));
    // Concurrent work, but the verdicts in this order.
    const [digests, isSigned] = await Promise.all([checkSignatures(chain, this.#cache), signed]);
    if (!isSigned) {
      refuse("document_signature_invalid", "signature: does not verify under the leaf's key");
    }

    // Last, so that `debug_mode` is reported for genuine documents only.
    const isDebug = checkMeasured(claims.pcrs, this.#allowDebug);
    this.#cache.insert(digests);
    return new VerifiedDocument(VERIFIER, claims, chain, isDebug);
  }
}

/** A genuine document. Only a {@link Verifier} makes these. */
export class VerifiedDocument {
  /** The module that made the document: instance and enclave. */
  readonly moduleId: string;
  /** When the module made it, in Unix milliseconds. */
  readonly timestampMs: number;
  /** The measurements, 48 bytes each, by index. PCR0, 1 and 2 are always present. */
  readonly pcrs: ReadonlyMap<number, Uint8Array>;
  /** `public_key`, 1 to 1,024 bytes; undefined if absent or empty. */
  readonly publicKey: Uint8Array | undefined;
  /** `user_data`, 0 to 1,024 bytes; undefined if absent. */
  readonly userData: Uint8Array | undefined;
  /** `nonce`, 0 to 1,024 bytes; undefined if absent. */
  readonly nonce: Uint8Array | undefined;
  /** The certificates: root first; the leaf, which signed the document, last. */
  readonly chain: readonly Certificate[];
  /**
   * Whether it is from a debug enclave, which hides nothing. Only with
   * {@link VerifierOptions.insecureAllowDebug}.
   */
  readonly isDebug: boolean;

  readonly #genuine = true;

  /** Internal: use a {@link Verifier}. */
  constructor(verifier: typeof VERIFIER, claims: Claims, chain: readonly Certificate[], isDebug: boolean) {
    if (verifier !== VERIFIER) throw new TypeError("a VerifiedDocument comes from a Verifier");
    this.moduleId = claims.moduleId;
    this.timestampMs = claims.timestampMs;
    this.pcrs = claims.pcrs;
    this.publicKey = claims.publicKey;
    this.userData = claims.userData;
    this.nonce = claims.nonce;
    this.chain = chain;
    this.isDebug = isDebug;
    Object.freeze(this);
  }

  /** Whether a value is a document that a {@link Verifier} verified. */
  static isGenuine(value: VerifiedDocument): boolean {
    return #genuine in value && value.#genuine;
  }
}

/** Refuses documents from the future, beyond the clock's leeway. */
export function checkNotFromFuture(timestampMs: number, time: CheckTime): void {
  const byMs = beyondLeeway(time, timestampMs);
  if (byMs !== undefined) {
    refuse("document_from_future", `timestamp: ${formatDuration(byMs)} from now, beyond the leeway; is the clock behind?`);
  }
}

/** Refuses registers that are zero. Returns whether it is an allowed debug enclave. */
function checkMeasured(pcrs: Claims["pcrs"], allowDebug: boolean): boolean {
  const zeros = [0, 1, 2].filter((index) => isZero(pcrs.get(index) ?? new Uint8Array()));
  if (zeros.length === 0) return false;
  if (zeros.length < 3) refuse("pcr_zero", `pcrs: PCR${zeros[0] ?? 0} is zero; a measured image never has that value`);
  if (!allowDebug) refuse("debug_mode", "pcrs: PCR0, PCR1 and PCR2 are zero: a debug enclave, which hides nothing");
  return true;
}
