// The certificates of a document as a chain: root first, in order, each entry used, each in its role.

import { concat, equal, toHex } from "../bytes.js";
import { refuse } from "../error.js";
import { beyondLeeway, type CheckTime, formatDuration, past } from "../time.js";
import { importP384, sha256, verifyP384 } from "../webcrypto.js";
import { checkIssuer, checkLeaf, parseAt, type TrustAnchor } from "./anchor.js";
import { allowsClientAuth, type ParsedCertificate } from "./certificate.js";
import type { Claims } from "./document.js";

/** Root first, leaf last. Checked, except for times and signatures. */
export type Chain = readonly ParsedCertificate[];

/** Reads the certificates, and checks what depends neither on a clock nor on a signature. */
export function chainOf(claims: Claims, anchor: TrustAnchor): Chain {
  const root = anchor.der;
  const rootAt = claims.cabundle.findIndex((der) => equal(der, root));
  if (rootAt < 0) refuse("root_not_trusted", "cabundle: the chain does not begin at the trust anchor");
  if (rootAt > 0) refuse("cabundle_not_root_first", "cabundle: the trust anchor must be its first entry");

  const ders = [...claims.cabundle, claims.certificate];
  const chain = ders.map((der, index) => parseAt(nameAt(ders, index), der));
  checkNames(chain);
  const issuers = chain.slice(0, -1);
  issuers.forEach((issuer, index) => {
    const at = nameAt(chain, index);
    checkIssuer(at, issuer);
    const found = issuers.length - index - 1;
    if (issuer.pathLength !== undefined && issuer.pathLength < found) {
      refuse("path_length_exceeded", `${at}: pathLenConstraint allows ${issuer.pathLength} CAs below this one, found ${found}`);
    }
  });
  checkLeaf(nameAt(chain, issuers.length), leafOf(chain));
  return chain;
}

/** The certificate whose key signed the document. */
export function leafOf(chain: Chain): ParsedCertificate {
  return chain[chain.length - 1] as ParsedCertificate;
}

/**
 * Checks that every certificate is valid, root included, and that the document's timestamp is within its
 * leaf's validity.
 */
export function checkClock(chain: Chain, timestampMs: number, time: CheckTime): void {
  const leaf = leafOf(chain);
  if (timestampMs < leaf.notBeforeMs || timestampMs > leaf.notAfterMs) {
    refuse("timestamp_outside_leaf", "timestamp: outside the leaf certificate's validity");
  }
  chain.forEach((certificate, index) => {
    const at = nameAt(chain, index);
    const early = beyondLeeway(time, certificate.notBeforeMs);
    if (early !== undefined) {
      refuse("not_yet_valid", `${at}: becomes valid ${formatDuration(early)} from now, beyond the leeway; is the clock behind?`);
    }
    const late = past(time, certificate.notAfterMs);
    if (late !== undefined) refuse("expired", `${at}: expired ${formatDuration(late)} ago`);
  });
}

/**
 * Verifies every certificate under the one before it, except for signatures in `cache`. Returns what to
 * insert into the cache once the whole document is accepted.
 */
export async function checkSignatures(chain: Chain, cache: SignatureCache): Promise<readonly string[]> {
  if (!chain.slice(1).every((certificate) => allowsClientAuth(certificate.extendedKeyUsage))) {
    refuse("path_invalid", "chain: its key purposes are not a Nitro chain's");
  }
  // The leeway applies to each certificate's start. A path must be valid at one instant (RFC 5280 §6.1).
  const beginsMs = Math.max(...chain.map((certificate) => certificate.notBeforeMs));
  if (chain.slice(1).some((certificate) => certificate.notAfterMs < beginsMs)) {
    refuse("path_invalid", "chain: its certificates are never valid at once");
  }
  const verdicts = chain.slice(1).map(async (certificate, index) => {
    const issuer = chain[index] as ParsedCertificate;
    const digest = await digestOf(issuer, certificate);
    if (cache.has(digest)) return digest;
    const key = await importP384(issuer.point);
    const isSigned = key !== undefined && (await verifyP384(key, certificate.tbs, certificate.signature));
    return isSigned ? digest : undefined;
  });
  const digests = await Promise.all(verdicts);
  if (digests.every((digest) => digest !== undefined)) return digests;
  return refuse("certificate_signature_invalid", "a certificate's signature does not verify under its issuer's key");
}

/**
 * Certificate signatures that verified, each with everything that decides about it. All other checks run
 * every time, so no verdict depends on the cache. The certificates of a Nitro chain stay the same for hours.
 */
export class SignatureCache {
  readonly #capacity: number;
  readonly #seen = new Set<string>();

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  has(digest: string): boolean {
    return this.#seen.has(digest);
  }

  /** Inserts what {@link checkSignatures} returned, and evicts the least recently used. */
  insert(digests: readonly string[]): void {
    for (const digest of digests) {
      // Moves it to the end: the set is ordered by last use.
      this.#seen.delete(digest);
      this.#seen.add(digest);
    }
    for (const oldest of this.#seen) {
      if (this.#seen.size <= this.#capacity) break;
      this.#seen.delete(oldest);
    }
  }
}

/**
 * Identifies a signature by everything that decides about it. Point and signature have fixed lengths, so the
 * concatenation is unambiguous.
 */
async function digestOf(issuer: ParsedCertificate, { signature, tbs }: ParsedCertificate): Promise<string> {
  return toHex(await sha256(concat(issuer.point, signature, tbs)));
}

function checkNames(chain: Chain): void {
  chain.forEach((certificate, index) => {
    const before = chain[index - 1];
    const at = nameAt(chain, index);
    if (before !== undefined && !equal(before.subjectName, certificate.issuerName)) {
      refuse("chain_out_of_order", `${at}: its issuer is not the subject of the certificate before it`);
    }
    if (chain.slice(0, index).some((other) => equal(other.subjectName, certificate.subjectName))) {
      refuse("chain_duplicate_subject", `${at}: a certificate before it has the same subject`);
    }
  });
}

function nameAt(chain: readonly unknown[], index: number): string {
  return index < chain.length - 1 ? `cabundle[${index}]` : "certificate";
}
