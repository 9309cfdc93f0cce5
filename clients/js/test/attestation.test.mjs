// Attestation documents: the vectors of all languages, and real documents.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as lib from "../dist/attestation/index.js";
import { attestationVectors, base64, documentOf, outcome, realDocuments } from "./conformance/attestation.mjs";
import { attestationFiles, realDocumentEntries, vectors } from "./support/files.mjs";

for (const [name, file] of attestationFiles()) {
  test(`${name} gets its verdicts`, async () => {
    const outcomes = await attestationVectors(lib, file);
    assert.equal(outcomes.length, 4 * file.cases.length);
    for (const { name, expected, found } of outcomes) assert.equal(found, expected, name);
  });
}

test("real documents get their verdicts", async (t) => {
  const entries = realDocumentEntries();
  if (entries === undefined) return t.skip();
  for (const { name, expected, found } of await realDocuments(lib, entries)) assert.equal(found, expected, name);
  console.log(`real documents: ${entries.length} run`);
});

const valid = vectors("attestation/valid.json");
const verifier = () => new lib.Verifier(lib.TrustAnchor.fromDer(base64(valid.root)));
const [first] = valid.cases;
const time = { nowMs: first.now_ms };

test("a warm verifier refuses a document with any bit flipped", async () => {
  const warm = verifier();
  const bytes = documentOf(first);
  await warm.verify(bytes, time);
  // A prime step through all bits.
  for (let bit = 0; bit < 8 * bytes.length; bit += 41) {
    const flipped = bytes.slice();
    flipped[bit >> 3] ^= 1 << (bit & 7);
    assert.match(await outcome(() => warm.verify(flipped, time)), /^refused /, `bit ${bit}`);
  }
});

test("a document that changes during verification is not affected", async () => {
  const bytes = documentOf(first);
  const pending = verifier().verify(bytes, time);
  bytes.fill(0);
  assert.equal((await pending).moduleId, first.expected.module_id);
});

test("only verifiers and policies make verified documents", async () => {
  const document = await verifier().verify(documentOf(first), time);
  const policy = lib.Policy.insecureWithoutPcrs();
  const accepted = policy.appraise(document, time);
  for (const [Proof, genuine] of [
    [lib.VerifiedDocument, document],
    [lib.AcceptedDocument, accepted],
  ]) {
    assert.ok(Proof.isGenuine(genuine));
    assert.throws(() => new Proof(Symbol("Verifier"), genuine, []), TypeError);
    const forged = Object.assign(Object.create(Proof.prototype), genuine);
    assert.ok(!Proof.isGenuine(forged));
  }
  assert.throws(() => policy.appraise({ ...document }, time), TypeError);
  assert.throws(() => new lib.Policy(undefined, {}), TypeError);
  assert.throws(() => (document.moduleId = "another"), TypeError);
});

test("other anchors are held to the form of AWS's", async () => {
  const aws = lib.TrustAnchor.awsNitro();
  assert.equal(lib.toHex(await aws.fingerprint()), "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b");
  const pem = (der) => `-----BEGIN CERTIFICATE-----\n${Buffer.from(der).toString("base64")}\n-----END CERTIFICATE-----\n`;
  assert.deepEqual(lib.TrustAnchor.fromPem(pem(aws.der)).der, aws.der);
  const refused = (call, code) => assert.throws(call, { name: "Ok2cryError", code });
  refused(() => lib.TrustAnchor.fromPem(pem(aws.der) + pem(aws.der)), "anchor_pem");
  refused(() => lib.TrustAnchor.fromPem("x"), "anchor_pem");
  refused(() => lib.TrustAnchor.fromDer(new Uint8Array()), "anchor_length");
  refused(() => lib.TrustAnchor.fromDer(new Uint8Array(1025)), "anchor_length");
  refused(() => lib.TrustAnchor.fromDer(aws.der.slice(0, -1)), "der_malformed");
});

