// Calls to the service, which is the parent's HTTP API. An answer is trusted only after it is verified.

import { invalid, parseAnswer, textField } from "./answer.js";
import type { TrustAnchor } from "./attestation/anchor.js";
import { type Bytes, concat, isBytes, toBase64Url, utf8 } from "./bytes.js";
import { type ErrorCode, MAX_ANSWER, MAX_BUNDLE_LENGTH } from "./codes.js";
import { Ok2cryError, refuse } from "./error.js";
import { isKeyId, KeyRequest, type KeyRequestOptions, SealedMessage, type SealedMessageJson, type VerifiedKey } from "./key.js";
import { own } from "./own.js";
import type { Fetch, FetchInit, FetchResponse, Signal } from "./platform.js";
import { parseAttested, parseSealedReply, type SealedReply } from "./recipient.js";
import { type AcceptedReleases, Bundle, type ReleaseKey, type ReleaseState } from "./release/index.js";
import { REPLACEMENT } from "./text.js";
import { type CheckTime, type Clock, formatDuration, requireNumber } from "./time.js";
import type { Attested, Trust } from "./trust.js";

/** The longest tile of a log: 256 hashes of 32 bytes. */
const MAX_TILE = 256 * 32;
/** The time limit of a call, unless {@link CallOptions.timeoutMs} sets another. */
const DEFAULT_TIMEOUT_MS = 30_000;

/** The service's address: a string, or a `URL`. */
export type Base = string | { readonly href: string };

/** How calls are made. */
export interface CallOptions {
  /**
   * Sends the requests. The default is the platform's `fetch`. Give your own to add headers, or where the
   * platform has none. A response body that is not a stream is read whole before its length is checked.
   */
  readonly fetch?: Fetch;
  /** Aborts the call, which then throws the signal's reason (an `AbortError`), as `fetch` does. */
  readonly signal?: Signal;
  /** The time limit of the call, all its requests included, in milliseconds. The default is 30 seconds. */
  readonly timeoutMs?: number;
  /** The clock that answers are checked by. The default is this machine's. */
  readonly clock?: Clock;
}

/**
 * The service refused a call. The host says so, unsigned.
 *
 * `code` is one of `docs/errors.md`. A newer service can send codes that are not in this version's
 * `ErrorCode`, so give a `switch` a `default`. An answer without a code, such as an overloaded proxy's, is
 * `transport_failed`.
 */
export class ServiceError extends Ok2cryError {
  /** The HTTP status; 0 for a redirect in a browser. */
  readonly status: number;
  /** How long to wait before a retry, in milliseconds, if the answer has `Retry-After`. */
  readonly retryAfterMs: number | undefined;

