// Signed releases: the vectors of all languages, and what vectors cannot express.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import * as attestation from "../dist/attestation/index.js";
import * as release from "../dist/release/index.js";
import { Tiles, tilePath } from "../dist/tlog/tile.js";
import { VerifierKey } from "../dist/tlog/verifier-key.js";
import { Trust } from "../dist/trust.js";
import { anchorOf, keyOf, run } from "./conformance/releases.mjs";
import { vectors } from "./support/files.mjs";

const lib = { ...attestation, ...release };
const { AcceptedReleases, Bundle, ReleaseKey, ReleaseState } = lib;
const file = vectors("v1/releases.json");
const named = (name) => file.cases.find((testCase) => testCase.name === name);

test("tests/vectors/v1/releases.json gets its verdicts", async () => {
  const outcomes = await run(file, lib);
  for (const { name, expected, found } of outcomes) assert.equal(found, expected, name);
  assert.equal(outcomes.length, file.cases.length + file.appraisals.length);
  assert.ok(outcomes.length > 140, `${outcomes.length}`);
});

test("the saved state has the format of every client", async () => {
  const state = new ReleaseState();
  await check(named("two releases overlap"), { state });
  // The vectors' generator, another program, says what a client saves after the same bundle.
  const { pinned_sha384: pinned, ...entry } = entryOf(named("the same again").memory);
  const { now_ms: latest } = named("two releases overlap");
  assert.deepEqual(JSON.parse(state.encode()), { memories: { [pinned]: { ...entry, latest_ms: latest } } });
  const names = ["root_version", "root_sha384", "list_version", "list_sha384", "checkpoint", "latest_ms"];
  assert.deepEqual(Object.keys(JSON.parse(state.encode()).memories[pinned]), names);
  const again = ReleaseState.decode(state.encode());
  assert.equal(again.encode(), state.encode());
  await check(named("two releases overlap"), { state: again });
  assert.equal(again.encode(), state.encode());

  const nothing = '{"memories":{}}';
  assert.equal(new ReleaseState().encode(), nothing);
  assert.equal(ReleaseState.decode(nothing).encode(), nothing);
});

test("missing tiles are fetched once each", async () => {
  const testCase = named("the log is long");
  const { tiles, ...rest } = JSON.parse(testCase.bundle);
  const without = { ...testCase, bundle: JSON.stringify({ ...rest, tiles: {} }) };
  const state = new ReleaseState();
  await assert.rejects(check(without, { state }), { code: "tile_missing" });

  const asked = [];
  const fetch = async (path) => {
    asked.push(path);
    return Uint8Array.from(Buffer.from(tiles[path], "base64"));
  };
  const accepted = await check(without, { state, tiles: fetch });
  assert.equal(accepted.releases.length, 2);
  assert.ok(asked.length > 1);
  assert.equal(new Set(asked).size, asked.length);

  // Its errors are passed on, and nothing is saved.
  const before = state.encode();
  const offline = () => Promise.reject(new Error("offline"));
  await assert.rejects(check(without, { state: new ReleaseState(), tiles: offline }), /offline/);
  await assert.rejects(check(without, { state, tiles: async () => new Uint8Array(31) }), { code: "tile_length" });
  assert.equal(state.encode(), before);
});

test("concurrent checks do not lose each other's state", async () => {
  const state = new ReleaseState();
  // Two lists that no one log holds.
  const cases = [named("two releases overlap"), named("the older of two releases is revoked")];
  const settled = await Promise.allSettled(cases.map((testCase) => check(testCase, { state })));
  const [accepted] = settled.filter(({ status }) => status === "fulfilled");
  const [refused] = settled.filter(({ status }) => status === "rejected");
  assert.match(refused.reason.code, /^log_|^list_/);
  assert.equal(onlyEntry(state).list_version, accepted.value.list.version);
});

test("only ReleaseKey.check makes accepted releases", async () => {
  const accepted = await check(named("two releases overlap"));
  const { releases, list, root, endsMs } = accepted;
  assert.throws(() => new AcceptedReleases(Symbol("ReleaseKey"), { releases, list, root, endsMs }), TypeError);
  assert.throws(() => new AcceptedReleases(undefined, { releases, list, root, endsMs }), TypeError);
  assert.throws(() => accepted.releases.push(accepted.releases[0]), TypeError);
  assert.equal(accepted.root.product, "example-enclave");
  assert.equal(accepted.releases[1].manifest.predicate.source.repository, "https://git.example/enclave");
});

