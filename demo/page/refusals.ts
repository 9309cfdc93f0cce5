// The meaning of refusals, in words for visitors, and what would have happened without the check.

import type { CheckName } from "./checks.js";

/** A refusal in words. */
export interface Meaning {
  /** The check that failed. Missing if no check was reached. */
  readonly check?: CheckName;
  /** What was wrong. */
  readonly why: string;
  /** What it has prevented, or empty. */
  readonly otherwise: string;
}

/** What the page was doing. */
export type Doing = "releases" | "key" | "seal" | "payment";

/** The meaning of a refusal with this code. */
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
    why: "The host's document is not a valid one of a security module under the root that this page holds.",
    otherwise: "Without this check, any program could claim to be an enclave.",
  };
}

/** No answer came that could be checked. Any host can refuse service. */
export const NO_ANSWER: Meaning = { why: "The host gave no answer that could be checked.", otherwise: "" };

const MEANINGS: Readonly<Record<string, Meaning>> = {
  log_rolled_back: {
    check: "releases",
    why: "The host's release log ends earlier than the log that this page has seen: its list is not the latest.",
    otherwise: "Without this check, an image that was revoked for a flaw would be accepted again wherever an old list was kept.",
  },
  release_not_listed: {
    check: "image",
    why: "The document is genuine, but the enclave's image is not on the list: it was revoked, or never released.",
    otherwise: "Without this check, your card would have been encrypted to a program that may do with it what it likes.",
  },
  measurements_mixed: {
    check: "image",
    why: "The measurements mix several releases. Together they belong to none.",
    otherwise: "Without this check, your card would have been encrypted to a program that was never released.",
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
    otherwise: "Without this check, the key could live anywhere.",
  },
  nonce_mismatch: {
    check: "request",
    why: "The answer is genuine, but it answers another request: this page's random number is not in it.",
    otherwise: "Without this check, the host could choose which key you use: one that it has kept, or given to many.",
  },
  purpose_mismatch: {
    check: "reader",
    why: "The key is for another purpose than this page asked for.",
    otherwise: "Without this check, your card could have been used for something else than this payment.",
  },
  recipient_mismatch: {
    check: "reader",
    why: "The key is for another reader than the issuer.",
    otherwise: "Without this check, the enclave would have given your card to a reader of the host's choice.",
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
    otherwise: "Without this check, your card would have been encrypted to a key that no longer exists, and lost.",
  },
};
