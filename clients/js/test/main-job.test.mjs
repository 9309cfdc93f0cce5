// The main job against running processes: fetch, verify, seal, open, read. With the Rust client at either
// end, and with a dishonest host.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, test } from "node:test";
import * as lib from "../dist/index.js";
import { startFixture } from "./support/fixture.mjs";
import { programs, until } from "./support/service.mjs";

const utf8 = new TextEncoder();
const text = new TextDecoder();
const AAD = utf8.encode("order 17");
const EXPECTED = { purpose: "card-pin", aad: AAD };
const { service, trust, recipient, wanted } = await startFixture();
after(() => service.stop());

const newKey = (more) => lib.fetchKey(service.url, trust, wanted(more));
const refused = (code) => ({ name: "Ok2cryError", code });

test("a PIN is delivered to its recipient once", async () => {
  const key = await newKey();
  assert.match(key.keyId, /^[A-Za-z0-9_-]{32}$/);
  assert.equal(key.release, 0);
  assert.equal(key.purpose, "card-pin");
  assert.equal(key.expiresAtMs - key.issuedAtMs, 60_000);
  assert.equal(key.document.chain.length, 5);
  assert.match(key.toPem(), /^-----BEGIN PUBLIC KEY-----\n/);
  assert.equal(await lib.keyState(service.url, key.keyId), "live");

  const message = await key.seal({ plaintext: lib.pad(utf8.encode("4931")), aad: AAD });
  assert.equal(message.ciphertext.length, 32);
  await assert.rejects(key.seal({ plaintext: utf8.encode("4931"), aad: AAD }), refused("key_sealed"));

  const answer = await lib.openMessage(service.url, message);
  const seen = new lib.ReplaySet();
  const { plaintext, descriptor } = await recipient.open(answer, EXPECTED, trust, seen);
  assert.equal(text.decode(lib.unpad(plaintext)), "4931");
  assert.equal(descriptor.keyId, key.keyId);
  assert.deepEqual(descriptor.hash, message.descriptorHash);

  // A retry gets the same reply, and a recipient with a replay guard acts once.
  const again = await lib.openMessage(service.url, message);
  assert.deepEqual(again.reply, answer.reply);
  await assert.rejects(recipient.open(again, EXPECTED, trust, seen), refused("reply_replayed"));
  // Another message comes too late.
  const other = new lib.SealedMessage({
    keyId: key.keyId,
    descriptorHash: message.descriptorHash,
    enc: message.enc,
    ciphertext: new Uint8Array(32),
    aad: AAD,
  });
  await assert.rejects(lib.openMessage(service.url, other), { ...refused("key_used"), status: 409 });
  assert.equal(await lib.keyState(service.url, key.keyId), "used");
});

test("a reply opens for its recipient, purpose and aad only", async () => {
  const message = await (await newKey()).seal({ plaintext: utf8.encode("4931"), aad: AAD });
  const answer = await lib.openMessage(service.url, message);
  const open = (key, expected) => key.open(answer, expected, trust, new lib.ReplaySet());
  const stranger = await lib.RecipientKey.generate();
  await assert.rejects(open(stranger, EXPECTED), refused("recipient_mismatch"));
  await assert.rejects(open(recipient, { ...EXPECTED, purpose: "card-cvv" }), refused("purpose_mismatch"));
  await assert.rejects(open(recipient, { ...EXPECTED, aad: utf8.encode("order 18") }), refused("aad_mismatch"));
  const other = new lib.Trust(lib.TrustAnchor.awsNitro(), lib.Policy.insecureWithoutPcrs());
  await assert.rejects(recipient.open(answer, EXPECTED, other, new lib.ReplaySet()), refused("root_not_trusted"));
  const cut = { ...answer, reply: answer.reply.slice(0, -1) };
  await assert.rejects(recipient.open(cut, EXPECTED, trust, new lib.ReplaySet()), refused("record_invalid"));
  // Refusals inserted nothing.
  assert.equal(text.decode((await open(recipient, EXPECTED)).plaintext), "4931");
});