test("a clock or an age that is not a number accepts nothing", async () => {
  const testCase = named("two releases overlap");
  await assert.rejects(check(testCase, { nowMs: Number.NaN }), lib.Ok2cryError);
  await assert.rejects(check({ ...testCase, max_list_age_ms: Number.NaN }), TypeError);
  const accepted = await check({ ...testCase, max_list_age_ms: Number.POSITIVE_INFINITY });
  assert.equal(accepted.endsMs, accepted.list.expires_at);
});

test("release keys that break a rule are refused", async () => {
  const { pinned } = named("two releases overlap");
  const pem = (base64) => `-----BEGIN PUBLIC KEY-----\n${base64.match(/.{1,64}/g).join("\n")}\n-----END PUBLIC KEY-----\n`;
  const pems = pinned.keys.map(pem);
  const invalid = { code: "release_field_invalid" };
  await ReleaseKey.fromPems(pems.length, pems);
  for (const [threshold, some] of [
    [0, pems],
    [pems.length + 1, pems],
    [1.5, pems],
    [1, []],
    [1, [pems[0], pems[0]]],
  ]) {
    await assert.rejects(ReleaseKey.fromPems(threshold, some), invalid);
  }
  const offCurve = pinned.keys[0].replace(/.{4}$/, "AAAA");
  const compressed = `MEYwEAYHKoZIzj0CAQYFK4EEACIDMgAD${"A".repeat(64)}`;
  for (const text of ["", pem("AAAA"), pem(offCurve), pem(compressed), pems[0].replace(/PUBLIC/g, "PRIVATE")]) {
    await assert.rejects(ReleaseKey.fromPem(text), invalid, text);
  }
  const key = await ReleaseKey.fromPem(pems[0]);
  for (const version of ["", "1.2", "1.2.3.4", "01.2.3", "1.2.3\n", "1.2.4294967296"]) {
    assert.throws(() => key.withMinimumVersion(version), invalid, version);
  }
});

test("release JSON with two readings is refused", () => {
  const state = (list) => ReleaseState.decode(`{"root_version":1,"list_version":${list}}`);
  for (const good of ["0", "9007199254740991", '1,"checkpoint":null', '1 , "checkpoint"\n:\tnull ']) state(good);
  const bad = [
    ...["-0", "-1", "1.0", "1e0", "9007199254740992", "18446744073709551615", "01", "+1", "NaN", "null", '"1"', "[1]"],
    ...[
      '1,"list_version":1',
      '1,"\\u006cist_version":1',
      '1,"unknown":1',
      '1,"__proto__":1',
      "1}}",
      "1,",
      '1,"checkpoint":"x\\ud800"',
    ],
  ];
  for (const list of bad) assert.throws(() => state(list), { code: "release_json_invalid" }, list);
  for (const text of [
    "",
    "[1,1]",
    "\ufeff{}",
    "{}",
    '{"root_version":1}',
    '{"root_version":1,"list_version":1,"checkpoint":"\ud800"}',
  ]) {
    assert.throws(() => ReleaseState.decode(text), { code: "release_json_invalid" }, text);
  }
  const bytes = (...bytes) =>
    Uint8Array.from([...Buffer.from('{"root_version":1,"list_version":1,"checkpoint":"'), ...bytes, 0x22, 0x7d]);
  assert.throws(() => ReleaseState.decode(bytes(0xff)), { code: "release_json_invalid" });
  assert.throws(() => ReleaseState.decode(bytes(0x78)), { code: "note_invalid" });
  // Counted in bytes, not in characters.
  assert.throws(() => ReleaseState.decode(`"${"\u00e9".repeat(1 << 19)}"`), { code: "release_document_too_large" });
  assert.throws(() => Bundle.decode(" ".repeat((4 << 20) + 1)), { code: "release_document_too_large" });
  // Independent of what JSON.parse and the engine do with it.
  for (const text of ["[".repeat(4 << 20), `"${"\\n".repeat(2 << 20)}`.slice(0, 4 << 20), "1".repeat(4 << 20)]) {
    assert.throws(() => Bundle.decode(text), { code: "release_json_invalid" });
  }
});

