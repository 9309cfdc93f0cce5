// Inputs of callers: own properties only, whole messages, strict answers.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import * as lib from "../dist/index.js";
import { base64, documentOf } from "./conformance/attestation.mjs";
import { anchorOf, keyOf } from "./conformance/releases.mjs";
import { vectors } from "./support/files.mjs";
import { startFixture } from "./support/fixture.mjs";

const utf8 = new TextEncoder();
const AAD = utf8.encode("order 17");
const EXPECTED = { purpose: "card-pin", aad: AAD };
const refused = (code) => ({ name: "Ok2cryError", code });
const { service, trust, recipient, wanted } = await startFixture();
after(() => service.stop());

/** Runs some work while every object seems to have these properties. */
async function polluted(properties, work) {
  for (const [name, value] of Object.entries(properties)) {
    Object.defineProperty(Object.prototype, name, { value, configurable: true, writable: true });
  }
  try {
    return await work();
  } finally {
    for (const name of Object.keys(properties)) delete Object.prototype[name];
  }
}

test("Object.prototype supplies no option", async () => {
  const file = vectors("attestation/debug.json");
  const debug = file.cases.find(({ expected, allow_debug: isAllowed }) => expected.verdict === "accepted" && isAllowed);
  const anchor = lib.TrustAnchor.fromDer(base64(debug.root ?? file.root));
  const document = documentOf(debug);
  const at = { nowMs: debug.now_ms };
  for (const options of [undefined, {}, { signatureCache: 0 }]) {
    await polluted({ insecureAllowDebug: true }, () =>
      assert.rejects(new lib.Verifier(anchor, options).verify(document, at), refused("debug_mode")),
    );
  }
  await new lib.Verifier(anchor, { insecureAllowDebug: true }).verify(document, at);

  const valid = vectors("attestation/valid.json");
  const [first] = valid.cases;
  const genuine = new lib.Verifier(lib.TrustAnchor.fromDer(base64(valid.root)));
  const day = 24 * 3_600_000;
  await polluted({ leewayMs: Number.POSITIVE_INFINITY }, () =>
    assert.rejects(genuine.verify(documentOf(first), { nowMs: first.now_ms - day }), refused("not_yet_valid")),
  );
  await polluted({ nowMs: first.now_ms }, () =>
    assert.rejects(genuine.verify(documentOf(first), {}), { code: /^(not_yet_valid|expired)$/ }),
  );
  const verified = await genuine.verify(documentOf(first), { nowMs: first.now_ms });
  await polluted({ releases: [], releasedUntilMs: 0, maxAgeMs: -1, nonce: AAD, userData: AAD }, async () => {
    assert.equal(lib.Policy.insecureWithoutPcrs().appraise(verified, { nowMs: first.now_ms }).release, undefined);
  });
});

test("Object.prototype supplies no request or expectation", async () => {
  const pcrs = JSON.parse(service.measurements).Measurements;
  await polluted({ Measurements: pcrs, PCR0: pcrs.PCR0 }, () => {
    for (const text of ["{}", '{"HashAlgorithm":"Sha384"}']) {
      assert.throws(() => lib.Measurements.fromNitroCliJson(text), refused("measurements_empty"), text);
    }
  });
  const { ttlMs: _, ...withoutTtl } = wanted();
  await polluted({ ttlMs: 60_000 }, () => assert.rejects(lib.KeyRequest.create(withoutTtl), refused("record_invalid")));
  await polluted({ count: 7 }, async () => {
    assert.equal((await lib.KeyRequest.create(wanted())).toJSON().count, 1);
  });
  const message = await (await lib.fetchKey(service.url, trust, wanted())).seal({ plaintext: utf8.encode("4931"), aad: AAD });
  const reply = await lib.openMessage(service.url, message);
  const open = (answer, expected, seen = new lib.ReplaySet()) => recipient.open(answer, expected, trust, seen);
  await polluted({ purpose: "card-pin" }, () => assert.rejects(open(reply, { aad: AAD }), refused("purpose_mismatch")));
  await polluted({ aad: AAD }, () => assert.rejects(open(reply, { purpose: "card-pin" }), TypeError));
  await polluted({ reply: reply.reply }, () => assert.rejects(open({ context: reply.context }, EXPECTED), TypeError));
  await polluted({ path: [] }, () => {
    const { path: _, ...context } = reply.context;
    return assert.rejects(open({ ...reply, context }, EXPECTED), TypeError);
  });
  await polluted({ extractable: true }, async () => {
    await assert.rejects((await lib.RecipientKey.generate()).toPem(), refused("private_key_invalid"));
  });
  await polluted({ maxReplyAgeMs: Number.POSITIVE_INFINITY }, () => {
    const short = new lib.Trust(lib.TrustAnchor.fromPem(service.rootPem), lib.Policy.insecureWithoutPcrs());
    const late = { nowMs: Date.now() + 900_000 };
    return assert.rejects(recipient.open(reply, EXPECTED, short, new lib.ReplaySet(), late), refused("document_too_old"));
  });
  // A tag of 32 bits could be forged.
  await polluted({ tagLength: 32 }, async () => {
    const cut = { ...reply, reply: reply.reply.slice() };
    cut.reply[cut.reply.length - 1] ^= 1;
    await assert.rejects(open(cut, EXPECTED), refused("reply_open_failed"));
    await open(reply, EXPECTED);
  });
});

