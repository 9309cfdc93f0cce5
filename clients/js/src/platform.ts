// The platform's types in this package's declarations. They compile without TypeScript's library `dom` and
// without Node's types.

/** `AbortSignal`: the project's own type, if it has one. */
export type Signal = typeof globalThis extends { AbortSignal: { prototype: infer T } } ? T : SignalLike;

/**
 * `CryptoKey`: what the project's own `crypto.subtle` takes, if it has one. Node's types have no global name
 * for it.
 */
export type WebCryptoKey = typeof globalThis extends { crypto: { subtle: { verify(...given: infer T): unknown } } }
  ? T extends readonly [unknown, infer Key, ...unknown[]]
    ? Key
    : CryptoKeyLike
  : CryptoKeyLike;

/** WebCrypto's key pair. */
export interface WebCryptoKeyPair {
  readonly privateKey: WebCryptoKey;
  readonly publicKey: WebCryptoKey;
}

/** The used part of an `AbortSignal`. */
export interface SignalLike {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

/** The used part of a `CryptoKey`. */
export interface CryptoKeyLike {
  readonly type: string;
  readonly extractable: boolean;
  readonly algorithm: { readonly name: string };
  readonly usages: readonly string[];
}

/**
 * Sends a request: the platform's `fetch`, a wrapper of it, or another library's. It must not follow
 * redirects.
 *
 * @throws An error if there is no response.
 */
export type Fetch = (url: string, init: FetchInit) => Promise<FetchResponse>;

/** The options of a request. */
export interface FetchInit {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  /** Absent if the platform does not support it. */
  cache?: "no-store";
  redirect: "manual";
  /** Absent if the platform refuses this realm's signals. */
  signal?: Signal;
}

/**
 * The used part of a `Response`. One of the three ways to the body suffices. Only `body` is bounded while it
 * is read.
 */
export interface FetchResponse {
  readonly ok: boolean;
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly redirected?: boolean;
  readonly type?: string;
  /** A `ReadableStream`, or an async iterable, of `Uint8Array`s. */
  readonly body?: unknown;
  arrayBuffer?(): Promise<ArrayBuffer>;
  text?(): Promise<string>;
}
