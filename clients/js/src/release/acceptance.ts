// From a pinned release key to the measurements that are accepted now.

import type { TrustAnchor } from "../attestation/anchor.js";
import type { Measurements } from "../attestation/measurements.js";
import { Policy } from "../attestation/policy.js";
import { equal, toHex, utf8 } from "../bytes.js";
import { DEFAULT_MAX_LIST_AGE_MS } from "../codes.js";
import { Ok2cryError, refuse } from "../error.js";
import { own } from "../own.js";
import { beyondLeeway, type CheckTime, formatDuration, past, requireNumber, systemTime } from "../time.js";
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
import { checkpointOf, type ReleaseState, type StateEntry } from "./state.js";
import { isBelow, isVersion } from "./version.js";

/**
 * The most tiles that one check fetches. A consistency proof needs two for each level of tiles, and a log of
 * 2^48 entries has six levels. A bundle brings the other tiles.
 */
const MAX_FETCHED_TILES = 32;

/** Keeps the constructors private to this module. */
const CHECKED: unique symbol = /* @__PURE__ */ Symbol("ReleaseKey");

/**
 * What a client pins instead of measurements: the keys that sign a product's root documents, and the client's
 * own limits.
 *
 * The keys can be those of any version of the root document: the check starts at the document that they
 * signed. Immutable: each setter returns a new, stricter key.
 */
export class ReleaseKey {
  readonly #pinned: Role;
  readonly #maxListAgeMs: number;
  readonly #minimumVersion: string;

  /** Internal: use the static methods. */
  constructor(checked: typeof CHECKED, pinned: Role, maxListAgeMs: number, minimumVersion: string) {
    if (checked !== CHECKED) throw new TypeError("a ReleaseKey comes from its static methods");
    this.#pinned = pinned;
    this.#maxListAgeMs = maxListAgeMs;
    this.#minimumVersion = minimumVersion;
    Object.freeze(this);
  }

  /**
   * One key, as PEM (`PUBLIC KEY`, ECDSA P-384). Its holder alone decides, whatever threshold the root
   * document sets for its successors, so pin as many keys as must sign.
   *
   * @throws {Ok2cryError} `release_field_invalid`.
   */
  static fromPem(pem: string): Promise<ReleaseKey> {
    return ReleaseKey.fromPems(1, [pem]);
  }

  /**
   * Several keys (1 to 16 PEMs), of which `threshold` must have signed. This threshold protects the client,
   * not the root document's own.
   *
   * @throws {Ok2cryError} `release_field_invalid`.
   */
  static async fromPems(threshold: number, pems: readonly string[]): Promise<ReleaseKey> {
    const keys = await Promise.all(pems.map(keyFromPem));
    return new ReleaseKey(CHECKED, new Role(threshold, keys), DEFAULT_MAX_LIST_AGE_MS, "0.0.0");
  }

