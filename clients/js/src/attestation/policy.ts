// Whether a verified document is the expected one: measurements, age, nonce, user data.

import { copy, equal } from "../bytes.js";
import { refuse } from "../error.js";
import { own } from "../own.js";
import { type CheckTime, formatDuration, past, requireNumber, systemTime } from "../time.js";
import type { Measurements } from "./measurements.js";
import { checkNotFromFuture, VerifiedDocument } from "./verifier.js";

/** Keeps the constructors private to this module. */
const POLICY: unique symbol = /* @__PURE__ */ Symbol("Policy");

interface Requirements {
  /** Undefined accepts any measurements. */
  readonly releases?: readonly Measurements[];
  /** When a list of signed releases expires. */
  readonly releasedUntilMs?: number;
  readonly maxAgeMs?: number;
  readonly nonce?: Uint8Array;
  readonly userData?: Uint8Array;
}

/** What is expected of a document. Immutable: each setter returns a new, stricter policy. */
export class Policy {
  readonly #required: Requirements;

  /** Internal: use the static methods. */
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

  /** As {@link Policy.of}, until a time (Unix milliseconds). A checked release list makes these. */
  static releasedUntil(releases: readonly Measurements[], endsMs: number): Policy {
    return new Policy(POLICY, { ...Policy.of(...releases).#required, releasedUntilMs: requireNumber("endsMs", endsMs) });
  }

  /** Accepts any image. **Insecure** by itself: it says nothing about the running code. */
  static insecureWithoutPcrs(): Policy {
    return new Policy(POLICY, {});
  }

  /**
   * Accepts documents of at most this age, in milliseconds. Of several ages the least applies.
   *
   * @throws {TypeError} if it is not a number, so that a mistake does not remove the limit.
   */
  withMaxAgeMs(maxAgeMs: number): Policy {
    return new Policy(POLICY, {
      ...this.#required,
      maxAgeMs: Math.min(requireNumber("maxAgeMs", maxAgeMs), this.#required.maxAgeMs ?? Number.POSITIVE_INFINITY),
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
   * Compares a verified document with the policy.
   *
   * @throws {Ok2cryError} `document_from_future`, `document_too_old`, `list_expired`, `release_not_listed`,
   *   `measurements_mixed`, `pcr_mismatch`, `nonce_mismatch`, `user_data_mismatch`.
   */
  appraise(document: VerifiedDocument, time: CheckTime = systemTime()): AcceptedDocument {
    if (!VerifiedDocument.isGenuine(document)) throw new TypeError("a VerifiedDocument comes from a Verifier");
    const { releases, releasedUntilMs, maxAgeMs, nonce, userData } = this.#required;
    checkNotFromFuture(document.timestampMs, time);
    // A timestamp within the leeway has age 0.
    const ageMs = Math.max(0, own(time).nowMs - document.timestampMs);
    if (maxAgeMs !== undefined && !(ageMs <= maxAgeMs)) {
      refuse("document_too_old", `timestamp: ${formatDuration(ageMs)} old, expected at most ${formatDuration(maxAgeMs)}`);
    }
    if (releases !== undefined && releasedUntilMs !== undefined) {
      checkReleased(document.pcrs, releases, releasedUntilMs, time);
    }
    const release = releases && matching(document.pcrs, releases);
    if (nonce !== undefined && !isSame(nonce, document.nonce)) {
      refuse("nonce_mismatch", "nonce: not the expected one");
    }
    if (userData !== undefined && !isSame(userData, document.userData)) {
      refuse("user_data_mismatch", "user_data: not the expected one");
    }
    return new AcceptedDocument(POLICY, document, release);
  }
}

/** A genuine document that meets a policy. Only {@link Policy.appraise} makes these. */
export class AcceptedDocument {
  /** The document. */
  readonly document: VerifiedDocument;
  /**
   * The index of the policy's release that the document matches; undefined under
   * {@link Policy.insecureWithoutPcrs}.
   */
  readonly release: number | undefined;
  readonly #genuine = true;

  /** Internal: use {@link Policy.appraise}. */
  constructor(policy: typeof POLICY, document: VerifiedDocument, release: number | undefined) {
    if (policy !== POLICY) throw new TypeError("an AcceptedDocument comes from a Policy");
    this.document = document;
    this.release = release;
    Object.freeze(this);
  }

  /** Whether a value is a document that a {@link Policy} accepted. */
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
  if (byMs !== undefined) refuse("list_expired", `list: expired ${formatDuration(byMs)} ago`);
  if (releases.some((release) => release.differing(pcrs).length === 0)) return;
  // If each register is some release's, the image combines parts of several releases.
  const isKnown = (index: number) =>
    releases.some((release) => [...release].some(([i, value]) => i === index && isSame(value, pcrs.get(index))));
  if ([0, 1, 2].every(isKnown)) {
    refuse("measurements_mixed", "pcrs: each PCR is in some listed release, but no single release has all of them");
  }
  refuse("release_not_listed", "pcrs: no listed release has these measurements; it was revoked, or never released");
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