test("a recipient's key is exported only if it is extractable", async () => {
  const again = await lib.RecipientKey.fromPem(await recipient.toPem());
  assert.deepEqual(again.publicKey, recipient.publicKey);
  const kept = await lib.RecipientKey.generate();
  await assert.rejects(kept.toPem(), refused("private_key_invalid"));
  assert.deepEqual((await lib.RecipientKey.fromKeyPair(kept.keyPair)).publicKey, kept.publicKey);
  const pem = execFileSync("openssl", ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  assert.equal((await lib.RecipientKey.fromPem(pem)).publicKey.length, 97);
  const wrong = execFileSync("openssl", ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  for (const bad of [wrong, "x", ""]) await assert.rejects(lib.RecipientKey.fromPem(bad), refused("private_key_invalid"));
  const signing = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-384" }, true, ["sign", "verify"]);
  await assert.rejects(lib.RecipientKey.fromKeyPair(signing), refused("private_key_invalid"));
});

test("this client and the Rust client open each other's messages", async () => {
  const path = (name) => join(service.folder, name);
  writeFileSync(path("issuer.pem"), await recipient.toPem(), { mode: 0o600 });
  const cli = (input, ...flags) =>
    execFileSync(join(programs, "ok2cry"), flags, {
      input,
      env: {
        ...process.env,
        OK2CRY_URL: service.url,
        OK2CRY_ROOT: path("root.pem"),
        OK2CRY_MEASUREMENTS: path("measurements.json"),
      },
      encoding: "utf8",
    });
  const message = await (await newKey()).seal({ plaintext: utf8.encode("4931"), aad: AAD });
  writeFileSync(path("ours.json"), JSON.stringify(message));
  const flags = ["--recipient-key", path("issuer.pem"), "--purpose", "card-pin", "--aad", "order 17"];
  assert.equal(cli("", "open", path("ours.json"), ...flags, "--seen", path("seen")), "4931");

  const sealed = cli(
    "1357",
    "seal",
    "--purpose",
    "card-pin",
    "--aad",
    "order 17",
    "--recipient",
    lib.toBase64Url(recipient.publicKey),
  );
  const theirs = lib.SealedMessage.parse(sealed);
  assert.deepEqual(JSON.parse(JSON.stringify(theirs)), JSON.parse(sealed));
  const answer = await lib.openMessage(service.url, theirs);
  assert.equal(text.decode((await recipient.open(answer, EXPECTED, trust, new lib.ReplaySet())).plaintext), "1357");
});

test("each key of an answer has its own nonce", async () => {
  const keys = await lib.fetchKeys(service.url, trust, wanted({ count: 5 }));
  assert.equal(new Set(keys.map((key) => key.keyId)).size, 5);
  assert.equal(new Set(keys.map((key) => lib.toHex(key.clientNonce))).size, 5);
});

test("a Trust applies its policy's maximum age", async () => {
  const policy = lib.Policy.of(lib.Measurements.fromNitroCliJson(service.measurements)).withMaxAgeMs(0);
  const strict = new lib.Trust(lib.TrustAnchor.fromPem(service.rootPem), policy);
  const later = { clock: () => Date.now() + 1000 };
  await lib.fetchKey(service.url, trust, wanted(), later);
  await assert.rejects(lib.fetchKey(service.url, strict, wanted(), later), refused("document_too_old"));
});

test("a statement answers its own nonce", async () => {
  const nonce = crypto.getRandomValues(new Uint8Array(32));
  const statement = await lib.fetchStatement(service.url, nonce);
  const batch = await trust.verifyStatement(nonce, statement);
  assert.match(batch.instance, /^[0-9a-f]{16}$/);
  assert.ok(batch.logHead.size >= 0);
  await assert.rejects(
    trust.verifyStatement(
      nonce.map((byte) => ~byte),
      statement,
    ),
    refused("nonce_mismatch"),
  );
});

test("a key can be destroyed, and expires", async () => {
  const key = await newKey();
  assert.equal(await lib.destroyKey(service.url, key.keyId), "destroyed");
  const short = await newKey({ ttlMs: 1000 });
  await until(async () => (await lib.keyState(service.url, short.keyId)) === "expired");
  const late = { nowMs: short.expiresAtMs };
  await assert.rejects(short.seal({ plaintext: utf8.encode("4931"), aad: AAD }, late), refused("key_expired"));
  assert.equal(await lib.keyState(service.url, "A".repeat(32)), "unknown");
});

test("a refused request or message uses no key up", async () => {
  const key = await newKey();
  await assert.rejects(key.seal({ plaintext: new Uint8Array(4097), aad: AAD }), refused("plaintext_too_long"));
  await assert.rejects(key.seal({ plaintext: new Uint8Array(1), aad: new Uint8Array(1025) }), refused("aad_too_long"));
  assert.equal((await key.seal({ plaintext: new Uint8Array(4096), aad: new Uint8Array(1024) })).ciphertext.length, 4112);
  for (const bad of [
    { purpose: "No" },
    { purpose: "" },
    { ttlMs: 0 },
    { ttlMs: 1.5 },
    { count: 0 },
    { count: 101 },
    { recipient: new Uint8Array(97).fill(4) },
  ]) {
    await assert.rejects(lib.KeyRequest.create(wanted(bad)), refused("record_invalid"), JSON.stringify(bad));
  }
  await assert.rejects(newKey({ purpose: "no-such-purpose" }), { ...refused("purpose_unknown"), status: 400 });
  await assert.rejects(lib.keyState(service.url, "../.."), refused("key_id_invalid"));
});

/** A fetch whose answer the host changes. */
function host(change) {
  return async (url, init) => {
    const response = await fetch(url, init);
    const body = await response.json();
    return new Response(JSON.stringify((await change(body)) ?? body), { status: response.status });
  };
}

test("a forged answer yields no key", async () => {
  const ask = (fetch, more) => lib.fetchKey(service.url, trust, wanted(), { fetch, ...more });
  const earlier = await (async () => {
    let kept;
    await ask(host((body) => void (kept = body)));
    return kept;
  })();
  const flip = (text) => {
    const bytes = lib.fromBase64Url(text);
    bytes[40] ^= 1;
    return lib.toBase64Url(bytes);
  };
  const lies = [
    ["nonce_mismatch", () => earlier],
    ["not_in_batch", (body) => void (body.keys[0].descriptor = earlier.keys[0].descriptor)],
    ["not_in_batch", (body) => void (body.keys[0].descriptor = flip(body.keys[0].descriptor))],
    ["not_in_batch", (body) => void body.keys[0].index++],
    ["not_in_batch", (body) => void (body.keys[0].path = [lib.toBase64Url(new Uint8Array(48))])],
    ["not_in_batch", (body) => void (body.keys[0].path = Array(13).fill(lib.toBase64Url(new Uint8Array(48))))],
    ["not_in_batch", (body) => void (body.document = earlier.document)],
    ["key_count_mismatch", (body) => void body.keys.push(body.keys[0])],
    ["key_count_mismatch", (body) => void body.keys.pop()],
    ["answer_invalid", (body) => void (body.more = 1)],
    ["answer_invalid", (body) => void delete body.document],
    ["answer_invalid", (body) => void (body.document += "=")],
    ["answer_invalid", (body) => void (body.keys[0].index = -1)],
    ["answer_invalid", (body) => void (body.keys[0].index = 0.5)],
    ["answer_invalid", (body) => void (body.keys = {})],
    ["answer_invalid", () => []],
  ];
  for (const [code, lie] of lies) await assert.rejects(ask(host(lie)), refused(code), `${lie}`);
  // The host delays the answer until the key has expired.
  await assert.rejects(ask(undefined, { clock: () => Date.now() + 60_001 }), refused("key_expired"));
  await assert.rejects(
    ask(async () => new Response("x".repeat((1 << 20) + 1))),
    refused("transport_failed"),
  );
  await assert.rejects(
    ask(async () => new Response("gone", { status: 500 })),
    { ...refused("transport_failed"), status: 500, retryAfterMs: undefined },
  );
  await assert.rejects(
    ask(async () => {
      throw new TypeError("no network");
    }),
    refused("transport_failed"),
  );
  // The host's text is shown without control characters.
  const odd = { type: "x", title: "x", status: 503, detail: "\u001b[2J\u202ebusy", code: "busy" };
  const busy = async () => new Response(JSON.stringify(odd), { status: 503, headers: { "retry-after": "7" } });
  await assert.rejects(ask(busy), { ...refused("busy"), status: 503, retryAfterMs: 7000, message: "\ufffd[2J\ufffdbusy" });
});

test("a call ends when it is aborted, and at its time limit", async () => {
  await assert.rejects(lib.fetchKey(service.url, trust, wanted(), { signal: AbortSignal.abort() }), { name: "AbortError" });
  // A host that sends a byte now and then, without end.
  const drip = createServer((_, response) => {
    const timer = setInterval(() => response.write(" "), 10);
    response.on("close", () => clearInterval(timer));
  });
  await new Promise((resolve) => drip.listen(0, "127.0.0.1", resolve));
  const base = `http://127.0.0.1:${drip.address().port}`;
  try {
    await assert.rejects(lib.fetchKey(base, trust, wanted(), { timeoutMs: 200 }), {
      ...refused("transport_failed"),
      message: /within 200 ms/,
    });
    const key = await lib.ReleaseKey.fromPem(publicPem());
    const releases = lib.fetchReleases(base, key, lib.TrustAnchor.awsNitro(), new lib.ReleaseState(), { timeoutMs: 200 });
    await assert.rejects(releases, refused("transport_failed"));
    const stop = new AbortController();
    const ended = lib.keyState(base, "A".repeat(32), { signal: stop.signal });
    stop.abort();
    await assert.rejects(ended, { name: "AbortError" });
  } finally {
    drip.closeAllConnections();
    drip.close();
  }
});

const publicPem = () => generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey.export({ type: "spki", format: "pem" });

test("inputs are copied at the call, and not changed", async () => {
  // A Buffer's slice is a view.
  const [pin, aad] = [Buffer.from("4931"), Buffer.from("order 17")];
  const open = async (message, expected = EXPECTED) => {
    const answer = await lib.openMessage(service.url, message);
    return text.decode((await recipient.open(answer, expected, trust, new lib.ReplaySet())).plaintext);
  };
  for (let time = 0; time < 3; time++) {
    const sealing = (await newKey()).seal({ plaintext: pin, aad });
    if (time === 2) for (const bytes of [pin, aad]) bytes.fill(0x30);
    const message = await sealing;
    assert.equal(pin.toString(), time === 2 ? "0000" : "4931");
    assert.equal(await open(message), "4931");
    assert.deepEqual(message.aad, AAD);
  }
  const point = Buffer.from(recipient.publicKey);
  const asking = lib.fetchKey(service.url, trust, wanted({ recipient: point }));
  point.fill(0);
  await asking;

  // Expectations and answers too: they are compared after several awaits.
  const message = await (await newKey()).seal({ plaintext: utf8.encode("4931"), aad: AAD });
  const answer = await lib.openMessage(service.url, message);
  const expected = { purpose: "card-pin", aad: Buffer.from("order 17") };
  const opening = recipient.open(answer, expected, trust, new lib.ReplaySet());
  expected.aad.fill(0);
  answer.reply.fill(0);
  answer.context.record.fill(0);
  assert.equal(text.decode((await opening).plaintext), "4931");
  let looked = 0;
  const other = await lib.openMessage(service.url, message);
  const twice = {
    ...other,
    context: {
      ...other.context,
      get record() {
        return ++looked > 1 ? new Uint8Array(1) : other.context.record;
      },
    },
  };
  await recipient.open(twice, EXPECTED, trust, new lib.ReplaySet());
  assert.equal(looked, 1);
});

test("a string in place of bytes is a TypeError", async () => {
  const key = await newKey();
  const typed = async (call) => assert.rejects(async () => call(), TypeError);
  await typed(() => key.seal({ plaintext: "4931", aad: AAD }));
  await typed(() => key.seal({ plaintext: utf8.encode("4931"), aad: "order 17" }));
  await typed(() => key.seal({ plaintext: utf8.encode("4931") }));
  await typed(() => key.seal(utf8.encode("4931"), AAD));
  await typed(() => lib.pad("4931"));
  await typed(() => lib.unpad("4931"));
  await typed(() => lib.KeyRequest.create(wanted({ recipient: lib.toBase64Url(recipient.publicKey) })));
  await typed(() => lib.fetchStatement(service.url, "nonce"));
  const message = await key.seal({ plaintext: utf8.encode("4931"), aad: AAD });
  const answer = await lib.openMessage(service.url, message);
  await typed(() => recipient.open(answer, { purpose: "card-pin", aad: "order 17" }, trust, new lib.ReplaySet()));
  await typed(() => recipient.open(answer, EXPECTED, trust));
  // A database returns an object, whether it inserted a row or not.
  for (const other of [{ rowCount: 0 }, { rowCount: 1 }, 1, 0, "true", null, undefined]) {
    await assert.rejects(recipient.open(answer, EXPECTED, trust, { insert: async () => other }), {
      name: "TypeError",
      message: /insert must return true or false/,
    });
  }
  await assert.rejects(recipient.open(answer, EXPECTED, trust, { insert: () => false }), refused("reply_replayed"));
  assert.throws(() => lib.pad(new Uint8Array(4), 5000), refused("padding_invalid"));
  assert.throws(() => lib.fromBase64Url("AAAA\n"), refused("base64url_invalid"));
});

test("a recipient is named by the point in its public key", async () => {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-384" });
  const own = await lib.RecipientKey.fromPem(privateKey.export({ type: "pkcs8", format: "pem" }));
  assert.deepEqual(await lib.publicKeyFromPem(publicKey.export({ type: "spki", format: "pem" })), own.publicKey);
  const wrong = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ type: "spki", format: "pem" });
  for (const bad of [wrong, privateKey.export({ type: "pkcs8", format: "pem" }), ""]) {
    await assert.rejects(lib.publicKeyFromPem(bad), refused("recipient_key_invalid"));
  }
  const mixed = { privateKey: own.keyPair.privateKey, publicKey: recipient.keyPair.publicKey };
  await assert.rejects(lib.RecipientKey.fromKeyPair(mixed), refused("private_key_invalid"));
});