  /**
   * Accepts lists of at most this age, in milliseconds: for so long a host can withhold a revocation. The
   * default is seven days.
   */
  withMaxListAgeMs(maxListAgeMs: number): ReleaseKey {
    return new ReleaseKey(CHECKED, this.#pinned, requireNumber("maxListAgeMs", maxListAgeMs), this.#minimumVersion);
  }

  /**
   * Accepts no release below this version, even if it is listed.
   *
   * @param version Three numbers, as in `1.20.3`.
   * @throws {Ok2cryError} `release_field_invalid`.
   */
  withMinimumVersion(version: string): ReleaseKey {
    if (!isVersion(version)) refuseField("release key", "minimumVersion", "three numbers, as in 1.20.3");
    return new ReleaseKey(CHECKED, this.#pinned, this.#maxListAgeMs, version);
  }

  /**
   * Checks a bundle: the root documents from the pinned keys on, the list, every listed manifest, and that
   * all of them are in the log. Offline, except for tiles.
   *
   * @param anchor The root that the enclaves' documents will be verified under.
   * @param state What earlier checks saw. It is updated after a success and for `no_release_accepted`; any
   *   other error leaves it unchanged.
   * @param time The clock to check by; this machine's by default.
   * @param tiles Called for tiles that the bundle lacks: once for each, and for at most 32. A client that saw
   *   an earlier checkpoint needs some if the log has grown past a full tile. Its errors are passed on.
   * @throws {Ok2cryError} The first rule that the bundle breaks (`docs/releases.md`).
   */
  async check(
    bundle: Bundle,
    anchor: TrustAnchor,
    state: ReleaseState,
    time: CheckTime = systemTime(),
    tiles?: TileSource,
  ): Promise<AcceptedReleases> {
    const source = cachedTiles(bundle, tiles);
    const given = own(time);
    const pinned = await this.#pinned.digest();
    for (;;) {
      // What was seen under other pinned keys, or another threshold, says nothing about these.
      const saved = state.entry(pinned);
      // A clock that is set back makes no list younger.
      const now = { ...given, nowMs: Math.max(given.nowMs, saved.latest_ms ?? 0) };
      const { entry, ...decided } = await this.#decide(bundle, anchor, saved, now, source);
      // Another check wrote first. Check again against its state.
      if (!(await state.replace(pinned, saved, entry))) continue;
      // Saved before, so that the list before one that revokes everything is not accepted again.
      if (decided.releases.length === 0) refuse("no_release_accepted", "list: no release that this client accepts");
      // In terms of the caller's clock, which may be behind.
      const endsMs = Math.max(0, decided.endsMs - (now.nowMs - given.nowMs));
      return new AcceptedReleases(CHECKED, { ...decided, endsMs, anchor });
    }
  }

  async #decide(
    bundle: Bundle,
    anchor: TrustAnchor,
    saved: StateEntry,
    time: CheckTime,
    source: TileSource,
  ): Promise<Omit<Accepted, "anchor"> & { readonly entry: StateEntry }> {
    const walk = await this.#walkRoots(bundle, saved);
    const root = walk.newest;
    const { version, expires_at: rootEndsMs, attestation_root: attestationRoot } = root.document;
    const endedMs = past(time, rootEndsMs);
    if (endedMs !== undefined) refuse("root_expired", `root: expired ${formatDuration(endedMs)} ago`);
    if (attestationRoot !== toHex(await anchor.fingerprint())) {
      refuse("attestation_root_mismatch", "root: it is for another attestation root than this client's");
    }
    const note = Note.parse(bundle.checkpoint);
    const [checkpoint, cosigned] = await verifyCheckpoint(note, root.log, time);
    const log = new Tiles(source, checkpoint.size);
    await checkLog(saved, checkpoint, log);
    for (const entry of bundle.roots.slice(walk.first)) await checkInLog(ROOT, entry, checkpoint, log);

    // So that a list from before a new root document is not accepted under it.
    if (bundle.list.index <= (bundle.roots.at(-1)?.index ?? 0)) {
      refuse("list_before_root", "list: it precedes the newest root document in the log");
    }
    const envelope = Envelope.decode(LIST, bundle.list.envelope);
    const list = await verifyList(envelope, root);
    const digest = await payloadDigest(envelope);
    this.#checkAge(list, time);
    // New list keys start a new sequence: versions that the old keys signed do not bind them.
    if (walk.seen?.lists.equals(root.lists) ?? true) checkList(saved, list, digest);
    await checkInLog(LIST, bundle.list, checkpoint, log);

    const releases = await this.#releases(bundle, root, list, checkpoint, log);
    const threshold = root.document.log.witness_threshold;
    if (cosigned < threshold) {
      refuse("witnesses_below_threshold", `checkpoint: cosigned by ${cosigned} witnesses, expected ${threshold}`);
    }
    return {
      releases,
      list,
      root: root.document,
      endsMs: Math.min(list.expires_at, rootEndsMs, list.issued_at + this.#maxListAgeMs),
      entry: {
        root_version: version,
        root_sha384: walk.digest,
        list_version: list.version,
        list_sha384: digest,
        checkpoint: note.withOnly([root.log.key, ...root.log.witnesses]),
        latest_ms: Math.max(Math.floor(time.nowMs), list.issued_at),
      },
    };
  }

  /**
   * Follows the root documents from the first that the pinned keys signed to the newest. A document that was
   * seen before must be among them, because the pinned keys may have been stolen since they were replaced.
   * The walk never starts at a saved document: other code may have written the saved state, which can only
   * refuse.
   */
  async #walkRoots(bundle: Bundle, saved: StateEntry): Promise<RootWalk> {
    let walk: RootWalk | undefined;
    for (const [index, entry] of bundle.roots.entries()) {
      const envelope = Envelope.decode(ROOT, entry.envelope);
      const digest = await payloadDigest(envelope);
      const newest = walk ? await follow(walk.newest, envelope) : await this.#begin(envelope);
      if (!newest) continue;
      const seenRoot = saved.root_sha384 === digest ? newest : walk?.seen;
      walk = { first: walk?.first ?? index, newest, digest, seen: seenRoot };
    }
    if (!walk) {
      return refuse("root_not_pinned", "root: the pinned release key signed no root document");
    }
    const [found, version] = [walk.newest.document.version, saved.root_version];
    if (found < version) {
      refuse("root_rolled_back", `root: version ${found}, older than version ${version} seen before`);
    }
    if (typeof saved.root_sha384 === "string" && !walk.seen) {
      refuse("root_forked", `root: the document of version ${version} seen before is missing`);
    }
    return walk;
  }

  /**
   * A root document that the pinned keys signed; undefined if they did not, as for one from before these
   * keys.
   */
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
      refuse("list_from_future", `list: issued ${formatDuration(fromNowMs)} from now, beyond the leeway; is the clock behind?`);
    }
    const endedMs = past(time, list.expires_at);
    if (endedMs !== undefined) refuse("list_expired", `list: expired ${formatDuration(endedMs)} ago`);
    const ageMs = Math.max(0, time.nowMs - list.issued_at);
    // Negated, so that NaN is refused.
    if (!(ageMs <= this.#maxListAgeMs)) {
      refuse("list_too_old", `list: issued ${formatDuration(ageMs)} ago, expected at most ${formatDuration(this.#maxListAgeMs)}`);
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
      const entry = bundle.manifests[index] ?? refuse("manifest_missing", `manifest of ${version}: missing`);
      const envelope = Envelope.decode(MANIFEST, entry.envelope);
      if ((await payloadDigest(envelope)) !== digest) refuseUnlisted();
      const [manifest, measurements] = await verifyManifest(envelope, root);
      const found = manifest.predicate.version;
      if (found !== version) {
        refuse("manifest_version_mismatch", `manifest of ${version}: its own version is ${found}`);
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
  /** The releases. `AcceptedDocument.release` is an index into this array. */
  readonly releases: readonly AcceptedRelease[];
  /** The list that the releases are in. */
  readonly list: ReleaseList;
  /** The root document in force. */
  readonly root: RootDocument;
  /**
   * When the releases expire, in Unix milliseconds: the earliest of the list's expiry, the root document's,
   * and the list's maximum age.
   */
  readonly endsMs: number;
  /** The root that they were checked for. */
  readonly anchor: TrustAnchor;
  readonly #policy: Policy;

  /** Internal: use {@link ReleaseKey.check}. */
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

  /** Accepts enclaves that run one of the releases, until they expire. */
  policy(): Policy {
    return this.#policy;
  }
}

interface RootWalk {
  /** The index in the bundle at which the walk starts. */
  readonly first: number;
  readonly newest: RootKeys;
  /** SHA-384 of the newest payload, hexadecimal. */
  readonly digest: string;
  /** The document that the client saw before, once the walk has met it. */
  readonly seen: RootKeys | undefined;
}

/** Verifies the next version of a root document. */
async function follow(before: RootKeys, envelope: Envelope): Promise<RootKeys> {
  const next = await verifyRoot(envelope, before.root);
  const { version, product } = next.document;
  const expected = before.document.version + 1;
  if (version !== expected) {
    refuse("root_out_of_sequence", `root: version ${version}, expected ${expected}`);
  }
  if (product !== before.document.product) refuseProduct(product);
  return next;
}

/** The bundle's tiles, and fetched ones: each once, and a limited number. */
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
  if (!isIn) refuse("not_in_log", `${what}: not in the release log`);
}

async function checkLog(saved: StateEntry, now: Checkpoint, log: Tiles): Promise<void> {
  const seen = checkpointOf(saved);
  // A new root document can start another log. An empty log is a prefix of every log.
  if (!seen || seen.origin !== now.origin || seen.size === 0) return;
  if (now.size < seen.size) {
    refuse("log_rolled_back", `checkpoint: the log has ${now.size} entries, but had ${seen.size}`);
  }
  const [old, all] = now.size > seen.size ? await log.rootsSince(seen.size, seen.root) : [now.root, now.root];
  if (!equal(old, seen.root) || !equal(all, now.root)) {
    refuse("log_forked", `checkpoint: the log of ${now.size} entries does not extend the one of ${seen.size}`);
  }
}

function checkList(saved: StateEntry, list: ReleaseList, digest: string): void {
  if (list.version < saved.list_version) {
    refuse("list_rolled_back", `list: version ${list.version}, older than version ${saved.list_version} seen before`);
  }
  if (list.version === saved.list_version && (saved.list_sha384 ?? digest) !== digest) {
    refuse("list_forked", `list: two different lists of version ${list.version}`);
  }
}

function refuseUnlisted(): never {
  return refuse("manifest_not_listed", "manifest: one is not in the list");
}
