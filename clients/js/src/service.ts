// Calls to the service (the parent's HTTP API). Nothing that comes back is believed before it is verified.

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
import { aNumber, type CheckTime, type Clock, span } from "./time.js";
import type { Attested, Trust } from "./trust.js";

/** The longest tile of a log: 256 hashes of 32 bytes. */
const MAX_TILE = 256 * 32;
/** How long a call may take unless {@link CallOptions.timeoutMs} says otherwise. */
const DEFAULT_TIMEOUT_MS = 30_000;

/** The service's address: a text, or a `URL`. */
export type Base = string | { readonly href: string };

/** How calls are made. */
export interface CallOptions {
  /**
   * Makes the requests; the platform's `fetch` if left out. Give your own to add credentials or headers, or where the platform has
   * none. An answer that is not a stream is read whole before its length is known.
   */
  readonly fetch?: Fetch;
  /** Ends the call early: it throws the signal's reason (an `AbortError`), as `fetch` does. */
  readonly signal?: Signal;
  /** How long a call may take, with all that it asks for, in milliseconds; 30 seconds if left out. */
  readonly timeoutMs?: number;
  /** The clock that answers are checked by; this machine's if left out. */
  readonly clock?: Clock;
}

/**
 * The service refused a call, with a code from `docs/errors.md`; or something before it did, such as a proxy that is overloaded, with
 * the code `transport_failed`. It is what a host says, and nobody has signed it.
 */
export class ServiceError extends Ok2cryError {
  /** The HTTP status; 0 for a redirect in a browser. */
  readonly status: number;
  /** How long to wait before the next attempt, in milliseconds, if the answer says so (`Retry-After`). */
  readonly retryAfterMs: number | undefined;

