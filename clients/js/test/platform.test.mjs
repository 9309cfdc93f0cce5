// Mistakes, gaps and failures of the platform: each is refused with a code, and uses nothing up.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { runInNewContext } from "node:vm";
import * as lib from "../dist/index.js";
import * as modules from "./conformance/modules.mjs";
import { vectors } from "./support/files.mjs";
import { startFixture } from "./support/fixture.mjs";

const AAD = new TextEncoder().encode("order 17");
const PIN = new TextEncoder().encode("4931");
const EXPECTED = { purpose: "card-pin", aad: AAD };
const real = globalThis.crypto;
const { service, trust, recipient, wanted } = await startFixture();
after(() => service.stop());

const failed = { name: "Ok2cryError", code: "crypto_failed" };

/** Runs some work with another `crypto`, or without one. */
async function withCrypto(crypto, work) {
  const place = Object.getOwnPropertyDescriptor(globalThis, "crypto");
  Object.defineProperty(globalThis, "crypto", { value: crypto, configurable: true, writable: true });
  try {
    return await work();
  } finally {
    Object.defineProperty(globalThis, "crypto", place);
  }
}

/** The platform's `crypto` with other methods of `subtle`. */
function cryptoWith(methods) {
  const subtle = new Proxy(real.subtle, {
    get: (target, name) => methods[name] ?? ((...given) => target[name](...given)),
  });
  return { subtle, getRandomValues: (bytes) => real.getRandomValues(bytes) };
}

const PRIME = 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n;
const B = 0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aefn;

function power(base, exponent) {
  let [result, factor] = [1n, base % PRIME];
  for (let left = exponent; left > 0n; left >>= 1n) {
    if (left & 1n) result = (result * factor) % PRIME;
    factor = (factor * factor) % PRIME;
  }
  return result;
}

const encoded = (x, y) =>
  new Uint8Array(Buffer.from(`04${x.toString(16).padStart(96, "0")}${y.toString(16).padStart(96, "0")}`, "hex"));

/** A point with a small x, so that coordinate plus prime fits into 48 bytes. */
function smallPoint() {
  for (let x = 0n; ; x++) {
    const square = ((((x * x - 3n) * x + B) % PRIME) + PRIME) % PRIME;
    const y = power(square, (PRIME + 1n) / 4n);
    if ((y * y) % PRIME === square) return [x, y];
  }
}

const [X, Y] = smallPoint();
const NO_POINTS = [
  ["y plus 1", encoded(X, Y + 1n)],
  ["x above the prime", encoded(X + PRIME, Y)],
  ["y is the prime", encoded(0n, PRIME)],
  ["the origin, as some write the identity", new Uint8Array(97).fill(4, 0, 1)],
  ["the identity", Uint8Array.of(0)],
  ["compressed", Uint8Array.of(2 + Number(Y & 1n), ...encoded(X, Y).subarray(1, 49))],
  ["hybrid", Uint8Array.of(6 + Number(Y & 1n), ...encoded(X, Y).subarray(1))],
];

const pem = (der) => `-----BEGIN PUBLIC KEY-----\n${Buffer.from(der).toString("base64")}\n-----END PUBLIC KEY-----\n`;
const spki = (point) => pem(Buffer.concat([Buffer.from("3076301006072a8648ce3d020106052b81040022036200", "hex"), point]));
const jwk = (point) =>
  JSON.stringify({ kty: "EC", crv: "P-384", x: lib.toBase64Url(point.subarray(1, 49)), y: lib.toBase64Url(point.subarray(49)) });

