// Calls to the service: differences of platforms' fetches, and proxies in between.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { Readable } from "node:stream";
import { after, before, test } from "node:test";
import * as lib from "../dist/index.js";

const ID = "A".repeat(32);
const LIVE = '{"state":"live"}';
const MAX_ANSWER = 1 << 20;
const failed = (more = {}) => ({ name: "Ok2cryError", code: "transport_failed", ...more });
/** The requests that the server saw, and its answer. */
let seen = [];
let answer;
let server;
let base;

before(async () => {
  server = createServer((request, response) => {
    seen.push(request.url);
    answer(request, response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  base = `http://127.0.0.1:${server.address().port}`;
});
after(() => {
  server.closeAllConnections();
  server.close();
});

/** Calls the server, which answers with `how`. */
function ask(how, options, at = base) {
  seen = [];
  answer = how;
  return lib.keyState(at, ID, options);
}

/** Calls a service that answers with this response. */
const askFetch = (response, options) => lib.keyState("https://keys.example", ID, { fetch: async () => response, ...options });

const live = (_, response) => response.end(LIVE);
const headers = new Headers();
const bytes = (text) => new TextEncoder().encode(text);

test("a body is read in every form that platforms give", async () => {
  const ok = { ok: true, status: 200, headers };
  const whole = (text) => ({ ...ok, arrayBuffer: async () => bytes(text).buffer });
  const ways = (text) => ({
    "a stream": new Response(text),
    "a stream of Node's": { ...ok, body: Readable.from([Buffer.from(text.slice(0, 5)), Buffer.from(text.slice(5))]) },
    "no stream": whole(text),
    "no stream but null": { ...whole(text), body: null },
    "a Blob in place of a stream": { ...whole(text), body: new Blob([text]) },
    "text alone": { ...ok, text: async () => text },
  });
  for (const [way, response] of Object.entries(ways(LIVE))) assert.equal(await askFetch(response), "live", way);
  const longest = LIVE.padEnd(MAX_ANSWER, " ");
  for (const [way, response] of Object.entries(ways(longest))) assert.equal(await askFetch(response), "live", way);
  for (const [way, response] of Object.entries(ways(`${longest} `))) {
    await assert.rejects(askFetch(response), failed({ message: /more than 1048576 bytes/ }), way);
  }
  for (const [way, response] of Object.entries(ways("\u00e9"))) {
    await assert.rejects(askFetch(response), { name: "Ok2cryError", code: "answer_invalid" }, way);
  }
  await assert.rejects(askFetch({ ...ok, body: Readable.from(["text"]) }), failed());
});

test("a body that is too long is not read to its end", async () => {
  let pulled = 0;
  let cancelled = 0;
  const endless = (highWaterMark) =>
    new ReadableStream(
      {
        pull: (controller) => {
          pulled++;
          controller.enqueue(new Uint8Array(1 << 16));
        },
        cancel: () => void cancelled++,
      },
      { highWaterMark },
    );
  await assert.rejects(askFetch(new Response(endless(0))), failed());
  await assert.rejects(askFetch({ ok: true, status: 200, headers, body: endless(0).values() }), failed());
  assert.equal(cancelled, 2);
  assert.equal(pulled, 2 * 17);
});

test("a redirect is not followed", async () => {
  for (const status of [301, 302, 303, 307, 308]) {
    const redirect = ({ url }, response) => response.writeHead(url === "/else" ? 200 : status, { location: "/else" }).end(LIVE);
    await assert.rejects(ask(redirect), failed({ status, message: /redirect, which is not followed/ }));
    assert.deepEqual(seen, [`/v1/keys/${ID}`]);
  }
  // As browsers report one; and a fetch that follows redirects regardless.
  const opaque = { ok: false, status: 0, type: "opaqueredirect", headers, body: null };
  await assert.rejects(askFetch(opaque), failed({ status: 0, message: /redirect/ }));
  const followed = { ok: true, status: 200, redirected: true, headers, arrayBuffer: async () => bytes(LIVE).buffer };
  await assert.rejects(askFetch(followed), failed({ message: /redirect/ }));
});

test("unsupported request options are left out", async () => {
  const { Request } = globalThis;
  const asked = [];
  // `refused` are the options that this platform does not implement, such as `cache` in Cloudflare Workers.
  const platform = (refused, isPolyfill = false) => {
    globalThis.Request = class {
      constructor(url, init) {
        for (const name of refused) if (name in init) throw new TypeError(`${name} is not implemented`);
        // React Native's polyfill adds a URL parameter instead of a cache mode.
        this.url = isPolyfill && "cache" in init ? `${url}?_=1` : url;
      }
    };
    return async (_, init) => {
      new globalThis.Request("", init);
      asked.push(Object.keys(init).sort().join());
      return new Response(LIVE);
    };
  };
  try {
    for (const refused of [[], ["cache"], ["signal"], ["cache", "signal"]]) {
      assert.equal(await lib.keyState("", ID, { fetch: platform(refused) }), "live");
    }
    await lib.keyState("", ID, { fetch: platform([], true) });
    globalThis.Request = undefined;
    const fetch = async (_, init) => {
      asked.push(Object.keys(init).sort().join());
      return new Response(LIVE);
    };
    await lib.keyState("", ID, { fetch });
    await lib.keyState("", ID, { fetch: Object.assign((...given) => fetch(...given), { polyfill: true }) });
  } finally {
    globalThis.Request = Request;
  }
  const expected = ["cache,method,redirect,signal", "method,redirect,signal", "cache,method,redirect", "method,redirect"];
  assert.deepEqual(asked, [...expected, expected[1], expected[0], expected[1]]);
});

test("a call ends even if fetch ignores its signal", async () => {
  const deaf = { fetch: () => new Promise(() => {}) };
  await assert.rejects(lib.keyState("", ID, { ...deaf, timeoutMs: 20 }), failed({ message: /within 20 ms/ }));
  const stop = new AbortController();
  const call = lib.keyState("", ID, { ...deaf, signal: stop.signal });
  stop.abort(new Error("enough"));
  await assert.rejects(call, /enough/);
  // A polyfill's signal has no reason, and `undefined` is not an error.
  const old = { aborted: true, addEventListener() {}, removeEventListener() {} };
  await assert.rejects(lib.keyState("", ID, { ...deaf, signal: old }), { name: "AbortError" });
  // The abandoned work reads no further.
  let wasAsked = 0;
  const body = {
    async *[Symbol.asyncIterator]() {
      for (;;) {
        wasAsked++;
        yield new Uint8Array(1);
        await new Promise((resolve) => setTimeout(resolve, 1));
        ended.abort();
      }
    },
  };
  const ended = new AbortController();
  await assert.rejects(askFetch({ ok: true, status: 200, headers, body }, { signal: ended.signal }), { name: "AbortError" });
  assert.equal(wasAsked, 2);
});

test("a time limit is a number, which may be infinite", async () => {
  assert.equal(await ask(live, { timeoutMs: Number.POSITIVE_INFINITY }), "live");
  for (const timeoutMs of [Number.NaN, "30", null]) await assert.rejects(ask(live, { timeoutMs }), TypeError);
});

test("the service's address is a string, a path or a URL", async () => {
  for (const at of [base, `${base}/`, new URL(base), new URL(`${base}/keys/`)]) {
    assert.equal(await ask(live, {}, at), "live");
    assert.deepEqual(seen, [`${at === base || !`${at}`.includes("keys") ? "" : "/keys"}/v1/keys/${ID}`]);
  }
  const paths = [];
  const fetch = async (url) => {
    paths.push(url);
    return new Response(LIVE);
  };
  for (const at of ["", "/", "/proxy", "/proxy//"]) await lib.keyState(at, ID, { fetch });
  assert.deepEqual(
    paths,
    ["", "", "/proxy", "/proxy"].map((path) => `${path}/v1/keys/${ID}`),
  );
  for (const at of [`${base}?tenant=1`, new URL(`${base}#top`), undefined, null, 1, {}, { href: 1 }]) {
    await assert.rejects(async () => lib.keyState(at, ID, { fetch }), TypeError);
  }
  assert.equal(paths.length, 4);
});

test("a proxy's refusal keeps its status and Retry-After", async () => {
  const refusal =
    (status, fields, body = "<h1>busy</h1>") =>
    (_, response) =>
      response.writeHead(status, fields).end(body);
  for (const [status, fields, retryAfterMs] of [
    [429, { "retry-after": "7" }, 7000],
    [503, { "retry-after": "0" }, 0],
    [502, {}, undefined],
    [504, { "retry-after": "-1" }, undefined],
    [503, { "retry-after": "1.5" }, undefined],
    [503, { "retry-after": "9999999" }, undefined],
    [503, { "retry-after": "soon" }, undefined],
    [503, { "retry-after": "Sun, 06 Nov 1994 08:49:37 GMT" }, 0],
  ]) {
    const error = await ask(refusal(status, fields)).then(assert.fail, (error) => error);
    assert.ok(error instanceof lib.ServiceError);
    assert.deepEqual([error.code, error.status, error.retryAfterMs], ["transport_failed", status, retryAfterMs]);
  }
  const clock = () => Date.parse("2026-11-28T12:00:00Z");
  const later = refusal(503, { "retry-after": "Sat, 28 Nov 2026 12:00:30 GMT" });
  await assert.rejects(ask(later, { clock }), failed({ status: 503, retryAfterMs: 30_000 }));
  // For a body of any length and content.
  for (const body of ["", " ".repeat(MAX_ANSWER + 1), '{"code":"A"}', "[]", Buffer.of(0xff)]) {
    await assert.rejects(ask(refusal(503, { "retry-after": "1" }, body)), failed({ status: 503, retryAfterMs: 1000 }));
  }
});

test("options are own properties only", async () => {
  const asked = [];
  const evil = { timeoutMs: -1, signal: AbortSignal.abort(), clock: () => 0, method: "DELETE", headers: { x: "y" }, body: "z" };
  // With own options, because Node's fetch and server read theirs from Object.prototype too.
  const fetch = async (_, init) => {
    asked.push(Object.keys(evil).map((name) => init[name]));
    return new Response("", { status: 503, headers: { "retry-after": new Date(Date.now() + 60_000).toUTCString() } });
  };
  let error;
  try {
    Object.assign(Object.prototype, evil);
    error = await lib.fetchStatement("", new Uint8Array(32), { fetch }).catch((error) => error);
  } finally {
    for (const name of Object.keys(evil)) delete Object.prototype[name];
  }
  assert.equal(error.code, "transport_failed");
  assert.equal(error.status, 503, `${error.cause}`);
  assert.ok(error.retryAfterMs <= 60_000, `${error.retryAfterMs}`);
  const [[, signal, ...others]] = asked;
  assert.equal(signal.aborted, false);
  assert.deepEqual(others, [undefined, undefined, undefined, undefined]);
  const { fetch: platform } = globalThis;
  try {
    globalThis.fetch = async () => new Response(LIVE);
    Object.prototype.fetch = fetch;
    assert.equal(await lib.keyState("", ID), "live");
  } finally {
    delete Object.prototype.fetch;
    globalThis.fetch = platform;
  }
  assert.equal(asked.length, 1);
});