test("an answer is accepted for one request, once", async () => {
  const request = await lib.KeyRequest.create(wanted());
  const response = await fetch(`${service.url}/v1/keys`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(request),
  });
  const answer = await response.text();
  const [first, second] = await Promise.allSettled([request.verify(answer, trust), request.verify(answer, trust)]);
  assert.deepEqual([first.status, second.status].sort(), ["fulfilled", "rejected"]);
  const other = await lib.KeyRequest.create(wanted());
  await assert.rejects(other.verify(answer, trust), refused("nonce_mismatch"));
  // verifyOne needs a request for one key.
  const several = await lib.KeyRequest.create(wanted({ count: 2 }));
  await assert.rejects(several.verifyOne(answer, trust), refused("key_count_mismatch"));
  const twice = answer.replace("{", '{"document":"AA",');
  await assert.rejects(other.verify(twice, trust), refused("answer_invalid"));
});

test("verified keys cannot be made, copied or inspected", async () => {
  const key = await newKey();
  assert.throws(() => new lib.VerifiedKey(Symbol(), {}, {}), TypeError);
  const forged = Object.create(lib.VerifiedKey.prototype);
  await assert.rejects(async () => forged.seal({ plaintext: utf8.encode("4931"), aad: AAD }), TypeError);
  const copied = { ...key };
  assert.equal(copied.seal, undefined);
  assert.equal(JSON.stringify(recipient), "{}");
  key.descriptor.fill(0);
  key.clientNonce.fill(0);
  assert.equal((await key.seal({ plaintext: utf8.encode("4931"), aad: AAD })).keyId, key.keyId);
});