test("points off the curve are refused on every platform", async () => {
  // As WebKitGTK and Deno do with some points: import any as some key.
  const some = recipient.publicKey;
  const importKey = (format, data, ...more) => real.subtle.importKey(format, format === "raw" ? some : data, ...more);
  const { encoding } = vectors("v1/key-descriptor.json").valid[0];
  const descriptor = Buffer.from(encoding, "hex");
  const pointAt = descriptor.indexOf(Buffer.from([0x58, 97, 4])) + 2;
  await withCrypto(cryptoWith({ importKey }), async () => {
    for (const [name, point] of NO_POINTS) {
      const refused = (code) => ({ name: "Ok2cryError", code });
      await assert.rejects(lib.KeyRequest.create(wanted({ recipient: point })), refused("record_invalid"), name);
      await assert.rejects(lib.publicKeyFromPem(spki(point)), refused("recipient_key_invalid"), name);
      if (point[0] === 4) await assert.rejects(lib.publicKeyFromText(jwk(point)), refused("recipient_key_invalid"), name);
      await assert.rejects(lib.publicKeyFromText(lib.toBase64Url(point)), refused("recipient_key_invalid"), name);
      await assert.rejects(lib.ReleaseKey.fromPem(spki(point)), refused("release_field_invalid"), name);
      if (point.length !== 97) continue;
      const changed = new Uint8Array(descriptor);
      changed.set(point, pointAt);
      await assert.rejects(lib.readDescriptor(changed), refused("record_invalid"), name);
    }
    for (const good of [encoded(X, Y), some]) {
      await lib.publicKeyFromPem(spki(good));
      await lib.publicKeyFromText(jwk(good));
      await lib.ReleaseKey.fromPem(spki(good));
    }
  });
});

test("a certificate's point off the curve verifies nothing", async () => {
  const file = vectors("attestation/valid.json");
  const testCase = file.cases[0];
  const document = Buffer.from(testCase.document, "base64");
  const at = document.lastIndexOf(Buffer.from([0x03, 0x62, 0x00, 0x04])) + 50;
  document[at] ^= 1;
  const verifier = new lib.Verifier(lib.TrustAnchor.fromDer(Buffer.from(file.root, "base64")));
  const importKey = (format, _, ...more) => real.subtle.importKey(format, recipient.publicKey, ...more);
  // Accepts every signature, so that only the point is left to refuse.
  await withCrypto(cryptoWith({ importKey, verify: async () => true }), () =>
    assert.rejects(verifier.verify(document, { nowMs: testCase.now_ms }), { code: /^(certificate|document)_signature_invalid$/ }),
  );
});

test("signatures with r or s out of range are refused", async () => {
  const { verifyP384 } = await import("../dist/webcrypto.js");
  const order = "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973";
  const one = "1".padStart(96, "0");
  await withCrypto(cryptoWith({ verify: async () => true }), async () => {
    const verdict = (r, s) => verifyP384(undefined, new Uint8Array(1), Buffer.from(r + s, "hex"));
    assert.ok(await verdict(one, one));
    assert.ok(await verdict(order.replace(/3$/, "2"), one));
    for (const bad of ["0".repeat(96), order, "f".repeat(96)]) {
      assert.ok(!(await verdict(bad, one)), bad);
      assert.ok(!(await verdict(one, bad)), bad);
    }
  });
});

test("points of small order verify nothing on every platform", async () => {
  const { verifyEd25519 } = await import("../dist/webcrypto.js");
  await withCrypto(cryptoWith({ verify: async () => true }), async () => {
    const base = Buffer.from(`58${"66".repeat(31)}`, "hex");
    const small = ["00".repeat(32), `01${"00".repeat(31)}`, `ec${"ff".repeat(30)}7f`].map((hex) => Buffer.from(hex, "hex"));
    const verdict = (key, r) => verifyEd25519(key, new Uint8Array(1), Buffer.concat([r, Buffer.alloc(32, 1)]));
    assert.ok(await verdict(base, base));
    for (const point of small) {
      assert.ok(!(await verdict(point, base)));
      assert.ok(!(await verdict(base, point)));
    }
  });
});