  /** @internal */
  constructor(status: number, code: ErrorCode, detail: string, retryAfterMs: number | undefined) {
    super(code, detail);
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The states of a key. Advisory: nobody has signed them. */
export type KeyState = "live" | "used" | "expired" | "destroyed" | "unknown";

const STATES: readonly string[] = ["live", "used", "expired", "destroyed", "unknown"] satisfies KeyState[];

/**
 * Fetches one key, and verifies it.
 *
 * @param base The service's address, or a path on the page's own origin, without a query and a fragment: `/v1/keys` is appended.
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
 * Fetches as many keys as are wished for, and verifies them.
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
 * Has a message opened. The reply is for the recipient to read: {@link RecipientKey.open}.
 *
 * @param message All of it: what {@link VerifiedKey.seal} made, or its JSON, parsed or not.
 * @throws {Ok2cryError} {@link ServiceError} such as `key_used`, `key_expired`, `open_failed`; `transport_failed`; `answer_invalid`, and
 *   before anything is sent `release_mode_mismatch`, if the message's key does not deliver to a recipient.
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
 * Asks what became of a key.
 *
 * @throws {Ok2cryError} {@link ServiceError}; `transport_failed`; `answer_invalid`.
 */
export function keyState(base: Base, keyId: string, options: CallOptions = {}): Promise<KeyState> {
  return stateOf(base, keyId, "GET", options);
}

/**
 * Has a key destroyed now.
 *
 * @throws {Ok2cryError} As {@link keyState}.
 */
export function destroyKey(base: Base, keyId: string, options: CallOptions = {}): Promise<KeyState> {
  return stateOf(base, keyId, "DELETE", options);
}

/**
 * Fetches a statement of the enclave about a nonce. {@link Trust.verifyStatement} decides about it.
 *
 * @param nonce 16 to 64 random bytes, for this call only.
 * @throws {Ok2cryError} As {@link keyState}.
 */
export async function fetchStatement(base: Base, nonce: Uint8Array, options: CallOptions = {}): Promise<Attested> {
  return parseAttested(await call(base, `/v1/attestation?nonce=${toBase64Url(nonce)}`, {}, MAX_ANSWER, options));
}

/**
 * Fetches the releases, and checks them against the release key that this client pins.
 *
 * @param anchor The root that the enclaves' documents will be verified under.
 * @param memory What this client knew before. It knows better afterwards, also where this throws `no_release_accepted`: that all was
 *   revoked must be remembered. {@link ReleaseState.keptIn} sees to it; otherwise store `encode()` in a `finally`.
 * @throws {Ok2cryError} The first rule that they break (`docs/releases.md`); {@link ServiceError}; `transport_failed`.
 */
export async function fetchReleases(
  base: Base,
  key: ReleaseKey,
  anchor: TrustAnchor,
  state: ReleaseState,
  options: CallOptions = {},
): Promise<AcceptedReleases> {
  // One time for all of it: the bundle and whatever tiles it lacks.
  return inTime(options, async (all) => {
    const bundle = Bundle.decode(await call(base, "/v1/release", {}, MAX_BUNDLE_LENGTH, all));
    const tiles = async (path: string) => {
      try {
        return await call(base, `/v1/release/log/${path}`, {}, MAX_TILE, all);
      } catch (error) {
        if (all.signal.aborted) throw error;
        // A tile that does not come is one that is missing.
        return undefined;
      }
    };
    return key.check(bundle, anchor, state, checkTime(options), tiles);
  });
}

/** Read once the answer is there, so that a host that delays it gains nothing. */
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

/** Reads the answer of `GET /v1/keys/{keyId}`. Fields that are not known are let pass: receipts will come. */
export function parseKeyState(answer: string | Uint8Array): KeyState {
  const state = textField(parseAnswer(answer), "state");
  return STATES.includes(state) ? (state as KeyState) : invalid("no such state");
}

function post(base: Base, path: string, body: object, options: CallOptions): Promise<Bytes> {
  const headers = { "content-type": "application/json" };
  return call(base, path, { method: "POST", headers, body: JSON.stringify(body) }, MAX_ANSWER, options);
}

function call(base: Base, path: string, asked: Partial<FetchInit>, max: number, options: CallOptions): Promise<Bytes> {
  const url = addressOf(base) + path;
  return inTime(options, async ({ signal, clock, fetch: request = fetch }) => {
    let response: FetchResponse;
    let body: Bytes | undefined;
    try {
      // Not "error", which Cloudflare Workers refuse. A redirect that is not followed is an answer that is not `ok`.
      response = await request(url, own({ ...asked, ...taken(request, { cache: "no-store", signal }), redirect: "manual" }));
      body = await bodyOf(response, max, signal);
    } catch (cause) {
      const why = "the service cannot be reached (in a browser also: not allowed by CORS or by the page's policy)";
      throw new Ok2cryError("transport_failed", why, { cause });
    }
    if (!response.ok || response.redirected) throw problemOf(response, body, clock ?? Date.now);
    return body ?? refuse("transport_failed", `the service answered with more than ${max} bytes`);
  });
}

/**
 * The service's address, to which a path is appended.
 *
 * @throws {TypeError} for what is neither text nor `URL`, and for a query or a fragment: the path would become a part of it.
 */
function addressOf(base: Base): string {
  const address = typeof base === "string" ? base : base?.href;
  if (typeof address !== "string" || /[?#]/.test(address)) {
    throw new TypeError("base must be a URL, or a path of the page's origin, without a query and a fragment");
  }
  return address.replace(/\/+$/, "");
}

/**
 * Those options that this `fetch` takes. Cloudflare Workers refuse `cache` before the compatibility date 2024-11-11; the polyfill that
 * React Native has adds a parameter to the URL for it; Node's `fetch` refuses a signal of jsdom's. Without a signal a call still ends
 * in time.
 */
function taken(fetch: Fetch, wanted: Pick<FetchInit, "cache" | "signal">): Pick<FetchInit, "cache" | "signal"> {
  const address = "https://ok2cry.invalid/";
  const isTaken = ([name, value]: [string, unknown]) => {
    if (name === "cache" && "polyfill" in fetch) return false;
    try {
      return typeof Request !== "function" || new Request(address, own({ [name]: value })).url === address;
    } catch {
      return false;
    }
  };
  return Object.fromEntries(Object.entries(wanted).filter(isTaken));
}

/** The same options with what ends the work: the caller's signal, or too long a time. */
interface InTime extends CallOptions {
  readonly signal: AbortSignal;
}

/**
 * Does some work within the time that it may take. Not with `AbortSignal.timeout` and `any`: Node 20 forgets such a signal when it
 * collects garbage, and the call hangs for as long as a host wants it to. The work is left behind where it does not heed the signal,
 * as a `fetch` of the caller's may not.
 */
async function inTime<T>(options: CallOptions, work: (options: InTime) => Promise<T>): Promise<T> {
  const given = own(options);
  const { signal: outer, timeoutMs = DEFAULT_TIMEOUT_MS } = given;
  const ending = new AbortController();
  let end: (reason: unknown) => void = () => {};
  const ended = new Promise<never>((_, reject) => {
    end = (reason) => {
      reject(reason);
      ending.abort(reason);
    };
  });
  const late = () => end(new Ok2cryError("transport_failed", `the service did not answer within ${span(timeoutMs)}`));
  // Polyfills of `AbortController` know no reasons.
  const aborted = () => end(outer?.reason ?? Object.assign(new Error("the call was aborted"), { name: "AbortError" }));
  // Timers count in 31 bits.
  const timer = setTimeout(late, Math.min(aNumber("timeoutMs", timeoutMs), 2 ** 31 - 1));
  try {
    outer?.addEventListener("abort", aborted);
    if (outer?.aborted) aborted();
    return await Promise.race([ended, work(own({ ...given, signal: ending.signal }))]);
  } finally {
    clearTimeout(timer);
    outer?.removeEventListener("abort", aborted);
  }
}

/** All of a body of at most `max` bytes; nothing if it is longer, or read in vain. */
async function bodyOf(response: FetchResponse, max: number, signal: AbortSignal): Promise<Bytes | undefined> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of partsOf(response)) {
    if (!isBytes(part)) throw new TypeError("the body is not made of bytes");
    length += part.length;
    // Leaving the loop cancels the body.
    if (length > max || signal.aborted) return undefined;
    parts.push(part);
  }
  return concat(...parts);
}

/** A body piece by piece: a stream of the platform's or of Node's (`node-fetch`), or all at once (React Native). */
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
 * What a service or something before it answered in place of what was asked for: an RFC 9457 problem, if it is one. The status and
 * `Retry-After` are kept in any case.
 */
function problemOf(response: FetchResponse, body: Bytes | undefined, clock: Clock): ServiceError {
  const { status, headers, redirected, type } = response;
  const retryAfterMs = waitOf(headers.get("retry-after"), clock);
  try {
    const problem = parseAnswer(body ?? "");
    const code = textField(problem, "code");
    const detail = textField(problem, "detail")
      .slice(0, 1000)
      .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, REPLACEMENT);
    if (/^[a-z0-9_]{1,64}$/.test(code)) return new ServiceError(status, code as ErrorCode, detail, retryAfterMs);
  } catch {
    // Without a reason.
  }
  // Browsers show no status of a redirect.
  const isRedirect = redirected || type === "opaqueredirect" || (status >= 300 && status < 400);
  const why = isRedirect
    ? "the service answered with a redirect, which is not followed: give the address that it leads to"
    : `the service answered ${status} without a reason`;
  return new ServiceError(status, "transport_failed", why, retryAfterMs);
}

/** `Retry-After` in milliseconds: seconds, or the time of day, as proxies have it (RFC 9110, section 10.2.3). */
function waitOf(header: string | null, clock: Clock): number | undefined {
  if (/^\d{1,6}$/.test(header ?? "")) return Number(header) * 1000;
  if (!/^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/.test(header ?? "")) return undefined;
  const wait = Math.max(0, Date.parse(header ?? "") - clock());
  return wait < 1e9 ? wait : undefined;
}

/** A key's id as a segment of a path. */
function keyPath(keyId: string): string {
  return isKeyId(keyId) ? keyId : refuse("key_id_invalid", "A key id is 32 characters of base64url");
}
