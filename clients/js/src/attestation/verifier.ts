// Whether a Nitro module signed a document, validly now: the order of all checks.

import { DEFAULT_SIGNATURE_CACHE } from "../codes.js";
import { refuse } from "../error.js";
import { own } from "../own.js";
import { beyondLeeway, type CheckTime, span, systemTime } from "../time.js";
import { importP384, verifyP384 } from "../webcrypto.js";
import type { TrustAnchor } from "./anchor.js";
import type { Certificate } from "./certificate.js";
import { chainOf, checkClock, checkSignatures, leafOf, SignatureCache } from "./chain.js";
import { type Claims, decode } from "./document.js";
import { isZero } from "./measurements.js";

/** Known in this module alone. */
const VERIFIER: unique symbol = /* @__PURE__ */ Symbol("Verifier");

/** What weakens or tunes a {@link Verifier}. */
export interface VerifierOptions {
  /** How many certificate signatures are remembered; {@link DEFAULT_SIGNATURE_CACHE} if left out, 0 for none. */
  readonly signatureCache?: number;
  /** Lets debug enclaves pass, whose PCR0, 1 and 2 are zero. **Insecure**: the host reads their memory. */
  readonly insecureAllowDebug?: boolean;
}

/**
 * Decides whether attestation documents are genuine. Keep one: it remembers certificate signatures that verified, so that
 * another document of the same enclave costs one signature instead of five. No verdict depends on what it remembers.
 */
export class Verifier {
  readonly #anchor: TrustAnchor;
  readonly #memory: SignatureCache;
  readonly #allowDebug: boolean;

  /** @param anchor The root that documents are verified under; {@link TrustAnchor.awsNitro} in production. */
  constructor(anchor: TrustAnchor, options: VerifierOptions = {}) {
    this.#anchor = anchor;
    const { signatureCache = DEFAULT_SIGNATURE_CACHE, insecureAllowDebug } = own(options);
    this.#memory = new SignatureCache(signatureCache);
    this.#allowDebug = insecureAllowDebug === true;
    Object.freeze(this);
  }

  /**
   * Verifies a document by a clock. A genuine document alone means little: everybody with an AWS account can get one for an
   * image of their own. Go on with {@link Policy.appraise}.
   *
   * @param document CBOR (COSE_Sign1), at most 32 KiB.
   * @param time The clock that it is checked by; this machine's if left out.
   * @throws {Ok2cryError} The first rule that it breaks (`docs/attestation.md`).
   */
  verify(document: Uint8Array, time: CheckTime = systemTime()): Promise<VerifiedDocument> {
    return this.#check(document, time);
  }

  /**
   * Verifies a document by its own timestamp: whether it was valid when it was made. For audits only; whoever sends a document
   * chooses which.
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
    // One after the other for the verdict, at the same time for the processor.
    const [digests, isSigned] = await Promise.all([checkSignatures(chain, this.#memory), signed]);
    if (!isSigned) {
      refuse("document_signature_invalid", "signature: this does not verify under the certificate's key");
    }

    // Last, so that "debug mode" is said of genuine documents only.
    const isDebug = checkMeasured(claims.pcrs, this.#allowDebug);
    this.#memory.remember(digests);
    return new VerifiedDocument(VERIFIER, claims, chain, isDebug);
  }
}

/** A genuine document. Only a {@link Verifier} makes these. */
export class VerifiedDocument {
  /** Who made the document: instance and enclave. */
  readonly moduleId: string;
  /** When the module made it, in Unix milliseconds. */
  readonly timestampMs: number;
  /** The measurements, 48 bytes each, by index. PCR0, 1 and 2 are always among them. */
  readonly pcrs: ReadonlyMap<number, Uint8Array>;
  /** `public_key`, 1 to 1,024 bytes; undefined if unset or empty. */
  readonly publicKey: Uint8Array | undefined;
  /** `user_data`, 0 to 1,024 bytes; undefined if unset. */
  readonly userData: Uint8Array | undefined;
  /** `nonce`, 0 to 1,024 bytes; undefined if unset. */
  readonly nonce: Uint8Array | undefined;
  /** The certificates: root first, the leaf that signed the document last. */
  readonly chain: readonly Certificate[];
  /** Whether it comes from a debug enclave, which hides nothing. Only with {@link VerifierOptions.insecureAllowDebug}. */
  readonly isDebug: boolean;

  readonly #genuine = true;

  /** Not for callers: a {@link Verifier} makes these, and nobody else can. */
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

  /** Whether a value is a document that a {@link Verifier} has verified. */
  static isGenuine(value: VerifiedDocument): boolean {
    return #genuine in value && value.#genuine;
  }
}

/** Refuses documents from beyond the leeway of the clock. */
export function checkNotFromFuture(timestampMs: number, time: CheckTime): void {
  const byMs = beyondLeeway(time, timestampMs);
  if (byMs !== undefined) {
    refuse("document_from_future", `timestamp: ${span(byMs)} from now, beyond the leeway; is the clock behind?`);
  }
}

/** Refuses registers that hold nothing. Answers whether it is a debug enclave that may pass. */
function checkMeasured(pcrs: Claims["pcrs"], allowDebug: boolean): boolean {
  const zeros = [0, 1, 2].filter((index) => isZero(pcrs.get(index) ?? new Uint8Array()));
  if (zeros.length === 0) return false;
  if (zeros.length < 3) refuse("pcr_zero", `pcrs: PCR${zeros[0] ?? 0} is zero, which no measured image is`);
  if (!allowDebug) refuse("debug_mode", "pcrs: PCR0, PCR1 and PCR2 are zero: a debug enclave, which hides nothing");
  return true;
}