test("tile paths follow the specification", async () => {
  assert.equal(tilePath(0, 1_234_067, 256), "tile/0/x001/x234/067");
  assert.equal(tilePath(0, 273, 112), "tile/0/273.p/112");
  // The deepest supported log, and an index beyond 32 bits: six whole tiles, one of each level.
  const index = 2n ** 47n + 123_456_789_012n;
  const asked = new Set();
  const source = async (path) => {
    asked.add(path);
    return new Uint8Array(8192);
  };
  await new Tiles(source, 2 ** 48).rootWith(new Uint8Array(), Number(index));
  const expected = [1, 2, 3, 4, 5, 6].map((level) => tilePath(level - 1, Number(index >> BigInt(8 * level)), 256));
  assert.deepEqual([...asked].sort(), expected);
});

test("tiles give the tree's roots", async () => {
  for (const size of [1, 2, 3, 7, 8, 255, 256, 257, 511, 513, 700]) {
    const log = Array.from({ length: size }, (_, index) => Buffer.from(`entry ${index}`));
    const tiles = tilesOf(log);
    const reader = new Tiles(async (path) => tiles.get(path), size);
    const root = treeHash(log);
    for (let index = 0; index < size; index += size > 300 ? 17 : 1) {
      assert.deepEqual(Buffer.from(await reader.rootWith(log[index], index)), root, `${index} of ${size}`);
      assert.notDeepEqual(Buffer.from(await reader.rootWith(Buffer.from("another"), index)), root);
    }
    for (let old = 1; old < size; old += size > 300 ? 13 : 1) {
      const before = treeHash(log.slice(0, old));
      const roots = await reader.rootsSince(old, before);
      assert.deepEqual(
        roots.map((hash) => Buffer.from(hash)),
        [before, root],
        `${old} to ${size}`,
      );
      const [forged, now] = await reader.rootsSince(old, Buffer.alloc(32, 7));
      assert.ok(!Buffer.from(forged).equals(Buffer.alloc(32, 7)) || !Buffer.from(now).equals(root), `${old} to ${size}`);
    }
  }
});

test("verifier keys are points of large order in one spelling", async () => {
  const vkey = (hex, name = "log.example", kind = 1) => {
    const bytes = Buffer.from([kind, ...Buffer.from(hex, "hex")]);
    const id = sha256(Buffer.from(`${name}\n`), bytes).toString("hex", 0, 4);
    return `${name}+${id}+${bytes.toString("base64")}`;
  };
  const base = `58${"66".repeat(31)}`;
  const parses = async (text) => (await VerifierKey.parse(text)) !== undefined;
  assert.ok(await parses(vkey(base)));
  assert.ok(await parses(vkey(base, "é\u200b", 4)));
  const small = [
    "00".repeat(32),
    `01${"00".repeat(31)}`,
    `ec${"ff".repeat(30)}7f`,
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  ];
  // y = 2 is the coordinate of no point.
  for (const hex of [...small, `02${"00".repeat(31)}`, base.slice(2)]) assert.ok(!(await parses(vkey(hex))), hex);
  for (const name of ["", "a b", "a\u00a0b", "a\u2003b", "a\u0085b", "a\nb", "a\u007f", "a".repeat(256), "é".repeat(128)]) {
    assert.ok(!(await parses(vkey(base, name))), JSON.stringify(name));
  }
  for (const text of [vkey(base, "x", 2), `${vkey(base)}=`, vkey(base).toUpperCase(), `${vkey(base)} `]) {
    assert.ok(!(await parses(text)), text);
  }
});

async function check(testCase, { state = new ReleaseState(), nowMs = testCase.now_ms, tiles } = {}) {
  const key = await keyOf(lib, testCase);
  const anchor = await anchorOf(file, lib, testCase);
  return key.check(Bundle.decode(testCase.bundle), anchor, state, { nowMs }, tiles);
}

/** The only entry of a state. */
function onlyEntry(state) {
  const [entry, ...others] = Object.values(JSON.parse(state.encode()).memories);
  assert.deepEqual(others, []);
  return entry;
}

