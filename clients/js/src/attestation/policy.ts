// Whether a verified document is what somebody expects: measurements, age, nonce, user data.

import { copy, equal } from "../bytes.js";
import { refuse } from "../error.js";
import { own } from "../own.js";
import { aNumber, type CheckTime, past, span, systemTime } from "../time.js";
import type { Measurements } from "./measurements.js";
import { checkNotFromFuture, VerifiedDocument } from "./verifier.js";

/** Known in this module alone. */
const POLICY: unique symbol = /* @__PURE__ */ Symbol("Policy");

interface Requirements {
  /** Without, any measurements do. */
  readonly releases?: readonly Measurements[];
  /** When releases that were signed end. */
  readonly releasedUntilMs?: number;
  readonly maxAgeMs?: number;
  readonly nonce?: Uint8Array;
  readonly userData?: Uint8Array;
}

/** What is expected of a document. Immutable: each method returns a policy that expects more. */
export class Policy {
  readonly #required: Requirements;

  /** Not for callers: see the static methods. */
  constructor(policy: typeof POLICY, required: Requirements) {
    if (policy !== POLICY) throw new TypeError("a Policy comes from its static methods");
    this.#required = own(required);
    Object.freeze(this);
  }

  /**
   * Accepts documents whose PCRs match one of these releases as a whole set.
   *
   * @throws {Ok2cryError} `policy_without_release` if there is none.
   */
  static of(...releases: readonly Measurements[]): Policy {
    if (releases.length === 0) refuse("policy_without_release", "measurements: at least one release is needed");
    return new Policy(POLICY, { releases: [...releases] });
  }

  /** As {@link Policy.of}, until a moment (Unix milliseconds). What a checked release list makes. */
  static releasedUntil(releases: readonly Measurements[], endsMs: number): Policy {
    return new Policy(POLICY, { ...Policy.of(...releases).#required, releasedUntilMs: aNumber("endsMs", endsMs) });
  }

  /** Accepts any image that anybody runs. **Insecure** on its own: it says nothing about the code that runs. */
  static insecureWithoutPcrs(): Policy {
    return new Policy(POLICY, {});
  }

  /**
   * Accepts documents of at most this age, in milliseconds. Of several ages the least counts.
   *
   * @throws {TypeError} if it is no number: a policy must not expect less than was asked for.
   */
  withMaxAgeMs(maxAgeMs: number): Policy {
    return new Policy(POLICY, {
      ...this.#required,
      maxAgeMs: Math.min(aNumber("maxAgeMs", maxAgeMs), this.#required.maxAgeMs ?? Number.POSITIVE_INFINITY),
    });
  }

  /** Accepts documents with exactly this nonce. */
  withNonce(nonce: Uint8Array): Policy {
    return new Policy(POLICY, { ...this.#required, nonce: copy(nonce, "nonce") });
  }

  /** Accepts documents with exactly this user data. */
  withUserData(userData: Uint8Array): Policy {
    return new Policy(POLICY, { ...this.#required, userData: copy(userData, "userData") });
  }

  /**
   * Compares a verified document with what is expected.
   *
   * @throws {Ok2cryError} `document_from_future`, `document_too_old`, `list_expired`, `release_not_listed`, `measurements_mixed`,
   *   `pcr_mismatch`, `nonce_mismatch`, `user_data_mismatch`.
   */
  appraise(document: VerifiedDocument, time: CheckTime = systemTime()): AcceptedDocument {
    if (!VerifiedDocument.isGenuine(document)) throw new TypeError("a VerifiedDocument comes from a Verifier");
    const { releases, releasedUntilMs, maxAgeMs, nonce, userData } = this.#required;
    checkNotFromFuture(document.timestampMs, time);
    // A timestamp within the leeway has no age yet.
    const ageMs = Math.max(0, own(time).nowMs - document.timestampMs);
    if (maxAgeMs !== undefined && !(ageMs <= maxAgeMs)) {
      refuse("document_too_old", `timestamp: ${span(ageMs)} old, where at most ${span(maxAgeMs)} are allowed`);
    }
    if (releases !== undefined && releasedUntilMs !== undefined) {
      checkReleased(document.pcrs, releases, releasedUntilMs, time);
    }
    const release = releases && matching(document.pcrs, releases);
    if (nonce !== undefined && !isSame(nonce, document.nonce)) {
      refuse("nonce_mismatch", "nonce: this is not the expected one");
    }
    if (userData !== undefined && !isSame(userData, document.userData)) {
      refuse("user_data_mismatch", "user_data: this is not the expected one");
    }
    return new AcceptedDocument(POLICY, document, release);
  }
}

/** A genuine document that is what a policy expects. Only {@link Policy.appraise} makes these. */
export class AcceptedDocument {
  /** The document. */
  readonly document: VerifiedDocument;
  /** Which of the policy's releases it matches, counted from 0; undefined under {@link Policy.insecureWithoutPcrs}. */
  readonly release: number | undefined;
  readonly #genuine = true;

  /** Not for callers. */
  constructor(policy: typeof POLICY, document: VerifiedDocument, release: number | undefined) {
    if (policy !== POLICY) throw new TypeError("an AcceptedDocument comes from a Policy");
    this.document = document;
    this.release = release;
    Object.freeze(this);
  }

  /** Whether a value is a document that a {@link Policy} has accepted. */
  static isGenuine(value: AcceptedDocument): boolean {
    return #genuine in value && value.#genuine;
  }
}

function checkReleased(
  pcrs: ReadonlyMap<number, Uint8Array>,
  releases: readonly Measurements[],
  endsMs: number,
  time: CheckTime,
): void {
  const byMs = past(time, endsMs);
  if (byMs !== undefined) refuse("list_expired", `list: expired ${span(byMs)} ago`);
  if (releases.some((release) => release.differing(pcrs).length === 0)) return;
  // Of each register some release says what it holds: somebody has put together what was released apart.
  const isKnown = (index: number) =>
    releases.some((release) => [...release].some(([i, value]) => i === index && isSame(value, pcrs.get(index))));
  if ([0, 1, 2].every(isKnown)) {
    refuse("measurements_mixed", "pcrs: each is that of some release in the list, but together they are none");
  }
  refuse("release_not_listed", "pcrs: no release in the list has these measurements; it was revoked, or never released");
}

function matching(pcrs: ReadonlyMap<number, Uint8Array>, releases: readonly Measurements[]): number {
  const differing = releases.map((release) => release.differing(pcrs));
  const found = differing.findIndex((indices) => indices.length === 0);
  if (found >= 0) return found;
  const closest = differing.reduce((best, next) => (next.length < best.length ? next : best));
  return refuse(
    "pcr_mismatch",
    `pcrs: no accepted release has this whole set; against the closest, PCR [${closest.join(", ")}] differ`,
  );
}

function isSame(expected: Uint8Array, found: Uint8Array | undefined): boolean {
  return found !== undefined && equal(expected, found);
}
