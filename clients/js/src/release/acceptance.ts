// From a pinned release key to the measurements that are accepted now.

import type { TrustAnchor } from "../attestation/anchor.js";
import type { Measurements } from "../attestation/measurements.js";
import { Policy } from "../attestation/policy.js";
import { equal, toHex, utf8 } from "../bytes.js";
import { DEFAULT_MAX_LIST_AGE_MS } from "../codes.js";
import { Ok2cryError, refuse } from "../error.js";
import { own } from "../own.js";
import { aNumber, beyondLeeway, type CheckTime, past, span, systemTime } from "../time.js";
import { type Checkpoint, verifyCheckpoint } from "../tlog/checkpoint.js";
import { Note } from "../tlog/note.js";
import { type TileSource, Tiles } from "../tlog/tile.js";
import { sha384 } from "../webcrypto.js";
import type { Bundle, BundleEntry } from "./bundle.js";
import { Envelope } from "./envelope.js";
import { refuseField } from "./fault.js";
import { keyFromPem, Role } from "./key.js";
import { LIST, type ReleaseList, refuseProduct, verifyList } from "./list.js";
import { MANIFEST, type Manifest, verifyManifest } from "./manifest.js";
import { ROOT, type RootDocument, type RootKeys, verifyRoot } from "./root.js";
import { type ReleaseState, type Remembered, rememberedCheckpoint } from "./state.js";
import { isBelow, isVersion } from "./version.js";

/**
 * The most tiles that are fetched for one check. A consistency proof needs two for each level of tiles, of which a log of 2^48
 * entries has six; a bundle that brings the others needs no more.
 */
const MAX_FETCHED_TILES = 32;

/** Known in this module alone. */
const CHECKED: unique symbol = /* @__PURE__ */ Symbol("ReleaseKey");

/**
 * What a client holds instead of measurements: the keys that sign a product's root documents, and what it insists on.
 *
 * The keys may be those of any version of the root document. The client finds the document that they signed and follows the
 * versions from there. Immutable: each method returns a key that insists on more.
 */
export class ReleaseKey {
  readonly #pinned: Role;
  readonly #maxListAgeMs: number;
  readonly #minimumVersion: string;

  /** Not for callers: see the static methods. */
  constructor(checked: typeof CHECKED, pinned: Role, maxListAgeMs: number, minimumVersion: string) {
    if (checked !== CHECKED) throw new TypeError("a ReleaseKey comes from its static methods");
    this.#pinned = pinned;
    this.#maxListAgeMs = maxListAgeMs;
    this.#minimumVersion = minimumVersion;
    Object.freeze(this);
  }

  /**
   * One key, as PEM (`PUBLIC KEY`, ECDSA P-384). Whoever holds it alone decides, whatever threshold the root document sets for its
   * own successors: pin as many as must sign.
   *
   * @throws {Ok2cryError} `release_field_invalid`.
   */
  static fromPem(pem: string): Promise<ReleaseKey> {
    return ReleaseKey.fromPems(1, [pem]);
  }

  /**
   * Several keys (1 to 16 PEMs), of which a number has to have signed. This number, and not the root document's own, is what
   * protects this client.
   *
   * @throws {Ok2cryError} `release_field_invalid`.
   */
  static async fromPems(threshold: number, pems: readonly string[]): Promise<ReleaseKey> {
    const keys = await Promise.all(pems.map(keyFromPem));
    return new ReleaseKey(CHECKED, new Role(threshold, keys), DEFAULT_MAX_LIST_AGE_MS, "0.0.0");
  }

