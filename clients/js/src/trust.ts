// Which enclaves are accepted, and what their documents attest.

import type { TrustAnchor } from "./attestation/anchor.js";
import type { Policy } from "./attestation/policy.js";
import type { VerifiedDocument } from "./attestation/verifier.js";
import { Verifier } from "./attestation/verifier.js";
import { copy, equal } from "./bytes.js";
import { DEFAULT_MAX_REPLY_AGE_MS, MAX_DISTANCE_MS, MAX_STATEMENT_AGE_MS } from "./codes.js";
import { isRefusal, refuse } from "./error.js";
import { own } from "./own.js";
import { type BatchHeader, type Inclusion, instanceOfLogKey, isIncluded, readBatchHeader } from "./protocol/batch.js";
import { readStatement } from "./protocol/statement.js";
import type { AcceptedReleases } from "./release/index.js";
import { type CheckTime, requireNumber, systemTime } from "./time.js";

/** DER of an Ed25519 `SubjectPublicKeyInfo` up to the key's 32 bytes (RFC 8410 §4). */
const ED25519_SPKI_PREFIX = Uint8Array.of(0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00);

/** Settings of a {@link Trust}. */
export interface TrustOptions {
  /**
   * The maximum age of a reply's document, in milliseconds; ten minutes by default. A recipient's
   * {@link ReplayGuard} keeps entries for as long. A document is valid for at most three hours, as its leaf
   * certificate is.
   */
  readonly maxReplyAgeMs?: number;
}

/** A record with its proof, as the service sends it. */
export interface Attested extends Inclusion {
  /** The record's bytes. */
  readonly record: Uint8Array;
  /** The attestation document of the record's batch. */
  readonly document: Uint8Array;
}

/** A deep copy, so that the caller cannot change it while it is verified. */
export function copyOf(attested: Attested): Attested {
  const { record, document, index, path } = own(attested);
  if (!Array.isArray(path)) throw new TypeError("path must be an array");
  return {
    record: copy(record, "record"),
    document: copy(document, "document"),
    index,
    path: path.map((hash) => copy(hash, "path")),
  };
}

/**
 * Which enclaves are accepted: a root certificate, and releases whose measurements match as whole sets. Reuse
 * it: its verifier caches signatures.
 */
export class Trust {
  readonly #verifier: Verifier;
  readonly #policy: Policy;
  readonly #maxReplyAgeMs: number;

  /**
   * @param anchor The root that documents are verified under; {@link TrustAnchor.awsNitro} in production.
   * @param policy The accepted measurements. The callers of this class set age and nonce.
   */
  constructor(anchor: TrustAnchor, policy: Policy, options: TrustOptions = {}) {
    this.#verifier = new Verifier(anchor);
    this.#policy = policy;
    const { maxReplyAgeMs = DEFAULT_MAX_REPLY_AGE_MS } = own(options);
    this.#maxReplyAgeMs = requireNumber("maxReplyAgeMs", maxReplyAgeMs);
    Object.freeze(this);
  }

  /**
   * Accepts enclaves that run one of these releases, until their list expires. Then fetch the releases again,
   * and make another.
   *
   * @param anchor The anchor that the releases were checked for.
   * @throws {Ok2cryError} `attestation_root_mismatch` for another anchor.
   */
  static fromReleases(anchor: TrustAnchor, releases: AcceptedReleases, options?: TrustOptions): Trust {
    if (!equal(anchor.der, releases.anchor.der)) {
      refuse("attestation_root_mismatch", "root: the releases were checked for another attestation root");
    }
    return new Trust(anchor, releases.policy(), options);
  }