/** A state of the vectors, in either format, as its entry and the pin set. */
function entryOf(state) {
  if (state.memories === undefined) return state;
  const [[pinned_sha384, { latest_ms: _, ...entry }]] = Object.entries(state.memories);
  return { pinned_sha384, ...entry };
}

function sha256(...parts) {
  return createHash("sha256").update(Buffer.concat(parts)).digest();
}

/** RFC 6962 §2.1, without optimizations. */
function treeHash(entries) {
  if (entries.length === 1) return sha256(Buffer.of(0), entries[0]);
  let middle = 1;
  while (middle * 2 < entries.length) middle *= 2;
  return sha256(Buffer.of(1), treeHash(entries.slice(0, middle)), treeHash(entries.slice(middle)));
}

function tilesOf(log) {
  const tiles = new Map();
  for (let level = 0, span = 1; span <= log.length; level++, span *= 256) {
    const count = Math.floor(log.length / span);
    const hashes = Array.from({ length: count }, (_, at) => treeHash(log.slice(at * span, (at + 1) * span)));
    for (let number = 0; number * 256 < count; number++) {
      const row = hashes.slice(number * 256, (number + 1) * 256);
      tiles.set(tilePath(level, number, row.length), Buffer.concat(row));
    }
  }
  return tiles;
}

/** A page's storage. */
function storage() {
  const kept = new Map();
  return { kept, getItem: (name) => kept.get(name) ?? null, setItem: (name, text) => void kept.set(name, text) };
}

test("stored state survives the page, also after a full revocation", async () => {
  const local = storage();
  const window1 = ReleaseState.keptIn(() => local);
  const window2 = ReleaseState.keptIn(() => local);
  await check(named("two releases overlap"), { state: window1 });
  assert.equal(local.kept.get("ok2cry releases"), window1.encode());
  // Another window reads it, and so does the next page.
  await check(named("two releases overlap"), { state: window2 });
  assert.equal(window2.encode(), window1.encode());

  const revoked = file.cases.find(({ expected }) => expected.refused === "no_release_accepted");
  const fresh = storage();
  await assert.rejects(check(revoked, { state: ReleaseState.keptIn(() => fresh) }), { code: "no_release_accepted" });
  assert.notEqual(fresh.kept.get("ok2cry releases"), undefined);
});