test("Object.prototype supplies no part of a call or an answer", async () => {
  const platform = globalThis.fetch;
  // Node's own fetch reads Object.prototype too.
  globalThis.fetch = async () => new Response('{"state":"live"}');
  try {
    const fetch = async () => assert.fail("another fetch was asked");
    const state = await polluted({ fetch, timeoutMs: Number.NaN, signal: AbortSignal.abort() }, () =>
      lib.keyState(service.url, "A".repeat(32), {}),
    );
    assert.equal(state, "live");
  } finally {
    globalThis.fetch = platform;
  }
  await polluted({ clock: () => 0 }, () => lib.fetchKey(service.url, trust, wanted(), {}));
  const answers = [
    ["answer_invalid", "{}", { state: "live" }],
    ["answer_invalid", "{}", { sealed: { reply: "", context: {} } }],
  ];
  for (const [code, body, properties] of answers) {
    const fetch = async () => new Response(body);
    await polluted(properties, async () => {
      await assert.rejects(lib.keyState(service.url, "A".repeat(32), { fetch }), refused(code));
      assert.throws(() => lib.parseSealedReply(body), refused(code));
      assert.throws(() => lib.parseAttested(body), refused(code));
      assert.throws(() => lib.SealedMessage.parse(body), refused(code));
    });
  }
  await polluted({ code: "busy", detail: "x" }, () =>
    assert.rejects(lib.keyState(service.url, "A".repeat(32), { fetch: async () => new Response("{}", { status: 503 }) }), {
      ...refused("transport_failed"),
      status: 503,
    }),
  );
});

test("Object.prototype supplies no field of release documents", async () => {
  const file = vectors("v1/releases.json");
  const testCase = file.cases.find(({ name }) => name === "two releases overlap");
  const key = await keyOf(lib, testCase);
  const anchor = await anchorOf(file, lib, testCase);
  const check = () => key.check(lib.Bundle.decode(testCase.bundle), anchor, new lib.ReleaseState(), { nowMs: testCase.now_ms });
  const before = await check();
  const properties = {
    development: "checks are dropped",
    keyid: "0",
    latest_ms: 9e15,
    checkpoint: "x",
    root_sha384: "0",
    build: 1,
  };
  await polluted(properties, async () => {
    const accepted = await check();
    assert.equal(accepted.endsMs, before.endsMs);
    assert.equal(accepted.releases.length, before.releases.length);
    assert.equal(lib.ReleaseState.decode('{"root_version":0,"list_version":0}').checkpoint, undefined);
  });
  const { list_version: _, ...rest } = { root_version: 1, list_version: 1 };
  await polluted({ list_version: 1, memories: {} }, () =>
    assert.throws(() => lib.ReleaseState.decode(JSON.stringify(rest)), refused("release_json_invalid")),
  );
});

