// Objects in reactive state, as Vue, Pinia and Alpine keep it. A proxy could not access private fields.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { markRaw, reactive, readonly, ref } from "@vue/reactivity";
import * as lib from "../../dist/index.js";
import { anchorOf, keyOf } from "../conformance/releases.mjs";
import { vectors } from "../support/files.mjs";
import { startService } from "../support/service.mjs";

const bytes = (text) => new TextEncoder().encode(text);
const AAD = bytes("order 17");
let service;

before(async () => {
  service = await startService();
});
after(() => service?.stop());

/** One instance of each class that has private fields. */
async function instances() {
  const measurements = lib.Measurements.fromNitroCliJson(service.measurements);
  const anchor = lib.TrustAnchor.fromPem(service.rootPem);
  const policy = lib.Policy.of(measurements);
  const trust = new lib.Trust(anchor, policy);
  const recipient = await lib.RecipientKey.generate();
  const wanted = { purpose: "card-pin", ttlMs: 60_000, recipient: recipient.publicKey };
  const key = await lib.fetchKey(service.url, trust, wanted);
  const nonce = crypto.getRandomValues(new Uint8Array(32));
  const batch = await trust.verifyStatement(nonce, await lib.fetchStatement(service.url, nonce));

  const file = vectors("v1/releases.json");
  const testCase = file.cases.find(({ expected }) => expected.accepted);
  const [releaseKey, state] = [await keyOf(lib, testCase), new lib.ReleaseState()];
  const bundle = lib.Bundle.decode(testCase.bundle);
  const root = await anchorOf(file, lib, testCase);
  const releases = await releaseKey.check(bundle, root, state, { nowMs: testCase.now_ms });
  return {
    ...{ measurements, anchor, policy, trust, recipient, key, batch, releaseKey, state, bundle, releases },
    request: await lib.KeyRequest.create(wanted),
    verifier: new lib.Verifier(anchor),
    document: key.document,
    accepted: policy.appraise(key.document),
    seen: new lib.ReplaySet(),
  };
}

test("reactive state keeps objects with private fields as they are", async () => {
  const made = await instances();
  const state = reactive({ made, list: Object.values(made) });
  for (const [name, object] of Object.entries(made)) {
    assert.equal(state.made[name], object, name);
    assert.equal(reactive(object), object, name);
    assert.equal(readonly(object), object, name);
    assert.equal(ref(object).value, object, name);
    assert.equal(markRaw(object), object, name);
  }
  const classes = Object.entries(lib).filter(([, value]) => /^class\b.*[^/*]#\w+/s.test(String(value)));
  assert.ok(classes.length > 12, `${classes.map(([name]) => name)}`);
  for (const [name, type] of classes) {
    const isMade = Object.values(made).some((object) => object.constructor === type);
    assert.ok(isMade, `${name} is not tried`);
  }
});

test("objects in reactive state seal and open", async () => {
  const state = reactive({ ...(await instances()), options: { fetch, timeoutMs: 60_000 }, aad: AAD });
  state.message = await state.key.seal({ plaintext: bytes("4931"), aad: state.aad });
  state.answer = await lib.openMessage(service.url, state.message, state.options);
  const expected = reactive({ purpose: "card-pin", aad: AAD });
  const opened = await state.recipient.open(state.answer, expected, state.trust, state.seen);
  assert.equal(new TextDecoder().decode(opened.plaintext), "4931");
  state.wanted = { purpose: "card-pin", ttlMs: 60_000, recipient: state.recipient.publicKey, count: 2 };
  assert.equal((await lib.fetchKeys(service.url, state.trust, state.wanted, state.options)).length, 2);
});

test("a subclass of ReplaySet can have fields", () => {
  class Counted extends lib.ReplaySet {
    times = 0;

    insert(...given) {
      this.times++;
      return super.insert(...given);
    }
  }
  const seen = new Counted();
  const entry = { descriptorHash: "a", forgetAtMs: 2, nowMs: 1 };
  assert.deepEqual([seen.insert(entry), seen.insert(entry), seen.times], [true, false, 2]);
});
