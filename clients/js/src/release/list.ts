// The release list: every release that is accepted now. A release that is not in it is revoked.

import { MAX_ENVELOPE_LENGTH, MAX_RELEASES } from "../codes.js";
import { refuse } from "../error.js";
import { quoted } from "../text.js";
import type { Envelope } from "./envelope.js";
import { refuseField } from "./fault.js";
import { hex, read, text, version, whole } from "./json.js";
import type { RootKeys } from "./root.js";
import { isBelow } from "./version.js";

const PAYLOAD_TYPE = "application/vnd.ok2cry.release-list.v1+json";
/** Its name in errors. */
export const LIST = "list";

const SHAPE = {
  version: whole,
  product: text,
  issued_at: whole,
  expires_at: whole,
  minimum_version: version,
  releases: [{ version, manifest_sha384: hex(48) }],
} as const;

/** Every accepted release, for a short time. */
export interface ReleaseList {
  /** Increases by one with each list. */
  readonly version: number;
  /** The product, as the root document names it. */
  readonly product: string;
  /** When it was signed, in Unix milliseconds. */
  readonly issued_at: number;
  /** When it expires, in Unix milliseconds. */
  readonly expires_at: number;
  /** The lowest version that the list may hold. */
  readonly minimum_version: string;
  /** The releases: 0 to 32, with distinct versions and manifests. */
  readonly releases: readonly {
    /** Three numbers. */
    readonly version: string;
    /** SHA-384 of the manifest, which is its envelope's payload; hexadecimal. */
    readonly manifest_sha384: string;
  }[];
}

/**
 * Reads a list that the list keys of `root` signed, for the product of `root`.
 *
 * @throws {Ok2cryError} As {@link Envelope.verify}, and `release_json_invalid`, `release_field_invalid`,
 *   `list_below_minimum`, `manifest_subject_mismatch`.
 */
export async function verifyList(envelope: Envelope, root: RootKeys): Promise<ReleaseList> {
  const list = decode(await envelope.verify(LIST, PAYLOAD_TYPE, root.lists));
  if (list.product !== root.document.product) refuseProduct(list.product);
  return list;
}

/** Refuses a document of another product. */
export function refuseProduct(found: string): never {
  return refuse("manifest_subject_mismatch", `manifest: it is for another product, ${quoted(found)}`);
}

function decode(payload: Uint8Array): ReleaseList {
  const list = read(LIST, payload, MAX_ENVELOPE_LENGTH, SHAPE) as ReleaseList;
  const { releases, minimum_version: minimum } = list;
  if (list.version === 0) refuseField(LIST, "version", "1 or more");
  if (list.expires_at <= list.issued_at) refuseField(LIST, "expires_at", "after issued_at");
  if (releases.length > MAX_RELEASES) refuseField(LIST, "releases", "at most 32");
  const distinct = new Set(releases.flatMap((release) => [release.version, release.manifest_sha384]));
  if (distinct.size < 2 * releases.length) refuseField(LIST, "releases", "distinct versions and manifests");
  const below = releases.find((release) => isBelow(release.version, minimum));
  if (below) refuse("list_below_minimum", `list: release ${below.version} is below its own minimum ${minimum}`);
  return list;
}