test("unreadable or missing storage starts an empty state", async () => {
  const forbidden = () => {
    throw new DOMException("no storage here", "SecurityError");
  };
  const full = { getItem: () => null, setItem: forbidden };
  const damaged = storage();
  damaged.setItem("ok2cry releases", "oops");
  for (const source of [forbidden, () => full, () => damaged]) {
    const state = ReleaseState.keptIn(source);
    await check(named("two releases overlap"), { state });
    assert.notEqual(state.checkpoint, undefined);
  }
  assert.match(damaged.getItem("ok2cry releases"), /^\{"memories":\{"/);

  // A full storage must not restore the older text that it holds.
  const old = storage();
  old.setItem("ok2cry releases", new ReleaseState().encode());
  const state = ReleaseState.keptIn(() => ({ ...old, setItem: forbidden }));
  await check(named("two releases overlap"), { state });
  const known = state.encode();
  assert.notEqual(state.checkpoint, undefined);
  await check(named("two releases overlap"), { state });
  assert.equal(state.encode(), known);
});

test("releases are bound to the root they were checked for", async () => {
  const accepted = await check(named("two releases overlap"));
  Trust.fromReleases(attestation.TrustAnchor.awsNitro(), accepted);
  const mock = attestation.TrustAnchor.fromDer(Uint8Array.from(Buffer.from(file.enclave_root, "base64")));
  assert.throws(() => Trust.fromReleases(mock, accepted), { name: "Ok2cryError", code: "attestation_root_mismatch" });
  const key = await keyOf(lib, named("two releases overlap"));
  for (const bad of ["86400000", undefined, Number.NaN]) assert.throws(() => key.withMaxListAgeMs(bad), TypeError);
  assert.throws(() => new ReleaseKey(undefined), TypeError);
});

test("each pin set has its own entry", async () => {
  const local = storage();
  const [both, one] = [named("two releases overlap"), pinnedByOne(named("two releases overlap"))];
  await check(both, { state: ReleaseState.keptIn(() => local) });
  const before = JSON.parse(local.getItem("ok2cry releases")).memories;
  // Another version of the page on the same origin, which pins fewer keys.
  await check(one, { state: ReleaseState.keptIn(() => local) });
  const { memories } = JSON.parse(local.getItem("ok2cry releases"));
  assert.equal(Object.keys(memories).length, 2);
  assert.deepEqual(Object.keys(memories), Object.keys(memories).toSorted());
  for (const [pinned, entry] of Object.entries(before)) assert.deepEqual(memories[pinned], entry);
  // The first entry is unchanged.
  const older = { ...before[Object.keys(before)[0]] };
  const [pinned] = Object.keys(before);
  local.setItem("ok2cry releases", JSON.stringify({ memories: { ...memories, [pinned]: { ...older, list_version: 99 } } }));
  await check(one, { state: ReleaseState.keptIn(() => local) });
  await assert.rejects(check(both, { state: ReleaseState.keptIn(() => local) }), { code: "list_rolled_back" });
});

/** The same client with one of its keys, of which one must have signed. */
function pinnedByOne(testCase) {
  const { pinned } = testCase;
  return { ...testCase, pinned: { threshold: 1, keys: pinned.keys.slice(0, 1) } };
}

test("the least recently checked entry is evicted", async () => {
  const others = (count) =>
    Object.fromEntries(
      Array.from({ length: count }, (_, at) => [
        String(at).padStart(96, "0"),
        { root_version: 1, list_version: 1, latest_ms: 100 - at },
      ]),
    );
  for (const [count, dropped] of [
    [31, undefined],
    [32, String(31).padStart(96, "0")],
  ]) {
    const before = others(count);
    const state = ReleaseState.decode(JSON.stringify({ memories: before }));
    await check(named("two releases overlap"), { state });
    const after = Object.keys(JSON.parse(state.encode()).memories);
    assert.equal(after.length, 32);
    assert.deepEqual(
      Object.keys(before).filter((name) => !after.includes(name)),
      dropped === undefined ? [] : [dropped],
    );
  }
});

test("the older format of one pin set is read", async () => {
  const { memory: before } = named("the same again");
  const { pinned_sha384: pinned, ...entry } = entryOf(before);
  const again = ReleaseState.decode(JSON.stringify({ pinned_sha384: pinned, ...entry }));
  assert.deepEqual(JSON.parse(again.encode()), { memories: { [pinned]: { ...entry, latest_ms: null } } });
  await check(named("the same again"), { state: again });
  // Without a pin set it is ignored, but refused if it is malformed.
  for (const none of [{ ...entry }, { pinned_sha384: null, ...entry }]) {
    assert.equal(ReleaseState.decode(JSON.stringify(none)).encode(), '{"memories":{}}');
    assert.throws(() => ReleaseState.decode(JSON.stringify({ ...none, checkpoint: "x" })), { code: "note_invalid" });
  }
  const name = "0".repeat(96);
  const least = { root_version: 1, list_version: 1 };
  const read = (value) => ReleaseState.decode(JSON.stringify(value));
  read({ memories: { [name]: least } });
  read({ memories: Object.fromEntries(Array.from({ length: 32 }, (_, at) => [String(at).padStart(96, "0"), least])) });
  for (const bad of [
    { memories: {}, root_version: 1 },
    { memories: [] },
    { memories: null },
    { memories: { [name.slice(1)]: least } },
    { memories: { [name.replace("0", "A")]: least } },
    { memories: { [name]: null } },
    { memories: { [name]: { root_version: 1 } } },
    { memories: { [name]: { ...least, pinned_sha384: name } } },
    { memories: { [name]: { ...least, latest_ms: -1 } } },
    { memories: { [name]: { ...least, latest_ms: "1" } } },
    { memories: { [name]: { ...least, more: 1 } } },
    { ...least, latest_ms: 1 },
    { memories: Object.fromEntries(Array.from({ length: 33 }, (_, at) => [String(at).padStart(96, "0"), least])) },
  ]) {
    assert.throws(() => read(bad), { code: "release_json_invalid" }, JSON.stringify(bad).slice(0, 200));
  }
  assert.throws(() => read({ memories: { [name]: { ...least, checkpoint: "x" } } }), { code: "note_invalid" });
});

test("a clock that is set back makes no list younger", async () => {
  const testCase = named("two releases overlap");
  const state = new ReleaseState();
  const { list, endsMs } = await check(testCase, { state });
  const last = Math.min(list.expires_at, list.issued_at + testCase.max_list_age_ms);
  assert.equal(endsMs, last);
  await check(testCase, { state, nowMs: last });
  assert.equal(onlyEntry(state).latest_ms, last);

  // Back by a day: the list is still in force, and by this clock it expires at once.
  const day = 86_400_000;
  const back = await check(testCase, { state, nowMs: last - day });
  assert.equal(back.endsMs, last - day);
  assert.equal(onlyEntry(state).latest_ms, last);
  // A later list was seen, so this one is too old by any clock.
  const [[pinned, entry]] = Object.entries(JSON.parse(state.encode()).memories);
  const later = ReleaseState.decode(JSON.stringify({ memories: { [pinned]: { ...entry, latest_ms: last + 1 } } }));
  await assert.rejects(check(testCase, { state: later, nowMs: testCase.now_ms }), { code: /^list_(too_old|expired)$/ });
  // A clock that is ahead is not saved.
  const fresh = new ReleaseState();
  await assert.rejects(check(testCase, { state: fresh, nowMs: last + 1 }), { code: /^list_(too_old|expired)$/ });
  assert.equal(fresh.encode(), '{"memories":{}}');
  await check(testCase, { state: fresh });
});

test("a state has bounds, and keeps the entry of the last check", async () => {
  const others = Array.from({ length: 32 }, (_, at) => [
    String(at).padStart(96, "0"),
    { root_version: 1, list_version: 1, latest_ms: at },
  ]);
  const state = ReleaseState.decode(JSON.stringify({ memories: Object.fromEntries(others) }));
  await check(named("two releases overlap"), { state });
  const left = Object.keys(JSON.parse(state.encode()).memories);
  assert.equal(left.length, 32);
  assert.ok(!left.includes("0".repeat(96)));
  assert.ok(left.includes("1".padStart(96, "0")));
  assert.equal(
    state.checkpoint,
    Object.values(JSON.parse(state.encode()).memories).find(({ checkpoint }) => checkpoint).checkpoint,
  );
});

test("concurrent windows do not lose each other's state", async () => {
  // Neither list is in the other's log: the second check must notice what the first wrote.
  const cases = [named("two releases overlap"), named("the older of two releases is revoked")];
  for (const order of [cases, cases.toReversed()]) {
    const local = storage();
    const settled = await Promise.allSettled(
      order.map((testCase) => check(testCase, { state: ReleaseState.keptIn(() => local) })),
    );
    const [accepted] = settled.filter(({ status }) => status === "fulfilled");
    const [refused] = settled.filter(({ status }) => status === "rejected");
    assert.match(refused.reason.code, /^log_|^list_/);
    const { memories } = JSON.parse(local.getItem("ok2cry releases"));
    assert.equal(Object.values(memories)[0].list_version, accepted.value.list.version);
  }
  // Two pin sets: both entries are saved.
  const local = storage();
  const two = [named("two releases overlap"), pinnedByOne(named("two releases overlap"))];
  await Promise.all(two.map((testCase) => check(testCase, { state: ReleaseState.keptIn(() => local) })));
  assert.equal(Object.keys(JSON.parse(local.getItem("ok2cry releases")).memories).length, 2);
});

test("windows take a Web Lock if the platform has one", async () => {
  const place = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  const asked = [];
  const lock = (navigator) => Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true });
  try {
    const request = async (name, work) => {
      asked.push(name);
      return work();
    };
    lock({ locks: { request } });
    await check(named("two releases overlap"), { state: ReleaseState.keptIn(storage) });
    assert.deepEqual(asked, ["ok2cry ok2cry releases"]);
    // Where locks are forbidden, as in some frames, it works without.
    lock({ locks: { request: async () => Promise.reject(new DOMException("no", "SecurityError")) } });
    const local = storage();
    await check(named("two releases overlap"), { state: ReleaseState.keptIn(() => local) });
    assert.match(local.getItem("ok2cry releases"), /list_version/);
  } finally {
    if (place) Object.defineProperty(globalThis, "navigator", place);
    else delete globalThis.navigator;
  }
});