test("a message serializes whole inside other JSON", async () => {
  const message = await (await lib.fetchKey(service.url, trust, wanted())).seal({ plaintext: utf8.encode("4931"), aad: AAD });
  const json = JSON.parse(JSON.stringify(message));
  assert.deepEqual(Object.keys(json), ["key_id", "descriptor_hash", "enc", "ciphertext", "aad", "descriptor"]);
  for (const value of Object.values(json)) assert.equal(typeof value, "string");
  const { order, ...rest } = JSON.parse(JSON.stringify({ order: 17, ...message }));
  assert.equal(order, 17);
  assert.deepEqual(rest, json);
  assert.deepEqual(JSON.parse(JSON.stringify(Object.assign({}, message))), json);
  assert.deepEqual(JSON.parse(JSON.stringify({ message: { ...message } })), { message: json });
  // A message with another field is not a message.
  for (const more of [{ order: 17, ...message }, JSON.stringify({ order: 17, ...message })]) {
    await assert.rejects(lib.openMessage(service.url, more), refused("answer_invalid"));
  }

  // Each form of a message opens: itself, its JSON, that parsed, a copy by spreading or by structuredClone.
  const forms = [
    message,
    JSON.stringify(message),
    utf8.encode(JSON.stringify(message)),
    json,
    { ...message },
    structuredClone(message),
  ];
  for (const form of forms) {
    const reply = await lib.openMessage(service.url, form);
    const { plaintext } = await recipient.open(reply, EXPECTED, trust, new lib.ReplaySet());
    assert.deepEqual(plaintext, utf8.encode("4931"));
    assert.deepEqual(JSON.parse(JSON.stringify(lib.SealedMessage.parse(form))), json);
  }
  // Also a message without a descriptor, as older clients made.
  const { descriptor: __, ...older } = json;
  assert.deepEqual(JSON.parse(JSON.stringify(lib.SealedMessage.parse(older))), older);
  await lib.openMessage(service.url, older);
});