/** All calls to the platform, by the methods of `subtle` that they use. */
async function calls() {
  const key = await lib.fetchKey(service.url, trust, wanted());
  const message = await key.seal({ plaintext: PIN, aad: AAD });
  const reply = await lib.openMessage(service.url, message);
  const request = await lib.KeyRequest.create(wanted());
  const body = JSON.stringify(request);
  const headers = { "content-type": "application/json" };
  const answer = await (await fetch(`${service.url}/v1/keys`, { method: "POST", headers, body })).text();
  const releases = vectors("v1/releases.json").cases[0];
  const releaseKey = await lib.ReleaseKey.fromPems(
    releases.pinned.threshold,
    releases.pinned.keys.map((der) => pem(Buffer.from(der, "base64"))),
  );
  const privatePem = await recipient.toPem();
  return [
    ["verify an answer", ["digest", "importKey", "verify"], () => request.verify(answer, freshTrust())],
    ["read a descriptor", ["digest"], () => lib.readDescriptor(key.descriptor)],
    ["generate", ["generateKey", "exportKey", "deriveBits"], () => lib.RecipientKey.generate()],
    ["write PEM", ["exportKey"], () => recipient.toPem()],
    ["read PEM", ["importKey", "deriveBits"], () => lib.RecipientKey.fromPem(privatePem)],
    ["take a pair", ["exportKey", "generateKey"], () => lib.RecipientKey.fromKeyPair(recipient.keyPair)],
    [
      "open",
      ["digest", "importKey", "verify", "decrypt"],
      () => recipient.open(reply, EXPECTED, freshTrust(), new lib.ReplaySet()),
    ],
    ["a release key", ["importKey", "digest"], () => lib.ReleaseKey.fromPem(pem(Buffer.from(releases.pinned.keys[0], "base64")))],
    [
      "check releases",
      ["digest", "importKey", "verify"],
      () =>
        releaseKey.check(lib.Bundle.decode(releases.bundle), lib.TrustAnchor.awsNitro(), new lib.ReleaseState(), {
          nowMs: releases.now_ms,
        }),
    ],
    ["fingerprint", ["digest"], () => lib.TrustAnchor.awsNitro().fingerprint()],
  ];
}

/** A trust with an empty signature cache. */
const freshTrust = () =>
  new lib.Trust(lib.TrustAnchor.fromPem(service.rootPem), lib.Policy.of(lib.Measurements.fromNitroCliJson(service.measurements)));

test("a platform's failure is crypto_failed with its cause", async () => {
  for (const [name, methods, call] of await calls()) {
    for (const method of methods) {
      for (const cause of [new DOMException("broken", "NotSupportedError"), new TypeError("no such method"), new Error("HSM")]) {
        const broken = cryptoWith({ [method]: async () => Promise.reject(cause) });
        await withCrypto(broken, async () => {
          const error = await Promise.resolve()
            .then(call)
            .then(
              () => assert.fail(`${name}: ${method} was not asked`),
              (error) => error,
            );
          assert.equal(error.code, "crypto_failed", `${name}, ${method}: ${error.stack}`);
          assert.equal(error.cause, cause, `${name}, ${method}`);
          assert.match(error.message, /checkEnvironment/);
        });
      }
    }
    for (const none of [undefined, {}, { subtle: undefined, getRandomValues: (bytes) => real.getRandomValues(bytes) }]) {
      await withCrypto(none, () => assert.rejects(async () => call(), { ...failed, message: /https/ }, name));
    }
  }
  await withCrypto({ subtle: real.subtle }, () => assert.rejects(lib.KeyRequest.create(wanted()), failed));
});

test("a missing crypto.subtle is not reported as a bad recipient", async () => {
  await withCrypto({ getRandomValues: (bytes) => real.getRandomValues(bytes) }, async () => {
    // What needs no platform runs without one.
    await lib.KeyRequest.create(wanted());
    await lib.publicKeyFromPem(spki(recipient.publicKey));
    await assert.rejects(lib.fetchKey(service.url, trust, wanted()), { ...failed, message: /https.*localhost/ });
  });
});

test("a platform's failure uses no key up", async () => {
  const key = await lib.fetchKey(service.url, trust, wanted());
  for (const method of ["importKey", "generateKey", "deriveBits", "exportKey", "sign", "encrypt"]) {
    const broken = cryptoWith({ [method]: async () => Promise.reject(new DOMException("broken", "OperationError")) });
    await withCrypto(broken, () => assert.rejects(key.seal({ plaintext: PIN, aad: AAD }), failed, method));
  }
  // Two at once: one is refused, whether the other fails or not.
  const broken = cryptoWith({ encrypt: async () => Promise.reject(new Error("broken")) });
  const both = await withCrypto(broken, () =>
    Promise.allSettled([key.seal({ plaintext: PIN, aad: AAD }), key.seal({ plaintext: PIN, aad: AAD })]),
  );
  assert.deepEqual(
    both.map(({ reason }) => reason.code),
    ["crypto_failed", "key_sealed"],
  );
  const message = await key.seal({ plaintext: PIN, aad: AAD });
  await assert.rejects(key.seal({ plaintext: PIN, aad: AAD }), { code: "key_sealed" });
  const { plaintext } = await recipient.open(await lib.openMessage(service.url, message), EXPECTED, trust, new lib.ReplaySet());
  assert.deepEqual(plaintext, PIN);
});

