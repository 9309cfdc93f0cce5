// Calls to the service (the parent's HTTP API). Nothing that comes back is believed before it is verified.

import { MAX_ANSWER, parseAnswer, textField } from "./answer.js";
import type { TrustAnchor } from "./attestation/anchor.js";
import { type Bytes, concat, toBase64Url } from "./bytes.js";
import { Ok2cryError, refuse } from "./error.js";
import { isKeyId, KeyRequest, type KeyWish, SealedMessage, type SealedMessageJson, type VerifiedKey } from "./key.js";
import { own } from "./own.js";
import { parseAttested, parseSealedReply, type SealedReply } from "./recipient.js";
import { type AcceptedReleases, Bundle, MAX_BUNDLE_LENGTH, type ReleaseKey, type ReleaseMemory } from "./release/index.js";
import { aNumber, type CheckTime, type Clock, span } from "./time.js";
import type { Attested, Trust } from "./trust.js";

/** The longest tile of a log: 256 hashes of 32 bytes. */
const MAX_TILE = 256 * 32;
/** How long a call may take unless {@link CallOptions.timeoutMs} says otherwise. */
const DEFAULT_TIMEOUT_MS = 30_000;

/** How calls are made. */
export interface CallOptions {
  /** Makes the requests; the platform's `fetch` if left out. Give your own to add credentials or headers. */
  readonly fetch?: typeof fetch;
  /** Ends the call early: it throws the signal's reason (an `AbortError`), as `fetch` does. */
  readonly signal?: AbortSignal;
  /** How long a call may take, with all that it asks for, in milliseconds; 30 seconds if left out. */
  readonly timeoutMs?: number;
  /** The clock that answers are checked by; this machine's if left out. */
  readonly clock?: Clock;
}

/**
 * The service, or a proxy before it, refused a call. The code is the service's (`docs/errors.md`), which is unsigned; or
 * `transport_failed` where the answer has none, as a proxy's 429 or 503.
 */
export class ServiceError extends Ok2cryError {
  /** The HTTP status. */
  readonly status: number;
  /** How long the service wants to be left alone before the next attempt, in milliseconds, if it says so (`Retry-After`). */
  readonly retryAfterMs: number | undefined;