  /** @internal */
  constructor(status: number, code: ErrorCode, detail: string, retryAfterMs: number | undefined) {
    super(code, detail);
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The states of a key, as the host reports them, unsigned. */
export type KeyState = "live" | "used" | "expired" | "destroyed" | "unknown";

const STATES: readonly string[] = ["live", "used", "expired", "destroyed", "unknown"] satisfies KeyState[];

/**
 * Requests one key, and verifies it.
 *
 * @param base The service's address, or a path on the page's own origin. `/v1/keys` is appended, so it has no
 *   query and no fragment.
 * @throws {Ok2cryError} The first rule that the answer breaks; {@link ServiceError}; `transport_failed`.
 */
export async function fetchKey(
  base: Base,
  trust: Trust,
  wanted: KeyRequestOptions,
  options: CallOptions = {},
): Promise<VerifiedKey> {
  const request = await KeyRequest.create({ ...wanted, count: 1 });
  const answer = await post(base, "/v1/keys", request, options);
  return request.verifyOne(answer, trust, checkTime(options));
}

/**
 * Requests `count` keys, and verifies them.
 *
 * @throws {Ok2cryError} As {@link fetchKey}.
 */
export async function fetchKeys(
  base: Base,
  trust: Trust,
  wanted: KeyRequestOptions,
  options: CallOptions = {},
): Promise<VerifiedKey[]> {
  const request = await KeyRequest.create(wanted);
  const answer = await post(base, "/v1/keys", request, options);
  return request.verify(answer, trust, checkTime(options));
}

/**
 * Has a message opened. {@link RecipientKey.open} reads the reply.
 *
 * @param message What {@link VerifiedKey.seal} made, or its JSON, parsed or not.
 * @throws {Ok2cryError} {@link ServiceError}, such as `key_used`, `key_expired` or `open_failed`;
 *   `transport_failed`; `answer_invalid`. Before anything is sent: `release_mode_mismatch` if the key does
 *   not deliver to a recipient.
 */
export async function openMessage(
  base: Base,
  message: SealedMessage | SealedMessageJson | string | Uint8Array,
  options: CallOptions = {},
): Promise<SealedReply> {
  const whole = SealedMessage.parse(message);
  await whole.recipient();
  const path = `/v1/keys/${keyPath(whole.keyId)}/open`;
  return parseSealedReply(await post(base, path, whole.toOpenRequest(), options));
}

/**
 * Asks for the state of a key.
 *
 * @throws {Ok2cryError} {@link ServiceError}; `transport_failed`; `answer_invalid`.
 */
export function keyState(base: Base, keyId: string, options: CallOptions = {}): Promise<KeyState> {
  return stateOf(base, keyId, "GET", options);
}

/**
 * Destroys a key.
 *
 * @throws {Ok2cryError} As {@link keyState}.
 */
export function destroyKey(base: Base, keyId: string, options: CallOptions = {}): Promise<KeyState> {
  return stateOf(base, keyId, "DELETE", options);
}

/**
 * Fetches the enclave's statement about a nonce. {@link Trust.verifyStatement} verifies it.
 *
 * @param nonce 16 to 64 random bytes, used once.
 * @throws {Ok2cryError} As {@link keyState}.
 */
export async function fetchStatement(base: Base, nonce: Uint8Array, options: CallOptions = {}): Promise<Attested> {
  return parseAttested(await call(base, `/v1/attestation?nonce=${toBase64Url(nonce)}`, {}, MAX_ANSWER, options));
}

/**
 * Fetches the releases, and checks them against the pinned release key.
 *
 * @param anchor The root that the enclaves' documents will be verified under.
 * @param state What earlier checks saw. It is updated also if this throws `no_release_accepted`, because a
 *   revocation of everything must be remembered. {@link ReleaseState.keptIn} stores it; otherwise store
 *   `encode()` in a `finally`.
 * @throws {Ok2cryError} The first rule that they break (`docs/releases.md`); {@link ServiceError};
 *   `transport_failed`.
 */
export async function fetchReleases(
  base: Base,
  key: ReleaseKey,
  anchor: TrustAnchor,
  state: ReleaseState,
  options: CallOptions = {},
): Promise<AcceptedReleases> {
  // One time limit for the bundle and all tiles.
  return withTimeout(options, async (all) => {
    const bundle = Bundle.decode(await call(base, "/v1/release", {}, MAX_BUNDLE_LENGTH, all));
    const tiles = async (path: string) => {
      try {
        return await call(base, `/v1/release/log/${path}`, {}, MAX_TILE, all);
      } catch (error) {
        if (all.signal.aborted) throw error;
        // A tile that cannot be fetched is a missing tile.
        return undefined;
      }
    };
    return key.check(bundle, anchor, state, checkTime(options), tiles);
  });
}

/** The time after the answer arrived, so that a host that delays it gains nothing. */
function checkTime(options: CallOptions): CheckTime {
  return { nowMs: (own(options).clock ?? Date.now)() };
}

async function stateOf(base: Base, keyId: string, method: string, options: CallOptions): Promise<KeyState> {
  let answer: Bytes;
  try {
    answer = await call(base, `/v1/keys/${keyPath(keyId)}`, { method }, MAX_ANSWER, options);
  } catch (error) {
    if (error instanceof ServiceError && error.code === "unknown_key") return "unknown";
    throw error;
  }
  return parseKeyState(answer);
}

/** Reads the answer of `GET /v1/keys/{keyId}`. Ignores unknown fields: receipts will be added. */
export function parseKeyState(answer: string | Uint8Array): KeyState {
  const state = textField(parseAnswer(answer), "state");
  return STATES.includes(state) ? (state as KeyState) : invalid("unknown state");
}

function post(base: Base, path: string, body: object, options: CallOptions): Promise<Bytes> {
  const headers = { "content-type": "application/json" };
  return call(base, path, { method: "POST", headers, body: JSON.stringify(body) }, MAX_ANSWER, options);
}

function call(base: Base, path: string, init: Partial<FetchInit>, max: number, options: CallOptions): Promise<Bytes> {
  const url = addressOf(base) + path;
  return withTimeout(options, async ({ signal, clock, fetch: request = fetch }) => {
    let response: FetchResponse;
    let body: Bytes | undefined;
    try {
      // Not "error", which Cloudflare Workers refuse. A redirect that is not followed is an answer that is
      // not `ok`.
      response = await request(url, own({ ...init, ...supported(request, { cache: "no-store", signal }), redirect: "manual" }));
      body = await bodyOf(response, max, signal);
    } catch (cause) {
      const why = "the service cannot be reached (in a browser: or CORS or the page's policy forbids it)";
      throw new Ok2cryError("transport_failed", why, { cause });
    }
    if (!response.ok || response.redirected) throw problemOf(response, body, clock ?? Date.now);
    return body ?? refuse("transport_failed", `the service answered with more than ${max} bytes`);
  });
}

/**
 * The service's address without a slash at its end.
 *
 * @throws {TypeError} if it is neither a string nor a `URL`, or has a query or a fragment: a path would
 *   become part of it.
 */
function addressOf(base: Base): string {
  const address = typeof base === "string" ? base : base?.href;
  if (typeof address !== "string" || /[?#]/.test(address)) {
    throw new TypeError("base must be a URL or a path, without query and fragment");
  }
  return address.replace(/\/+$/, "");
}

/**
 * The options that this `fetch` supports. Cloudflare Workers refuse `cache` before compatibility date
 * 2024-11-11. React Native's polyfill adds a URL parameter for it. Node's `fetch` refuses jsdom's signals.
 * Without a signal the time limit still holds.
 */
function supported(fetch: Fetch, wanted: Pick<FetchInit, "cache" | "signal">): Pick<FetchInit, "cache" | "signal"> {
  const address = "https://ok2cry.invalid/";
  const isSupported = ([name, value]: [string, unknown]) => {
    if (name === "cache" && "polyfill" in fetch) return false;
    try {
      return typeof Request !== "function" || new Request(address, own({ [name]: value })).url === address;
    } catch {
      return false;
    }
  };
  return Object.fromEntries(Object.entries(wanted).filter(isSupported));
}

/** Options with the signal that aborts the work: the caller's, or the time limit's. */
interface TimedOptions extends CallOptions {
  readonly signal: AbortSignal;
}

/**
 * Runs some work within its time limit. `AbortSignal.timeout` and `any` do not serve: Node 20
 * garbage-collects such signals, and the call hangs. Work that ignores the signal, as a caller's `fetch` may,
 * is abandoned.
 */
async function withTimeout<T>(options: CallOptions, work: (options: TimedOptions) => Promise<T>): Promise<T> {
  const given = own(options);
  const { signal: outer, timeoutMs = DEFAULT_TIMEOUT_MS } = given;
  const controller = new AbortController();
  let end: (reason: unknown) => void = () => {};
  const ended = new Promise<never>((_, reject) => {
    end = (reason) => {
      reject(reason);
      controller.abort(reason);
    };
  });
  const late = () => end(new Ok2cryError("transport_failed", `the service did not answer within ${formatDuration(timeoutMs)}`));
  // Polyfills of `AbortController` have no reasons.
  const aborted = () => end(outer?.reason ?? Object.assign(new Error("the call was aborted"), { name: "AbortError" }));
  // Timers count in 31 bits.
  const timer = setTimeout(late, Math.min(requireNumber("timeoutMs", timeoutMs), 2 ** 31 - 1));
  try {
    outer?.addEventListener("abort", aborted);
    if (outer?.aborted) aborted();
    return await Promise.race([ended, work(own({ ...given, signal: controller.signal }))]);
  } finally {
    clearTimeout(timer);
    outer?.removeEventListener("abort", aborted);
  }
}

/** A body of at most `max` bytes; undefined if it is longer, or the call was aborted. */
async function bodyOf(response: FetchResponse, max: number, signal: AbortSignal): Promise<Bytes | undefined> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of partsOf(response)) {
    if (!isBytes(part)) throw new TypeError("the body must yield Uint8Arrays");
    length += part.length;
    // Leaving the loop cancels the body.
    if (length > max || signal.aborted) return undefined;
    parts.push(part);
  }
  return concat(...parts);
}

/** The parts of a body: a stream of the platform or of Node (`node-fetch`), or all at once (React Native). */
async function* partsOf(response: FetchResponse): AsyncGenerator<unknown, void> {
  const body = response.body as ReadableStream<unknown> | AsyncIterable<unknown> | null | undefined;
  if (typeof body === "object" && body !== null && "getReader" in body) {
    const reader = body.getReader();
    let isDone = false;
    try {
      for (;;) {
        const { done, value } = await reader.read();
        isDone = done;
        if (done) return;
        yield value;
      }
    } finally {
      if (!isDone) await reader.cancel();
    }
  } else if (typeof body === "object" && body !== null && Symbol.asyncIterator in body) {
    yield* body;
  } else if (typeof response.arrayBuffer === "function") {
    yield new Uint8Array(await response.arrayBuffer());
  } else {
    yield utf8((await response.text?.()) ?? "");
  }
}

/**
 * The error for an answer that is not a success: an RFC 9457 problem, if it is one. Keeps the status and
 * `Retry-After` in any case.
 */
function problemOf(response: FetchResponse, body: Bytes | undefined, clock: Clock): ServiceError {
  const { status, headers, redirected, type } = response;
  const retryAfterMs = retryAfterOf(headers.get("retry-after"), clock);
  try {
    const problem = parseAnswer(body ?? "");
    const code = textField(problem, "code");
    const detail = textField(problem, "detail")
      .slice(0, 1000)
      .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, REPLACEMENT);
    if (/^[a-z0-9_]{1,64}$/.test(code)) return new ServiceError(status, code as ErrorCode, detail, retryAfterMs);
  } catch {
    // Not a problem.
  }
  // Browsers hide the status of a redirect.
  const isRedirect = redirected || type === "opaqueredirect" || (status >= 300 && status < 400);
  const why = isRedirect
    ? "the service answered with a redirect, which is not followed: use its target as base"
    : `the service answered ${status} without a reason`;
  return new ServiceError(status, "transport_failed", why, retryAfterMs);
}

/** `Retry-After` in milliseconds: seconds, or a date as proxies send (RFC 9110 §10.2.3). */
function retryAfterOf(header: string | null, clock: Clock): number | undefined {
  if (/^\d{1,6}$/.test(header ?? "")) return Number(header) * 1000;
  if (!/^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/.test(header ?? "")) return undefined;
  const wait = Math.max(0, Date.parse(header ?? "") - clock());
  return wait < 1e9 ? wait : undefined;
}

/** A key id as a path segment. */
function keyPath(keyId: string): string {
  return isKeyId(keyId) ? keyId : refuse("key_id_invalid", "a key id is 32 characters of base64url");
}