test("a reply that does not open is not a platform's failure", async () => {
  const message = await (await lib.fetchKey(service.url, trust, wanted())).seal({ plaintext: PIN, aad: AAD });
  const reply = await lib.openMessage(service.url, message);
  reply.reply[reply.reply.length - 1] ^= 1;
  await assert.rejects(recipient.open(reply, EXPECTED, trust, new lib.ReplaySet()), { code: "reply_open_failed" });
});

test("checkEnvironment names what is missing", async () => {
  await lib.checkEnvironment();
  const without = (method, isMissing) =>
    cryptoWith({
      [method]: async (...given) =>
        given.some((part) => isMissing(typeof part === "string" ? { name: part } : part))
          ? Promise.reject(new DOMException("Unrecognized name.", "NotSupportedError"))
          : real.subtle[method](...given),
    });
  const cases = [
    [/^Ed25519 missing/, without("generateKey", ({ name }) => name === "Ed25519")],
    [/^ECDSA P-384 missing/, without("generateKey", ({ name }) => name === "ECDSA")],
    [/^ECDH P-384 missing/, without("deriveBits", ({ name }) => name === "ECDH")],
    [/^AES-256-GCM missing/, without("encrypt", ({ name }) => name === "AES-GCM")],
    [/^HKDF-SHA384 \(by HMAC\) missing/, without("importKey", (part) => part?.name === "HMAC")],
    [/^ECDSA P-384, Ed25519 missing/, cryptoWith({ verify: async () => false })],
    [/^SHA-256 and SHA-384/, without("digest", ({ name }) => name === "SHA-384")],
    [/^crypto.getRandomValues missing/, { ...cryptoWith({}), getRandomValues: (bytes) => bytes }],
  ];
  for (const [message, crypto] of cases) {
    await withCrypto(crypto, () => assert.rejects(lib.checkEnvironment(), { ...failed, message }, `${message}`));
  }
  for (const none of [undefined, {}]) {
    await withCrypto(none, () => assert.rejects(lib.checkEnvironment(), { ...failed, message: /https.*localhost/ }));
  }
});

test("without TextEncoder the package loads, and names it", async () => {
  const kept = [globalThis.TextEncoder, globalThis.TextDecoder];
  try {
    [globalThis.TextEncoder, globalThis.TextDecoder] = [undefined, undefined];
    const bare = await import("../dist/bytes.js?without");
    assert.throws(() => bare.utf8("a"), { ...failed, message: /TextEncoder/ });
    assert.throws(() => bare.fromUtf8(new Uint8Array(1)), { ...failed, message: /TextDecoder/ });
  } finally {
    [globalThis.TextEncoder, globalThis.TextDecoder] = kept;
  }
});

test("bytes of another realm are accepted", async () => {
  const other = (bytes) => runInNewContext("Uint8Array.from(bytes)", { bytes: [...bytes] });
  assert.ok(!(other([1]) instanceof Uint8Array));
  const key = await lib.fetchKey(service.url, trust, wanted({ recipient: other(recipient.publicKey) }));
  const message = await key.seal({ plaintext: other(PIN), aad: other(AAD) });
  const json = other(Buffer.from(JSON.stringify(message)));
  const opened = await lib.openMessage(service.url, lib.SealedMessage.parse(json));
  const body = other(
    Buffer.from(
      JSON.stringify({
        sealed: {
          reply: lib.toBase64Url(opened.reply),
          context: {
            record: lib.toBase64Url(opened.context.record),
            index: opened.context.index,
            path: opened.context.path.map(lib.toBase64Url),
            document: lib.toBase64Url(opened.context.document),
          },
        },
      }),
    ),
  );
  const expected = { purpose: "card-pin", aad: other(AAD) };
  const { plaintext } = await recipient.open(body, expected, trust, new lib.ReplaySet());
  assert.deepEqual(plaintext, PIN);
  assert.equal(modules.toHex(other([7])), "07");
});
