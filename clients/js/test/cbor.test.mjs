// What the strict reader accepts, the library cborg reads in the same way.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as cborg from "cborg";
import { decode } from "../dist/attestation/document.js";
import { readDescriptor } from "../dist/protocol/descriptor.js";
import { documentOf } from "./conformance/attestation.mjs";
import { attestationFiles, vectors } from "./support/files.mjs";

const options = {
  strict: true,
  rejectDuplicateMapKeys: true,
  useMaps: true,
  allowUndefined: false,
  tags: { 18: (decode) => decode() },
};
const read = (bytes) => cborg.decode(bytes, options);

/** Random bytes that are the same in every run. */
function* changes(bytes, count) {
  let state = 1;
  const below = (end) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % end;
  };
  for (let turn = 0; turn < count; turn++) {
    const changed = bytes.slice();
    changed[below(changed.length)] = below(256);
    yield changed;
  }
}

test("cborg reads the same fields from accepted documents", () => {
  let accepted = 0;
  const compare = (bytes) => {
    let claims;
    try {
      ({ claims } = decode(bytes));
    } catch {
      return;
    }
    accepted++;
    const payload = read(read(bytes)[2]);
    assert.equal(payload.get("module_id"), claims.moduleId);
    assert.equal(payload.get("digest"), "SHA384");
    // Beyond 2^53 the verifier's clock refuses it, whatever its exact value.
    if (claims.timestampMs < 2 ** 53) assert.equal(Number(payload.get("timestamp")), claims.timestampMs);
    assert.deepEqual(
      [...payload.get("pcrs")].map(([index, value]) => [index, [...value]]),
      [...claims.pcrs].map(([index, value]) => [index, [...value]]),
    );
    assert.deepEqual([...payload.get("certificate")], [...claims.certificate]);
    assert.deepEqual(
      payload.get("cabundle").map((der) => [...der]),
      claims.cabundle.map((der) => [...der]),
    );
    for (const [key, value] of [
      ["user_data", claims.userData],
      ["nonce", claims.nonce],
    ]) {
      assert.deepEqual(payload.get(key) ?? undefined, value === undefined ? undefined : new Uint8Array(value), key);
    }
    const known = ["module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle", "public_key", "user_data", "nonce"];
    assert.deepEqual(
      [...payload.keys()].filter((key) => !known.includes(key)),
      [],
    );
  };
  for (const [, file] of attestationFiles()) for (const testCase of file.cases) compare(documentOf(testCase));
  const valid = attestationFiles().find(([name]) => name === "valid.json")[1];
  for (const changed of changes(documentOf(valid.cases[0]), 20_000)) compare(changed);
  assert.ok(accepted > 10_000, `${accepted}`);
});

test("cborg reads the same fields from accepted descriptors", async () => {
  let accepted = 0;
  for (const { encoding } of vectors("v1/key-descriptor.json").valid) {
    const bytes = new Uint8Array(Buffer.from(encoding, "hex"));
    for (const changed of [bytes, ...changes(bytes, 2_000)]) {
      const descriptor = await readDescriptor(changed).catch(() => undefined);
      if (descriptor === undefined) continue;
      accepted++;
      const map = read(changed);
      assert.deepEqual([...map.keys()], [0, 1, 2, 3, 4, 5, 6, 7, 8]);
      assert.equal(map.get(6), descriptor.purpose);
      assert.equal(Number(map.get(5)), descriptor.expiresAtMs);
      assert.deepEqual([...map.get(8)], [...descriptor.clientNonce]);
      // Deterministic encoding: writing it again gives the same bytes.
      assert.deepEqual([...cborg.encode(map)], [...changed]);
    }
  }
  assert.ok(accepted > 500, `${accepted}`);
});