test("a message with a malformed field is refused", async () => {
  const make = async () =>
    JSON.parse(JSON.stringify(await (await lib.fetchKey(service.url, trust, wanted())).seal({ plaintext: AAD, aad: AAD })));
  const [message, other] = [await make(), await make()];
  const shorter = (field) => lib.toBase64Url(lib.fromBase64Url(message[field]).slice(1));
  for (const [change, rule] of [
    [{ key_id: message.key_id.slice(1) }, /key_id must/],
    [{ key_id: `${message.key_id.slice(1)}+` }, /key_id must/],
    [{ descriptor_hash: shorter("descriptor_hash") }, /descriptor_hash must/],
    [{ enc: shorter("enc") }, /enc must/],
    [{ descriptor: other.descriptor }, /descriptor is another key's/],
  ]) {
    const read = () => lib.SealedMessage.parse({ ...message, ...change });
    assert.throws(read, { ...refused("answer_invalid"), message: rule });
  }
  for (const nothing of [undefined, null, 1]) assert.throws(() => lib.parseSealedReply(nothing), refused("answer_invalid"));
});

test("a request is for 1 to 100 keys", async () => {
  for (const count of [1, 100]) await lib.KeyRequest.create(wanted({ count }));
  for (const count of [0, 101])
    await assert.rejects(async () => lib.KeyRequest.create(wanted({ count })), refused("record_invalid"));
});

test("a message names the recipient that its key delivers to", async () => {
  const message = await (await lib.fetchKey(service.url, trust, wanted())).seal({ plaintext: utf8.encode("4931"), aad: AAD });
  assert.deepEqual(await message.recipient(), recipient.publicKey);
  const json = JSON.parse(JSON.stringify(message));
  const other = JSON.parse(
    JSON.stringify(await (await lib.fetchKey(service.url, trust, wanted())).seal({ plaintext: utf8.encode("1"), aad: AAD })),
  );
  const never = async () => assert.fail("it was sent");
  const bad = [
    { ...json, descriptor: other.descriptor },
    { ...json, descriptor: other.descriptor, key_id: other.key_id },
    { ...json, descriptor: "AA" },
    { ...json, descriptor: null },
    { ...json, key_id: json.key_id.slice(1) },
    { ...json, descriptor_hash: json.descriptor_hash.slice(4) },
    { ...json, enc: json.enc.slice(4) },
    { ...json, enc: lib.toBase64Url(new Uint8Array(97).fill(4)) },
    { ...json, aad: 1 },
  ];
  for (const form of bad) await assert.rejects(lib.openMessage(service.url, form, { fetch: never }), refused("answer_invalid"));
  // A key that delivers to the caller: nothing is sent.
  const { encoding, hash } = vectors("v1/key-descriptor.json").valid.find(({ fields }) => fields.release_to === "caller");
  const caller = {
    ...json,
    descriptor_hash: lib.toBase64Url(lib.fromHex(hash)),
    descriptor: lib.toBase64Url(lib.fromHex(encoding)),
  };
  caller.key_id = (await lib.readDescriptor(lib.fromHex(encoding))).keyId;
  await assert.rejects(lib.openMessage(service.url, caller, { fetch: never }), refused("release_mode_mismatch"));
});

test("a proxy's refusal keeps its status and Retry-After", async () => {
  const by = (status, headers, body = "<html>busy</html>") => ({
    fetch: async () => new Response(body, { status, headers }),
    clock: () => Date.UTC(2026, 0, 15, 12),
  });
  const cases = [
    [by(503, { "retry-after": "7" }), 503, 7000],
    [by(429, { "retry-after": "Thu, 15 Jan 2026 12:00:09 GMT" }), 429, 9000],
    [by(429, { "retry-after": "Thu, 15 Jan 2026 11:00:00 GMT" }), 429, 0],
    [by(502, { "retry-after": "soon" }), 502, undefined],
    [by(504, {}, ""), 504, undefined],
  ];
  for (const [options, status, retryAfterMs] of cases) {
    await assert.rejects(lib.keyState(service.url, "A".repeat(32), options), (error) => {
      assert.ok(error instanceof lib.ServiceError);
      assert.deepEqual([error.code, error.status, error.retryAfterMs], ["transport_failed", status, retryAfterMs]);
      return true;
    });
  }
});

test("answers are read strictly", async () => {
  const message = await (await lib.fetchKey(service.url, trust, wanted())).seal({ plaintext: utf8.encode("4931"), aad: AAD });
  const path = `${service.url}/v1/keys/${message.keyId}/open`;
  const headers = { "content-type": "application/json" };
  const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(message.toOpenRequest()) });
  const { sealed } = await response.json();
  const read = (body) => lib.parseSealedReply(JSON.stringify(body));
  const good = read({ sealed });
  // The older form, and that of `ok2cry open`.
  assert.deepEqual(read(sealed), good);
  const { context } = sealed;
  const bad = [
    {},
    [],
    null,
    "x",
    { sealed: JSON.stringify(sealed) },
    { sealed: [sealed.reply, context] },
    { sealed: { ...sealed, context: JSON.stringify(context) } },
    { sealed: { ...sealed, context: [context.record, context.index, context.path, context.document] } },
    { sealed: { ...sealed, more: 1 } },
    { sealed, plaintext: "AA" },
    { sealed: null },
    { reply: sealed.reply },
    ...[2 ** 53, -1, 0.5, "0", null, [0]].map((index) => ({ sealed: { ...sealed, context: { ...context, index } } })),
    ...["", {}, null, ["="], [1], [null], { length: 0 }].map((path) => ({
      sealed: { ...sealed, context: { ...context, path } },
    })),
  ];
  for (const body of bad) assert.throws(() => read(body), refused("answer_invalid"), JSON.stringify(body));
  for (const plaintext of ["AA", "=", 1, null]) assert.throws(() => read({ plaintext }), refused("release_mode_mismatch"));
  // Not JSON that another reader parsed.
  for (const body of [{ sealed }, undefined, null, 1]) assert.throws(() => lib.parseSealedReply(body), refused("answer_invalid"));
  const texts = [
    `\ufeff${JSON.stringify({ sealed })}`,
    `${JSON.stringify({ sealed })} x`,
    `{"sealed":{},${JSON.stringify({ sealed }).slice(1)}`,
    `${JSON.stringify({ sealed })}${" ".repeat(1 << 20)}`,
  ];
  for (const text of texts) assert.throws(() => lib.parseSealedReply(text), refused("answer_invalid"));
  // The maximum is in bytes, not in characters.
  const body = JSON.stringify({ sealed });
  lib.parseSealedReply(body + " ".repeat((1 << 20) - body.length));
  assert.throws(() => lib.parseSealedReply(`"${"\u00e9".repeat(1 << 19)}"`), refused("answer_invalid"));
});