  /** @internal */
  constructor(status: number, code: string, detail: string, retryAfterMs: number | undefined) {
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
 * @param base The service's address, or a path on the page's own origin: `/v1/keys` is appended.
 * @throws {Ok2cryError} The first rule that the answer breaks; {@link ServiceError}; `transport_failed`.
 */
export async function fetchKey(base: string, trust: Trust, wish: KeyWish, options: CallOptions = {}): Promise<VerifiedKey> {
  const [key] = await fetchKeys(base, trust, { ...wish, count: 1 }, options);
  return key ?? refuse("key_count_mismatch", "1 keys were asked for and 0 came");
}

/**
 * Fetches as many keys as are wished for, and verifies them.
 *
 * @throws {Ok2cryError} As {@link fetchKey}.
 */
export async function fetchKeys(base: string, trust: Trust, wish: KeyWish, options: CallOptions = {}): Promise<VerifiedKey[]> {
  const request = await KeyRequest.create(wish);
  const answer = await post(base, "/v1/keys", request, options);
  // By the clock as it is once the answer is there: a host that holds it back gains nothing.
  return request.verify(answer, trust, timeOf(options));
}

/**
 * Has a message opened. The reply is for the recipient to read: {@link RecipientKey.open}.
 *
 * @param message All of it: what {@link VerifiedKey.seal} made, or its JSON, parsed or not.
 * @throws {Ok2cryError} {@link ServiceError} such as `key_used`, `key_expired`, `open_failed`; `transport_failed`; `answer_invalid`, and
 *   before anything is sent `release_mode_mismatch`, if the message's key does not deliver to a recipient.
 */
export async function openMessage(
  base: string,
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
export function keyState(base: string, keyId: string, options: CallOptions = {}): Promise<KeyState> {
  return stateOf(base, keyId, "GET", options);
}

/**
 * Has a key destroyed now.
 *
 * @throws {Ok2cryError} As {@link keyState}.
 */
export function destroyKey(base: string, keyId: string, options: CallOptions = {}): Promise<KeyState> {
  return stateOf(base, keyId, "DELETE", options);
}

/**
 * Fetches a statement of the enclave about a nonce. {@link Trust.verifyStatement} decides about it.
 *
 * @param nonce 16 to 64 random bytes, for this call only.
 * @throws {Ok2cryError} As {@link keyState}.
 */
export async function fetchStatement(base: string, nonce: Uint8Array, options: CallOptions = {}): Promise<Attested> {
  return parseAttested(await call(base, `/v1/attestation?nonce=${toBase64Url(nonce)}`, {}, MAX_ANSWER, options));
}

/**
 * Fetches the releases, and checks them against the release key that this client pins.
 *
 * @param anchor The root that the enclaves' documents will be verified under.
 * @param memory What this client knew before. It knows better afterwards, also where this throws `no_release_accepted`: that all was
 *   revoked must be remembered. {@link ReleaseMemory.keptIn} sees to it; otherwise store `encode()` in a `finally`.
 * @throws {Ok2cryError} The first rule that they break (`docs/releases.md`); {@link ServiceError}; `transport_failed`.
 */
export async function fetchReleases(
  base: string,
  key: ReleaseKey,
  anchor: TrustAnchor,
  memory: ReleaseMemory,
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
    return key.check(bundle, anchor, memory, timeOf(options), tiles);
  });
}

async function stateOf(base: string, keyId: string, method: string, options: CallOptions): Promise<KeyState> {
  let answer: Bytes;
  try {
    answer = await call(base, `/v1/keys/${keyPath(keyId)}`, { method }, MAX_ANSWER, options);
  } catch (error) {
    if (error instanceof ServiceError && error.code === "unknown_key") return "unknown";
    throw error;
  }
  // Fields that are not known are let pass: receipts will come.
  const state = textField(parseAnswer(answer), "state");
  return STATES.includes(state) ? (state as KeyState) : refuse("answer_invalid", "the answer is not understood: no such state");
}

function post(base: string, path: string, body: object, options: CallOptions): Promise<Bytes> {
  const headers = { "content-type": "application/json" };
  return call(base, path, { method: "POST", headers, body: JSON.stringify(body) }, MAX_ANSWER, options);
}

function call(base: string, path: string, init: RequestInit, max: number, options: CallOptions): Promise<Bytes> {
  return inTime(options, async ({ signal, fetch }) => {
    let response: Response;
    let body: Bytes;
    try {
      const asked: RequestInit = { ...init, cache: "no-store", redirect: "error", signal };
      response = await fetch(base.replace(/\/+$/, "") + path, asked);
      body = await bodyOf(response, max);
    } catch (cause) {
      if (cause instanceof Ok2cryError) throw cause;
      if (signal.aborted) throw signal.reason;
      const why = "the service cannot be reached (in a browser also: not allowed by CORS or by the page's policy)";
      throw new Ok2cryError("transport_failed", why, { cause });
    }
    if (response.ok) return body;
    throw problemOf(response, body, timeOf(options));
  });
}

/** The same options with what ends the work: the caller's signal, or too long a time. */
interface InTime extends CallOptions {
  readonly fetch: typeof fetch;
  readonly signal: AbortSignal;
}

/**
 * Does some work within the time that it may take. Not with `AbortSignal.timeout` and `any`: Node 20 forgets such a signal when it
 * collects garbage, and the call hangs for as long as a host wants it to.
 */
async function inTime<T>(options: CallOptions, work: (options: InTime) => Promise<T>): Promise<T> {
  const given = own(options);
  const { signal: outer, timeoutMs = DEFAULT_TIMEOUT_MS } = given;
  const ending = new AbortController();
  const end = () => ending.abort(outer?.reason);
  const late = () => ending.abort(new Ok2cryError("transport_failed", `the service did not answer within ${span(timeoutMs)}`));
  const timer = setTimeout(late, aNumber("timeoutMs", timeoutMs));
  outer?.addEventListener("abort", end);
  if (outer?.aborted) end();
  try {
    // As a function of its own: `fetch` insists on its `this`.
    const request: typeof fetch = (input, init) => (given.fetch ?? fetch)(input, init);
    return await work({ ...given, fetch: request, signal: ending.signal });
  } finally {
    clearTimeout(timer);
    outer?.removeEventListener("abort", end);
  }
}

/** All of a body of at most `max` bytes. */
async function bodyOf(response: Response, max: number): Promise<Bytes> {
  const parts: Uint8Array[] = [];
  let length = 0;
  const reader = response.body?.getReader();
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
    if (done || value === undefined) return concat(...parts);
    length += value.length;
    if (length > max) {
      await reader?.cancel();
      refuse("transport_failed", `the service answered with more than ${max} bytes`);
    }
    parts.push(value);
  }
}

/** The clock of {@link CallOptions.clock}, now. */
function timeOf(options: CallOptions): CheckTime {
  return { nowMs: (own(options).clock ?? Date.now)() };
}

/** An RFC 9457 problem, if the body is one. Status and `Retry-After` are kept also where it is not, as with a proxy's 503. */
function problemOf({ status, headers }: Response, body: Bytes, time: CheckTime): ServiceError {
  const retryAfterMs = retryAfter(headers.get("retry-after") ?? "", time);
  try {
    const problem = parseAnswer(body);
    const code = textField(problem, "code");
    const detail = textField(problem, "detail")
      .slice(0, 1000)
      .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "\ufffd");
    if (/^[a-z0-9_]{1,64}$/.test(code)) return new ServiceError(status, code, detail, retryAfterMs);
  } catch {
    // Without a reason.
  }
  return new ServiceError(status, "transport_failed", `the service answered ${status} without a reason`, retryAfterMs);
}

/** `Retry-After` in milliseconds: seconds, or an HTTP date (RFC 9110 §10.2.3). */
function retryAfter(text: string, { nowMs }: CheckTime): number | undefined {
  if (/^\d{1,6}$/.test(text)) return Number(text) * 1000;
  const atMs = / GMT$/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowMs);
}

/** A key's id as a segment of a path. */
function keyPath(keyId: string): string {
  return isKeyId(keyId) ? keyId : refuse("key_id_invalid", "A key id is 32 characters of base64url");
}
