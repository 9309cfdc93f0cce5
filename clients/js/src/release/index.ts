/**
 * Signed releases: from a long-lived pinned key to the measurements that are accepted now.
 *
 * A client pins a {@link ReleaseKey}, and gets a {@link Bundle} from any source. {@link ReleaseKey.check}
 * verifies it, and returns a policy of whole measurement sets that expires with the list.
 * `docs/releases.md` is the specification, with a reason for every rule.
 *
 * @example
 * ```ts
 * const key = (await ReleaseKey.fromPems(2, pems)).withMaxListAgeMs(24 * 3_600_000);
 * const state = ReleaseState.keptIn(() => localStorage);
 * const accepted = await key.check(Bundle.decode(bundleJson), TrustAnchor.awsNitro(), state);
 * const policy = accepted.policy();
 * ```
 *
 * @module
 */
export type { TileSource } from "../tlog/tile.js";
export { type AcceptedRelease, AcceptedReleases, ReleaseKey } from "./acceptance.js";
export { Bundle, type BundleEntry } from "./bundle.js";
export type { ReleaseList } from "./list.js";
export type { Manifest } from "./manifest.js";
export type { RootDocument, RootRole } from "./root.js";
export { ReleaseState, type StorageLike } from "./state.js";
