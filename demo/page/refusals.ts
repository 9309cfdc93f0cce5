// What a refusal means, and what would have happened without it.

import type { CheckName } from "./checks.js";

/** A refusal, as a person reads it. */
export interface Meaning {
  /** The check that did not hold; none if no check was reached. */
  readonly check?: CheckName;
  /** What was wrong. */
  readonly why: string;
  /** What it has prevented; empty where it has prevented nothing. */
  readonly otherwise: string;
}

/** What the page was about when something was refused. */
export type Doing = "releases" | "key" | "seal" | "payment";

/** What a refusal of this code means. */
export function meaning(code: string, doing: Doing): Meaning {
  if (doing === "payment") return { why: "The merchant could not have it opened.", otherwise: "" };
  const known = MEANINGS[code];
  if (known !== undefined) return known;
  if (doing === "releases") {
    return {
      check: "releases",
      why: "What the host says about releases is not what their signers say.",
      otherwise: "Without this check, the host would decide which images may see your card.",
    };
  }
  return {
    check: "document",
    why: "What the host shows is no valid document of a security module under the root that this page holds.",
    otherwise: "Without this check, anybody could claim to be an enclave.",
  };
}

/** Nothing came that could be checked: to refuse service is all that a host can do. */
export const NO_ANSWER: Meaning = { why: "The host gave no answer that could be checked.", otherwise: "" };

const MEANINGS: Readonly<Record<string, Meaning>> = {
  log_rolled_back: {
    check: "releases",
    why: "The host shows a log of releases that ends before what this page has seen of it: its list is from before the latest.",
    otherwise:
      "Without this check, an image that was revoked for a flaw would be good again wherever somebody kept the old list.",
  },
  release_not_listed: {
    check: "image",
    why: "The document is genuine, and says that the enclave runs an image which is on no list: revoked, or never released.",
    otherwise: "Without this check, your card would have been encrypted to a program that may do with it what it likes.",
  },
  measurements_mixed: {
    check: "image",
    why: "The measurements are pieces of several releases. Together they are none.",
    otherwise: "Without this check, your card would have been encrypted to a program that nobody has released.",
  },
  debug_mode: {
    check: "image",
    why: "The enclave runs in debug mode.",
    otherwise: "Without this check, the host could have read your card from the enclave's console.",
  },
  not_in_batch: {
    check: "key",
    why: "The document is genuine, but it does not vouch for this key.",
    otherwise: "Without this check, your card would have been encrypted to a key of the host's own, and read by the host.",
  },
  instance_mismatch: {
    check: "key",
    why: "The key is said to live in another enclave than the one that the document speaks for.",
    otherwise: "Without this check, nobody would know where the key lives.",
  },
  nonce_mismatch: {
    check: "request",
    why: "The answer is genuine, and it answers somebody else. This page's random number is not in it.",
    otherwise: "Without this check, the host could choose which key you use: one that it has kept, or handed to many.",
  },
  purpose_mismatch: {
    check: "reader",
    why: "The key is for another purpose than this page asked for.",
    otherwise: "Without this check, your card could have been used for something else than this payment.",
  },
  recipient_mismatch: {
    check: "reader",
    why: "The key is for another reader than the issuer.",
    otherwise: "Without this check, the enclave would have given your card to whoever the host has named.",
  },
  ttl_mismatch: {
    check: "lifetime",
    why: "The key lives for longer or shorter than this page asked for.",
    otherwise: "Without this check, the host would decide how long your card can be opened.",
  },
  time_far_from_document: {
    check: "lifetime",
    why: "The key's times are far from those of the document that vouches for it.",
    otherwise: "Without this check, an old document could vouch for a new key.",
  },
  key_expired: {
    check: "lifetime",
    why: "The key was genuine, and its time is over: the enclave erases it at its deadline.",
    otherwise: "Without this check, your card would have been encrypted to a key that no longer exists, for nobody to read.",
  },
};
