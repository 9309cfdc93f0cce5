/**
 * Disposable keys in AWS Nitro Enclaves: fetch a key, verify that an accepted enclave holds it, and seal one
 * message to it; at the other end, open the enclave's reply. For browsers and Node, over WebCrypto.
 *
 * An unverified key cannot be sealed to: only {@link fetchKey}, {@link fetchKeys} and {@link KeyRequest}
 * make a {@link VerifiedKey}, which seals one message. The service that carries the messages is not trusted.
 *
 * @example
 * ```ts
 * const anchor = TrustAnchor.awsNitro();
 * const state = ReleaseState.keptIn(() => localStorage);
 * const releases = await fetchReleases(url, await ReleaseKey.fromPems(2, RELEASE_KEYS), anchor, state);
 * const trust = Trust.fromReleases(anchor, releases);
 *
 * const key = await fetchKey(url, trust, { purpose: "card-pin", ttlMs: 60_000, recipient: ISSUER });
 * const message = await key.seal({ plaintext: pad(pin), aad: new TextEncoder().encode("order 17") });
 * // Send JSON.stringify(message) to the party that has it opened.
 * ```
 *
 * @module
 */
export * from "./attestation/index.js";
export { fromBase64Url, toBase64Url } from "./bytes.js";
export {
  DEFAULT_MAX_LIST_AGE_MS,
  DEFAULT_MAX_REPLY_AGE_MS,
  MAX_AAD,
  MAX_BUNDLE_LENGTH,
  MAX_COUNT,
  MAX_PLAINTEXT,
} from "./codes.js";
export { checkEnvironment } from "./environment.js";
export {
  KeyRequest,
  type KeyRequestOptions,
  type Message,
  SealedMessage,
  type SealedMessageJson,
  type SealedMessageParts,
  VerifiedKey,
} from "./key.js";
export { pad, unpad } from "./padding.js";
export type {
  CryptoKeyLike,
  Fetch,
  FetchInit,
  FetchResponse,
  Signal,
  SignalLike,
  WebCryptoKey,
  WebCryptoKeyPair,
} from "./platform.js";
export type { Inclusion } from "./protocol/batch.js";
export { type KeyDescriptor, publicKeyFromPem, publicKeyFromText, readDescriptor } from "./protocol/descriptor.js";
export {
  type Expected,
  type OpenedReply,
  parseAttested,
  parseSealedReply,
  RecipientKey,
  type ReplayEntry,
  type ReplayGuard,
  ReplaySet,
  type SealedReply,
} from "./recipient.js";
export * from "./release/index.js";
export {
  type Base,
  type CallOptions,
  destroyKey,
  fetchKey,
  fetchKeys,
  fetchReleases,
  fetchStatement,
  type KeyState,
  keyState,
  openMessage,
  ServiceError,
} from "./service.js";
export { type Attested, AttestedBatch, Trust, type TrustOptions } from "./trust.js";
