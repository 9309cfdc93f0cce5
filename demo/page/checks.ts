// The checks before anything is encrypted, in their order (`docs/protocol.md`, Accepting a key), in words for
// visitors. The client makes the checks; this describes their results.

import { type AcceptedReleases, toHex, type VerifiedKey } from "../../clients/js/src/index.js";
import { at, bytes, element, lasting, named, type Row } from "./dom.js";

/** The name of a check on the page. */
export type CheckName = "releases" | "document" | "image" | "key" | "request" | "reader" | "lifetime";

/** What each check asks. */
export const CHECKS: readonly { readonly name: CheckName; readonly title: string; readonly asks: string }[] = [
  {
    name: "releases",
    title: "The releases",
    asks: "Which images may see a card is signed, current, and in a log that has only grown since this page first saw it.",
  },
  {
    name: "document",
    title: "The attestation document",
    asks: "A security module signed it just now, under certificates that lead to the root.",
  },
  { name: "image", title: "The image", asks: "The enclave runs one of these releases, bit for bit, and not in debug mode." },
  { name: "key", title: "The key", asks: "It is one of those that the document vouches for, and lives in this very enclave." },
  { name: "request", title: "The request", asks: "The answer holds the random number that this page has just made." },
  { name: "reader", title: "The reader", asks: "What is sealed to the key is for a card payment, and for the issuer alone." },
  { name: "lifetime", title: "The lifetime", asks: "The key lives as long as was asked for, and not much of that has passed." },
];

/** The result of a check: a sentence, and its details. */
export interface Finding {
  readonly says: string;
  readonly details: readonly Node[];
}

/** What the page requested. */
export interface Asked {
  readonly threshold: number;
  readonly releaseKeys: number;
  readonly recipient: Uint8Array;
  readonly ttlMs: number;
}

/** The result of the releases' check. */
export function releasesFinding(releases: AcceptedReleases, asked: Asked, nowMs: number): Finding {
  const { list, root } = releases;
  const names = releases.releases.map(({ version }) => version).join(", ");
  const details = named([
    ["Product", `${root.product} ${names}`],
    ["Root keys", `${asked.threshold} of the ${asked.releaseKeys} that this page holds have signed who may sign the rest`],
    ["Builders", `${root.manifests.threshold} of ${root.manifests.keys.length} must have built the same, and signed it`],
    ["List", `number ${list.version}, of ${at(list.issued_at)}`],
    ["Log", root.log.key.split("+")[0] ?? ""],
    ["Good until", at(releases.endsMs)],
  ]);
  return { says: `Accepted is ${root.product} ${names}, for another ${lasting(releases.endsMs - nowMs)}.`, details: [details] };
}

/** The results of a key's checks. */
export function keyFindings(key: VerifiedKey, releases: AcceptedReleases, asked: Asked): ReadonlyMap<CheckName, Finding> {
  const { document } = key;
  const release = releases.releases[key.release ?? -1];
  const pcrs: Row[] = [...document.pcrs]
    .filter(([, value]) => value.some((byte) => byte !== 0))
    .map(([index, value]) => [`PCR${index}`, bytes(toHex(value))]);
  const pcr0 = toHex(document.pcrs.get(0) ?? new Uint8Array()).slice(0, 16);
  const gap = Math.abs(key.documentMs - key.issuedAtMs);
  return new Map<CheckName, Finding>([
    [
      "document",
      {
        says: `${document.chain.length} certificates, all valid now, lead from the root that this page holds to the module that signed it.`,
        details: [
          named([
            ["Module", bytes(document.moduleId)],
            ["Made", at(document.timestampMs)],
          ]),
          element("ol", "chain", ...document.chain.map(certificate)),
        ],
      },
    ],
    [
      "image",
      {
        says: `It is release ${release?.version ?? "unknown"}: PCR0 ${pcr0}… and the others are exactly its measurements.`,
        details: [named(pcrs)],
      },
    ],
    [
      "key",
      {
        says: `Key ${key.keyId.slice(-8)} was made inside this boot of the enclave.`,
        details: [
          named([
            ["Key", bytes(key.keyId)],
            ["Enclave", bytes(key.instance)],
          ]),
        ],
      },
    ],
    [
      "request",
      {
        says: `The random number that this page had just made came back: ${toHex(key.clientNonce).slice(0, 12)}…`,
        details: [named([["Nonce", bytes(toHex(key.clientNonce))]])],
      },
    ],
    [
      "reader",
      {
        says: `Purpose ${key.purpose}; readable by the holder of the issuer's key only.`,
        details: [
          named([
            ["Purpose", key.purpose],
            ["Issuer's public key", bytes(toHex(asked.recipient))],
          ]),
        ],
      },
    ],
    [
      "lifetime",
      {
        says: `It lives for ${lasting(asked.ttlMs)}, until ${at(key.expiresAtMs).slice(11)}.`,
        details: [
          named([
            ["Made", at(key.issuedAtMs)],
            ["Ends", at(key.expiresAtMs)],
            ["Document", `made ${lasting(gap)} ${key.documentMs < key.issuedAtMs ? "before" : "after"} the key`],
          ]),
        ],
      },
    ],
  ]);
}

function certificate({ subject, commonName, notBeforeMs, notAfterMs }: VerifiedKey["document"]["chain"][number]): HTMLElement {
  const validity = `${at(notBeforeMs).slice(0, 16)} to ${at(notAfterMs).slice(0, 16)} UTC`;
  return element("li", "", element("span", "subject", commonName ?? subject), " ", element("span", "validity", validity));
}