  /** Takes lists of at most this age, in milliseconds: how long a host can withhold a revocation. Seven days unless set. */
  withMaxListAgeMs(maxListAgeMs: number): ReleaseKey {
    return new ReleaseKey(CHECKED, this.#pinned, aNumber("maxListAgeMs", maxListAgeMs), this.#minimumVersion);
  }

  /**
   * Takes no release below this, whatever is listed.
   *
   * @param version Three numbers, as in `1.20.3`.
   * @throws {Ok2cryError} `release_field_invalid`.
   */
  withMinimumVersion(version: string): ReleaseKey {
    if (!isVersion(version)) refuseField("release key", "minimumVersion", "three numbers, as in 1.20.3");
    return new ReleaseKey(CHECKED, this.#pinned, this.#maxListAgeMs, version);
  }

  /**
   * Checks a bundle: root documents from the pinned keys on, the list, every listed manifest, and that all of them are in the log.
   * Offline, but for tiles.
   *
   * @param anchor The root that the enclaves' documents will be verified under.
   * @param memory What this client knew before, and knows better after a success, or when all that is wrong is that no release is
   *   left (`no_release_accepted`); after any other error it is as it was.
   * @param time The clock that it is checked by; this machine's if left out.
   * @param tiles Asked for tiles that the bundle lacks, for each once and for 32 at most. A client that remembers a checkpoint
   *   needs some when the log has grown past a full tile since. What it throws, this throws.
   * @throws {Ok2cryError} The first rule that is broken (`docs/releases.md`).
   */
  async check(
    bundle: Bundle,
    anchor: TrustAnchor,
    memory: ReleaseState,
    time: CheckTime = systemTime(),
    tiles?: TileSource,
  ): Promise<AcceptedReleases> {
    const source = cachedTiles(bundle, tiles);
    const given = own(time);
    const pinned = await this.#pinned.digest();
    for (;;) {
      // What was followed from other keys, or fewer of them, says nothing about these.
      const seen = memory.remembered(pinned);
      // A clock that was set back makes no list younger.
      const now = { ...given, nowMs: Math.max(given.nowMs, seen.latest_ms ?? 0) };
      const { remembered, ...decided } = await this.#decide(bundle, anchor, seen, now, source);
      // Another check came first. What it has learned is not to be forgotten.
      if (!(await memory.replace(pinned, seen, remembered))) continue;
      // Remembered even so: a list that revokes everything is not to be followed by the one before.
      if (decided.releases.length === 0) refuse("no_release_accepted", "list: it holds no release that this client takes");
      // By the clock that was given, which is so far behind.
      const endsMs = Math.max(0, decided.endsMs - (now.nowMs - given.nowMs));
      return new AcceptedReleases(CHECKED, { ...decided, endsMs, anchor });
    }
  }

  async #decide(
    bundle: Bundle,
    anchor: TrustAnchor,
    seen: Remembered,
    time: CheckTime,
    source: TileSource,
  ): Promise<Omit<Accepted, "anchor"> & { readonly remembered: Remembered }> {
    const walked = await this.#walkRoots(bundle, seen);
    const root = walked.newest;
    const { version, expires_at: rootEndsMs, attestation_root: attestationRoot } = root.document;
    const endedMs = past(time, rootEndsMs);
    if (endedMs !== undefined) refuse("root_expired", `root: expired ${span(endedMs)} ago`);
    if (attestationRoot !== toHex(await anchor.fingerprint())) {
      refuse("attestation_root_mismatch", "root: it is for enclaves under another attestation root than the one held here");
    }
    const note = Note.parse(bundle.checkpoint);
    const [checkpoint, cosigned] = await verifyCheckpoint(note, root.log, time);
    const log = new Tiles(source, checkpoint.size);
    await checkLog(seen, checkpoint, log);
    for (const entry of bundle.roots.slice(walked.first)) await checkInLog(ROOT, entry, checkpoint, log);

    // So a list of before does not come back under a root document that would let it.
    if (bundle.list.index <= (bundle.roots.at(-1)?.index ?? 0)) {
      refuse("list_before_root", "list: it is in the log before the newest root document");
    }
    const envelope = Envelope.decode(LIST, bundle.list.envelope);
    const list = await verifyList(envelope, root);
    const digest = await payloadDigest(envelope);
    this.#checkAge(list, time);
    // Other list keys count anew: what the old ones signed last is not to bind them.
    if (walked.remembered?.lists.equals(root.lists) ?? true) checkList(seen, list, digest);
    await checkInLog(LIST, bundle.list, checkpoint, log);

    const releases = await this.#releases(bundle, root, list, checkpoint, log);
    const threshold = root.document.log.witness_threshold;
    if (cosigned < threshold) {
      refuse("witnesses_below_threshold", `checkpoint: cosigned by ${cosigned} witnesses, where ${threshold} must`);
    }
    return {
      releases,
      list,
      root: root.document,
      endsMs: Math.min(list.expires_at, rootEndsMs, list.issued_at + this.#maxListAgeMs),
      remembered: {
        root_version: version,
        root_sha384: walked.digest,
        list_version: list.version,
        list_sha384: digest,
        checkpoint: note.withOnly([root.log.key, ...root.log.witnesses]),
        latest_ms: Math.max(Math.floor(time.nowMs), list.issued_at),
      },
    };
  }

  /**
   * From the first root document that the pinned keys have signed to the newest. What is remembered must be among them: the keys
   * that are pinned may have been stolen since they were replaced. It is never where a walk begins, because a memory can be written
   * by others than this client: it can only ever refuse.
   */
  async #walkRoots(bundle: Bundle, seen: Remembered): Promise<Walked> {
    let walked: Walked | undefined;
    for (const [index, entry] of bundle.roots.entries()) {
      const envelope = Envelope.decode(ROOT, entry.envelope);
      const digest = await payloadDigest(envelope);
      const newest = walked ? await follow(walked.newest, envelope) : await this.#begin(envelope);
      if (!newest) continue;
      const remembered = seen.root_sha384 === digest ? newest : walked?.remembered;
      walked = { first: walked?.first ?? index, newest, digest, remembered };
    }
    if (!walked) {
      return refuse("root_not_pinned", "root: no root document is signed by the release key that is held here");
    }
    const [found, version] = [walked.newest.document.version, seen.root_version];
    if (found < version) {
      refuse("root_rolled_back", `root: version ${found}, and version ${version} was seen before`);
    }
    if (typeof seen.root_sha384 === "string" && !walked.remembered) {
      refuse("root_forked", `root: the document of version ${version} that was seen before is not among these`);
    }
    return walked;
  }

  /** A root document that the pinned keys have signed; nothing if it is from before they held. */
  async #begin(envelope: Envelope): Promise<RootKeys | undefined> {
    try {
      return await verifyRoot(envelope, this.#pinned);
    } catch (error) {
      const { code } = error instanceof Ok2cryError ? error : { code: "" };
      if (code === "signature_key_unknown" || code === "signatures_below_threshold") return undefined;
      throw error;
    }
  }

  #checkAge(list: ReleaseList, time: CheckTime): void {
    const fromNowMs = beyondLeeway(time, list.issued_at);
    if (fromNowMs !== undefined) {
      refuse("list_from_future", `list: issued ${span(fromNowMs)} from now, beyond the leeway; is the clock behind?`);
    }
    const endedMs = past(time, list.expires_at);
    if (endedMs !== undefined) refuse("list_expired", `list: expired ${span(endedMs)} ago`);
    const ageMs = Math.max(0, time.nowMs - list.issued_at);
    // Asked so that what is no number is refused.
    if (!(ageMs <= this.#maxListAgeMs)) {
      refuse("list_too_old", `list: issued ${span(ageMs)} ago, where at most ${span(this.#maxListAgeMs)} are taken`);
    }
  }

  async #releases(
    bundle: Bundle,
    root: RootKeys,
    list: ReleaseList,
    checkpoint: Checkpoint,
    log: Tiles,
  ): Promise<AcceptedRelease[]> {
    const releases: AcceptedRelease[] = [];
    for (const [index, { version, manifest_sha384: digest }] of list.releases.entries()) {
      const entry = bundle.manifests[index] ?? refuse("manifest_missing", `manifest of ${version}: it is listed, and not there`);
      const envelope = Envelope.decode(MANIFEST, entry.envelope);
      if ((await payloadDigest(envelope)) !== digest) refuseUnlisted();
      const [manifest, measurements] = await verifyManifest(envelope, root);
      const found = manifest.predicate.version;
      if (found !== version) {
        refuse("manifest_version_mismatch", `manifest of ${version}: it calls itself ${found}`);
      }
      await checkInLog(MANIFEST, entry, checkpoint, log);
      if (!isBelow(version, this.#minimumVersion)) releases.push({ version, measurements, manifest });
    }
    if (bundle.manifests.length > list.releases.length) refuseUnlisted();
    return releases;
  }
}

/** A release that was checked. */
export interface AcceptedRelease {
  /** Three numbers. */
  readonly version: string;
  /** One set. */
  readonly measurements: Measurements;
  readonly manifest: Manifest;
}

interface Accepted {
  readonly releases: readonly AcceptedRelease[];
  readonly list: ReleaseList;
  readonly root: RootDocument;
  readonly endsMs: number;
  readonly anchor: TrustAnchor;
}

/** Releases that were checked. Only {@link ReleaseKey.check} makes these. */
export class AcceptedReleases {
  /** The releases, in the order in which `AcceptedDocument.release` counts them. */
  readonly releases: readonly AcceptedRelease[];
  /** The list that they are in. */
  readonly list: ReleaseList;
  /** The root document that holds. */
  readonly root: RootDocument;
  /**
   * When they end, in Unix milliseconds: with the list, with the root document, or when the list is older than the client takes.
   */
  readonly endsMs: number;
  /** The root that they were checked for. */
  readonly anchor: TrustAnchor;
  readonly #policy: Policy;

  /** Not for callers: a {@link ReleaseKey} makes these, and nobody else can. */
  constructor(checked: typeof CHECKED, { releases, list, root, endsMs, anchor }: Accepted) {
    if (checked !== CHECKED) throw new TypeError("AcceptedReleases come from ReleaseKey.check");
    this.releases = Object.freeze(releases);
    this.list = list;
    this.root = root;
    this.endsMs = endsMs;
    this.anchor = anchor;
    this.#policy = Policy.releasedUntil(
      releases.map((release) => release.measurements),
      endsMs,
    );
    Object.freeze(this);
  }

  /** Accepts enclaves that run one of them, until they end. */
  policy(): Policy {
    return this.#policy;
  }
}

interface Walked {
  /** Where in the bundle it begins. */
  readonly first: number;
  readonly newest: RootKeys;
  /** Of the newest's payload. */
  readonly digest: string;
  /** The document that the client remembers, once it was met. */
  readonly remembered: RootKeys | undefined;
}

/** One version further. */
async function follow(before: RootKeys, envelope: Envelope): Promise<RootKeys> {
  const next = await verifyRoot(envelope, before.root);
  const { version, product } = next.document;
  const expected = before.document.version + 1;
  if (version !== expected) {
    refuse("root_out_of_sequence", `root: version ${version} where version ${expected} was due`);
  }
  if (product !== before.document.product) refuseProduct(product);
  return next;
}

/** The bundle's tiles, and others: each asked for once, and not without end. */
function cachedTiles(bundle: Bundle, more: TileSource | undefined): TileSource {
  const fetched = new Map<string, Promise<Uint8Array | undefined>>();
  return async (path) => {
    const own = bundle.tile(path);
    if (own || !more) return own;
    if (!fetched.has(path) && fetched.size < MAX_FETCHED_TILES) fetched.set(path, more(path));
    return fetched.get(path);
  };
}

async function payloadDigest(envelope: Envelope): Promise<string> {
  return toHex(await sha384(envelope.unverifiedPayload));
}

async function checkInLog(what: string, { index, envelope }: BundleEntry, checkpoint: Checkpoint, log: Tiles): Promise<void> {
  const { size, root } = checkpoint;
  const isIn = index < size && equal(await log.rootWith(utf8(envelope), index), root);
  if (!isIn) refuse("not_in_log", `${what}: it is not in the release log`);
}

async function checkLog(memory: Remembered, now: Checkpoint, log: Tiles): Promise<void> {
  const seen = rememberedCheckpoint(memory);
  // Another log: only a root document can have said so. And an empty one is the beginning of every other.
  if (!seen || seen.origin !== now.origin || seen.size === 0) return;
  if (now.size < seen.size) {
    refuse("log_rolled_back", `checkpoint: the log has ${now.size} entries, and had ${seen.size} before`);
  }
  const [old, all] = now.size > seen.size ? await log.rootsSince(seen.size, seen.root) : [now.root, now.root];
  if (!equal(old, seen.root) || !equal(all, now.root)) {
    refuse("log_forked", `checkpoint: with ${now.size} entries it is no continuation of the log that had ${seen.size}`);
  }
}

function checkList(seen: Remembered, list: ReleaseList, digest: string): void {
  if (list.version < seen.list_version) {
    refuse("list_rolled_back", `list: version ${list.version}, and version ${seen.list_version} was seen before`);
  }
  if (list.version === seen.list_version && (seen.list_sha384 ?? digest) !== digest) {
    refuse("list_forked", `list: there are two different lists of version ${list.version}`);
  }
}

function refuseUnlisted(): never {
  return refuse("manifest_not_listed", "manifest: there is one that is not in the list");
}