  /**
   * Verifies that an answer is an accepted enclave's statement about `nonce`, made now.
   *
   * @throws {Ok2cryError} The first rule that it breaks.
   */
  async verifyStatement(nonce: Uint8Array, answer: Attested, time: CheckTime = systemTime()): Promise<AttestedBatch> {
    const [at, asked] = [copyOf(answer), copy(nonce, "nonce")];
    const batch = await this.accept(at.document, MAX_STATEMENT_AGE_MS, time);
    await batch.checkIncluded("statement", at.record, at);
    const statement = await readStatement(at.record);
    if (!equal(statement.nonce, asked)) refuse("nonce_mismatch", "the nonce is not this request's");
    batch.checkTime("statement", statement.timeMs);
    return batch;
  }

  /** @internal The keys' own times bound the document's age: near the document's, and not expired. */
  acceptForKeys(document: Uint8Array, time: CheckTime): Promise<AttestedBatch> {
    return this.accept(document, Number.POSITIVE_INFINITY, time);
  }

  /** @internal */
  acceptForReply(document: Uint8Array, time: CheckTime): Promise<AttestedBatch> {
    return this.accept(document, this.#maxReplyAgeMs, time);
  }

  /** @internal How long after a key's deadline its reply is still accepted, in milliseconds. */
  get replyHorizonMs(): number {
    return this.#maxReplyAgeMs + MAX_DISTANCE_MS;
  }

  /** @internal */
  async accept(bytes: Uint8Array, maxAgeMs: number, time: CheckTime): Promise<AttestedBatch> {
    const verified = await this.#verifier.verify(bytes, time);
    const { document, release } = this.#policy.withMaxAgeMs(maxAgeMs).appraise(verified, time);
    if (document.nonce !== undefined) {
      refuse("document_nonce_set", "the attestation document has a nonce");
    }
    let header: BatchHeader;
    try {
      header = await readBatchHeader(document.userData ?? new Uint8Array());
    } catch (error) {
      if (!isRefusal(error)) throw error;
      return refuse("user_data_invalid", `the attestation document's user data is not a batch header: ${error.message}`);
    }
    const spki = document.publicKey;
    if (spki?.length !== 44 || !ED25519_SPKI_PREFIX.every((byte, at) => spki[at] === byte)) {
      return refuse("log_key_invalid", "the attestation document's public key is not an Ed25519 key");
    }
    return new AttestedBatch(TRUST, header, await instanceOfLogKey(spki), document, release);
  }
}

/** Keeps the constructor private to this module. */
const TRUST: unique symbol = /* @__PURE__ */ Symbol("Trust");

/** A batch whose document was accepted. */
export class AttestedBatch {
  readonly #header: BatchHeader;
  /** The boot of the enclave: 8 bytes, hexadecimal. */
  readonly instance: string;
  /** The accepted document. */
  readonly document: VerifiedDocument;
  /** The index of the accepted release that the enclave runs; undefined if the policy has no measurements. */
  readonly release: number | undefined;

  /** Internal: a {@link Trust} makes these. */
  constructor(
    trust: typeof TRUST,
    header: BatchHeader,
    instance: string,
    document: VerifiedDocument,
    release: number | undefined,
  ) {
    if (trust !== TRUST) throw new TypeError("an AttestedBatch comes from a Trust");
    this.#header = header;
    this.instance = instance;
    this.document = document;
    this.release = release;
    Object.freeze(this);
  }

  /** Size and root of the boot's audit log when the document was made. */
  get logHead(): { readonly size: number; readonly root: Uint8Array } {
    return { size: this.#header.logSize, root: this.#header.logRoot };
  }

  /** @internal Refuses a record that is not in the batch. */
  async checkIncluded(what: string, record: Uint8Array, inclusion: Inclusion): Promise<void> {
    if (!(await isIncluded(record, inclusion, this.#header))) {
      refuse("not_in_batch", `the ${what} is not in the document's batch`);
    }
  }

  /** @internal Refuses a record whose time is far from its document's. */
  checkTime(what: string, timeMs: number): void {
    if (Math.abs(this.document.timestampMs - timeMs) > MAX_DISTANCE_MS) {
      refuse("time_far_from_document", `the ${what}'s time is more than a minute from the document's`);
    }
  }
}