test("measurements that match debug enclaves are refused", () => {
  const value = new Uint8Array(48).fill(7);
  const refused = (code, ...pcrs) => assert.throws(() => new lib.Measurements(pcrs), { name: "Ok2cryError", code });
  refused("measurements_empty");
  refused("measurements_without_pcr0", [1, value]);
  refused("measurements_zero", [0, new Uint8Array(48)]);
  refused("measurements_index", [32, value]);
  refused("measurements_index", [-1, value]);
  refused("measurements_duplicate", [0, value], [0, value]);
  refused("measurements_invalid", [0, value.slice(1)]);
  const hex = "ab".repeat(48);
  const text = JSON.stringify({ Measurements: { HashAlgorithm: "Sha384 { ... }", PCR8: hex, PCR0: hex } });
  assert.deepEqual(
    [...lib.Measurements.fromNitroCliJson(text)].map(([index]) => index),
    [0, 8],
  );
  for (const bad of ["", "[]", "{}", '{"PCR0":"xy"}', '{"PCRx":"00"}', '{"HashAlgorithm":"Sha256"}', `{"PCR0":1}`]) {
    assert.throws(() => lib.Measurements.fromNitroCliJson(bad), { name: "Ok2cryError" }, bad);
  }
});

test("a clock that is not a number accepts nothing", async () => {
  const policy = lib.Policy.insecureWithoutPcrs();
  for (const bad of [{ nowMs: Number.NaN }, { nowMs: undefined }, {}]) {
    assert.match(await outcome(() => verifier().verify(documentOf(first), bad)), /^refused (not_yet_valid|expired)$/);
    const document = await verifier().verify(documentOf(first), time);
    assert.match(await outcome(() => policy.appraise(document, bad)), /^refused document_from_future$/);
  }
});

test("documents are bytes, and limits are numbers", async () => {
  const bytes = documentOf(first);
  for (const bad of [bytes.buffer, [...bytes], "hEShATgi", undefined]) {
    await assert.rejects(verifier().verify(bad, time), TypeError);
  }
  // Node's bytes, and bytes in shared memory, are copied.
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
  shared.set(bytes);
  for (const good of [Buffer.from(bytes), shared]) {
    const pending = verifier().verify(good, time);
    good.fill(0);
    assert.equal((await pending).moduleId, first.expected.module_id);
  }
  const policy = lib.Policy.insecureWithoutPcrs();
  for (const bad of [undefined, null, Number.NaN, "300000"]) assert.throws(() => policy.withMaxAgeMs(bad), TypeError);
  for (const bad of [undefined, null, "nonce", 0]) {
    assert.throws(() => policy.withNonce(bad), TypeError);
    assert.throws(() => policy.withUserData(bad), TypeError);
  }
  assert.throws(() => new lib.Measurements([[0, "a".repeat(48)]]), { name: "Ok2cryError", code: "measurements_invalid" });
});

test("a verifier caches only what it verified", async () => {
  // The leaf's key is replaced during verification. The verifier must neither accept nor cache the
  // replacement.
  const warm = verifier();
  const bytes = documentOf(first);
  const point = Buffer.from(bytes).lastIndexOf(Buffer.from([0x03, 0x62, 0x00, 0x04])) + 4;
  const forged = bytes.slice();
  forged[point] ^= 1;
  for (let turn = 0; turn < 40; turn++) {
    const live = bytes.slice();
    const pending = warm.verify(live, time);
    for (let wait = 0; wait < turn; wait++) await undefined;
    live.set(forged);
    await pending;
    assert.match(await outcome(() => warm.verify(forged, time)), /^refused /);
  }
});

test("anchors and measurements are immutable", () => {
  const anchor = lib.TrustAnchor.awsNitro();
  anchor.der.fill(0);
  assert.equal(anchor.der[0], 0x30);
  assert.throws(() => new lib.TrustAnchor(undefined, new Uint8Array(1)), TypeError);
  const set = new lib.Measurements([[0, new Uint8Array(48).fill(7)]]);
  for (const [, value] of set) value.fill(0);
  assert.deepEqual([...set][0][1], new Uint8Array(48).fill(7));
});
