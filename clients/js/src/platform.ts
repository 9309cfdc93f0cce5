// Types of the platform in this package's declarations: they compile without TypeScript's library `dom`, and without Node's types.

/** `AbortSignal`: the project's own type of it, where there is one. */
export type Signal = typeof globalThis extends { AbortSignal: { prototype: infer T } } ? T : SignalLike;

/** `CryptoKey`: what the project's own `crypto.subtle` takes, where there is one. Node's types have no global name for it. */
export type WebCryptoKey = typeof globalThis extends { crypto: { subtle: { verify(...given: infer T): unknown } } }
  ? T extends readonly [unknown, infer Key, ...unknown[]]
    ? Key
    : CryptoKeyLike
  : CryptoKeyLike;

/** WebCrypto's pair of keys. */
export interface WebCryptoKeyPair {
  readonly privateKey: WebCryptoKey;
  readonly publicKey: WebCryptoKey;
}

/** What of an `AbortSignal` is used. */
export interface SignalLike {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

/** What of a `CryptoKey` is used. */
export interface CryptoKeyLike {
  readonly type: string;
  readonly extractable: boolean;
  readonly algorithm: { readonly name: string };
  readonly usages: readonly string[];
}

/**
 * What makes a request: the platform's `fetch`, one around it, or another library's. Redirects are not to be followed.
 *
 * @throws Whatever kept the request from being answered.
 */
export type Fetch = (url: string, init: FetchInit) => Promise<FetchResponse>;

/** How a request is to be made. */
export interface FetchInit {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  /** Left out where the platform does not take it. */
  cache?: "no-store";
  redirect: "manual";
  /** Left out where the platform does not take this realm's. */
  signal?: Signal;
}

/** What of a `Response` is used. Of the three ways to its body one is enough; only `body` keeps to a limit while it is read. */
export interface FetchResponse {
  readonly ok: boolean;
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly redirected?: boolean;
  readonly type?: string;
  /** A `ReadableStream`, or whatever can be iterated asynchronously, of `Uint8Array`s. */
  readonly body?: unknown;
  arrayBuffer?(): Promise<ArrayBuffer>;
  text?(): Promise<string>;
}
