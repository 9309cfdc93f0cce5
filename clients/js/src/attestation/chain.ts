// The certificates of a document together: root first, in order, each entry used, each role filled by who may fill it.

import { concat, equal, toHex } from "../bytes.js";
import { refuse } from "../error.js";
import { beyondLeeway, type CheckTime, past, span } from "../time.js";
import { importP384, sha256, verifyP384 } from "../webcrypto.js";
import { checkIssuer, checkLeaf, parseAt, type TrustAnchor } from "./anchor.js";
import { allowsClientAuth, type ParsedCertificate } from "./certificate.js";
import type { Claims } from "./document.js";

/** Root first, leaf last; checked but for times and signatures. */
export type Chain = readonly ParsedCertificate[];

/** Reads the certificates and checks all that does not depend on a clock or on a signature. */
export function chainOf(claims: Claims, anchor: TrustAnchor): Chain {
  const root = anchor.der;
  const rootAt = claims.cabundle.findIndex((der) => equal(der, root));
  if (rootAt < 0) refuse("root_not_trusted", "cabundle: the chain does not begin at the trust anchor");
  if (rootAt > 0) refuse("cabundle_not_root_first", "cabundle: the trust anchor must be its first entry");

  const ders = [...claims.cabundle, claims.certificate];
  const chain = ders.map((der, index) => parseAt(place(ders, index), der));
  checkNames(chain);
  const issuers = chain.slice(0, -1);
  issuers.forEach((issuer, index) => {
    const at = place(chain, index);
    checkIssuer(at, issuer);
    const found = issuers.length - index - 1;
    if (issuer.pathLength !== undefined && issuer.pathLength < found) {
      refuse(
        "path_length_exceeded",
        `${at}: pathLenConstraint allows ${issuer.pathLength} CAs below this one, and there are ${found}`,
      );
    }
  });
  checkLeaf(place(chain, issuers.length), leafOf(chain));
  return chain;
}

/** The certificate whose key signed the document. */
export function leafOf(chain: Chain): ParsedCertificate {
  return chain[chain.length - 1] as ParsedCertificate;
}

/** Every certificate must be valid, root included, and the document's timestamp within its leaf's validity. */
export function checkClock(chain: Chain, timestampMs: number, time: CheckTime): void {
  const leaf = leafOf(chain);
  if (timestampMs < leaf.notBeforeMs || timestampMs > leaf.notAfterMs) {
    refuse("timestamp_outside_leaf", "timestamp: this lies outside the validity of the certificate that signed it");
  }
  chain.forEach((certificate, index) => {
    const at = place(chain, index);
    const early = beyondLeeway(time, certificate.notBeforeMs);
    if (early !== undefined) {
      refuse("not_yet_valid", `${at}: becomes valid ${span(early)} from now, beyond the leeway; is the clock behind?`);
    }
    const late = past(time, certificate.notAfterMs);
    if (late !== undefined) refuse("expired", `${at}: expired ${span(late)} ago`);
  });
}

/**
 * Verifies every certificate under the one before it, but for those whose signatures `remembered` has. Returns what to remember
 * of the chain, once all of the document holds.
 */
export async function checkSignatures(chain: Chain, remembered: SignatureCache): Promise<readonly string[]> {
  if (!chain.slice(1).every((certificate) => allowsClientAuth(certificate.extendedKeyUsage))) {
    refuse("path_invalid", "path validation refused the chain: its key purposes are not a Nitro chain's");
  }
  // The leeway forgives each certificate its beginning; a path is valid at one instant (RFC 5280 §6.1).
  const beginsMs = Math.max(...chain.map((certificate) => certificate.notBeforeMs));
  if (chain.slice(1).some((certificate) => certificate.notAfterMs < beginsMs)) {
    refuse("path_invalid", "path validation refused the chain: its certificates are never valid at once");
  }
  const verdicts = chain.slice(1).map(async (certificate, index) => {
    const issuer = chain[index] as ParsedCertificate;
    const digest = await digestOf(issuer, certificate);
    if (remembered.has(digest)) return digest;
    const key = await importP384(issuer.point);
    const isSigned = key !== undefined && (await verifyP384(key, certificate.tbs, certificate.signature));
    return isSigned ? digest : undefined;
  });
  const digests = await Promise.all(verdicts);
  if (digests.every((digest) => digest !== undefined)) return digests;
  return refuse(
    "certificate_signature_invalid",
    "a certificate's signature does not verify under the key of the certificate before it",
  );
}

/**
 * Signatures of certificates that verified before, with all that decides about them, and nothing else: every other check is done
 * again each time, so a verdict never depends on what is remembered. Certificates of a Nitro chain are the same for hours.
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

  /** Remembers signatures that verified, by what {@link checkSignatures} returned; the oldest make room. */
  remember(digests: readonly string[]): void {
    for (const digest of digests) {
      // To the end of the order, which is that of the last use.
      this.#seen.delete(digest);
      this.#seen.add(digest);
    }
    for (const oldest of this.#seen) {
      if (this.#seen.size <= this.#capacity) break;
      this.#seen.delete(oldest);
    }
  }
}

/** Names a signature with all that decides about it. Key and signature have one length, so no two run together into the same bytes. */
async function digestOf(issuer: ParsedCertificate, { signature, tbs }: ParsedCertificate): Promise<string> {
  return toHex(await sha256(concat(issuer.point, signature, tbs)));
}

function checkNames(chain: Chain): void {
  chain.forEach((certificate, index) => {
    const before = chain[index - 1];
    const at = place(chain, index);
    if (before !== undefined && !equal(before.subjectName, certificate.issuerName)) {
      refuse("chain_out_of_order", `${at}: its issuer is not the subject of the certificate before it`);
    }
    if (chain.slice(0, index).some((other) => equal(other.subjectName, certificate.subjectName))) {
      refuse("chain_duplicate_subject", `${at}: a certificate before it has the same subject`);
    }
  });
}

function place(chain: readonly unknown[], index: number): string {
  return index < chain.length - 1 ? `cabundle[${index}]` : "certificate";
}
