/**
 * Signed releases: which measurements are accepted now, from a key that hardly ever changes.
 *
 * A client pins a {@link ReleaseKey}. Somebody, anybody, hands it a {@link Bundle}; {@link ReleaseKey.check} decides whether it
 * holds. Its answer is a policy of whole measurement sets that ends with the list. `docs/releases.md` is the specification, with
 * the reason for every rule.
 *
 * @example
 * ```ts
 * const key = (await ReleaseKey.fromPems(2, pems)).withMaxListAgeMs(24 * 3_600_000);
 * const memory = ReleaseState.keptIn(() => localStorage);
 * const accepted = await key.check(Bundle.decode(bundleJson), TrustAnchor.awsNitro(), memory);
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
