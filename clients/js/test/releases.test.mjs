// Signed releases: the vectors that every language runs, and what they cannot say.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import * as attestation from "../dist/attestation/index.js";
import * as release from "../dist/release/index.js";
import { LogKey } from "../dist/release/log-key.js";
import { Tiles, tilePath } from "../dist/release/tile.js";
import { Trust } from "../dist/trust.js";
import { anchorOf, keyOf, run } from "./conformance/releases.mjs";
import { vectors } from "./support/files.mjs";

const lib = { ...attestation, ...release };
const { AcceptedReleases, Bundle, ReleaseKey, ReleaseMemory } = lib;
const file = vectors("v1/releases.json");
const named = (name) => file.cases.find((testCase) => testCase.name === name);

test("tests/vectors/v1/releases.json gets its verdicts", async () => {
  const outcomes = await run(file, lib);
  for (const { name, expected, found } of outcomes) assert.equal(found, expected, name);
  assert.equal(outcomes.length, file.cases.length + file.appraisals.length);
  assert.ok(outcomes.length > 140, `${outcomes.length}`);
});

test("what was accepted is remembered as every client writes it, and is accepted again", async () => {
  const memory = new ReleaseMemory();
  await check(named("two releases overlap"), { memory });
  // The forge, which is another program, says what a client remembers of the same bundle.
  assert.deepEqual(JSON.parse(memory.encode()), named("the same again").memory);
  const names = ["pinned_sha384", "root_version", "root_sha384", "list_version", "list_sha384", "checkpoint"];
  assert.deepEqual(Object.keys(JSON.parse(memory.encode())), names);
  const again = ReleaseMemory.decode(memory.encode());
  assert.equal(again.encode(), memory.encode());
  await check(named("two releases overlap"), { memory: again });
  assert.equal(again.encode(), memory.encode());

  const nothing =
    '{"pinned_sha384":null,"root_version":0,"root_sha384":null,"list_version":0,"list_sha384":null,"checkpoint":null}';
  assert.equal(new ReleaseMemory().encode(), nothing);
  assert.equal(ReleaseMemory.decode(nothing).encode(), nothing);
});

test("tiles that the bundle lacks are fetched, each once", async () => {
  const testCase = named("the log is long");
  const { tiles, ...rest } = JSON.parse(testCase.bundle);
  const without = { ...testCase, bundle: JSON.stringify({ ...rest, tiles: {} }) };
  const memory = new ReleaseMemory();
  await assert.rejects(check(without, { memory }), { code: "tile_missing" });

  const asked = [];
  const fetch = async (path) => {
    asked.push(path);
    return Uint8Array.from(Buffer.from(tiles[path], "base64"));
  };
  const accepted = await check(without, { memory, tiles: fetch });
  assert.equal(accepted.releases.length, 2);
  assert.ok(asked.length > 1);
  assert.equal(new Set(asked).size, asked.length);

  // What it throws is thrown, and nothing is remembered.
  const before = memory.encode();
  const offline = () => Promise.reject(new Error("offline"));
  await assert.rejects(check(without, { memory: new ReleaseMemory(), tiles: offline }), /offline/);
  await assert.rejects(check(without, { memory, tiles: async () => new Uint8Array(31) }), { code: "tile_length" });
  assert.equal(memory.encode(), before);
});

test("of two checks at once neither forgets what the other learned", async () => {
  const memory = new ReleaseMemory();
  // Two lists that are in no one log.
  const cases = [named("two releases overlap"), named("the older of two releases is revoked")];
  const settled = await Promise.allSettled(cases.map((testCase) => check(testCase, { memory })));
  const [accepted] = settled.filter(({ status }) => status === "fulfilled");
  const [refused] = settled.filter(({ status }) => status === "rejected");
  assert.match(refused.reason.code, /^log_|^list_/);
  assert.equal(JSON.parse(memory.encode()).list_version, accepted.value.list.version);
});

test("only checks make accepted releases", async () => {
  const accepted = await check(named("two releases overlap"));
  const { releases, list, root, endsMs } = accepted;
  assert.throws(() => new AcceptedReleases(Symbol("ReleaseKey"), { releases, list, root, endsMs }), TypeError);
  assert.throws(() => new AcceptedReleases(undefined, { releases, list, root, endsMs }), TypeError);
  assert.throws(() => accepted.releases.push(accepted.releases[0]), TypeError);
  assert.equal(accepted.root.product, "example-enclave");
  assert.equal(accepted.releases[1].manifest.predicate.source.repository, "https://git.example/enclave");
});

test("a clock or an age that is no number accepts nothing", async () => {
  const testCase = named("two releases overlap");
  await assert.rejects(check(testCase, { nowMs: Number.NaN }), lib.Ok2cryError);
  await assert.rejects(check({ ...testCase, max_list_age_ms: Number.NaN }), TypeError);
  const accepted = await check({ ...testCase, max_list_age_ms: Number.POSITIVE_INFINITY });
  assert.equal(accepted.endsMs, accepted.list.expires_at);
});

test("release keys are held to their rules", async () => {
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
    assert.throws(() => key.minimumVersion(version), invalid, version);
  }
});

test("documents are JSON of which there is one reading", () => {
  const memory = (list) => ReleaseMemory.decode(`{"root_version":1,"list_version":${list}}`);
  for (const good of ["0", "9007199254740991", '1,"checkpoint":null', '1 , "checkpoint"\n:\tnull ']) memory(good);
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
  for (const list of bad) assert.throws(() => memory(list), { code: "release_json_invalid" }, list);
  for (const text of [
    "",
    "[1,1]",
    "\ufeff{}",
    "{}",
    '{"root_version":1}',
    '{"root_version":1,"list_version":1,"checkpoint":"\ud800"}',
  ]) {
    assert.throws(() => ReleaseMemory.decode(text), { code: "release_json_invalid" }, text);
  }
  const bytes = (...bytes) =>
    Uint8Array.from([...Buffer.from('{"root_version":1,"list_version":1,"checkpoint":"'), ...bytes, 0x22, 0x7d]);
  assert.throws(() => ReleaseMemory.decode(bytes(0xff)), { code: "release_json_invalid" });
  assert.throws(() => ReleaseMemory.decode(bytes(0x78)), { code: "note_invalid" });
  // Counted in bytes, not in characters.
  assert.throws(() => ReleaseMemory.decode(`"${"é".repeat(1 << 16)}"`), { code: "release_document_too_large" });
  assert.throws(() => Bundle.decode(" ".repeat((4 << 20) + 1)), { code: "release_document_too_large" });
  // Whatever JSON.parse and the engine make of it.
  for (const text of ["[".repeat(4 << 20), `"${"\\n".repeat(2 << 20)}`.slice(0, 4 << 20), "1".repeat(4 << 20)]) {
    assert.throws(() => Bundle.decode(text), { code: "release_json_invalid" });
  }
});

test("tiles are where the specification says", async () => {
  assert.equal(tilePath(0, 1_234_067, 256), "tile/0/x001/x234/067");
  assert.equal(tilePath(0, 273, 112), "tile/0/273.p/112");
  // The deepest log that is read about, and an entry beyond 32 bits: six whole tiles, one of each level.
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

test("tiles give the roots of the tree", async () => {
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

test("keys of logs are points of the curve, large ones, in one spelling", async () => {
  const vkey = (hex, name = "log.example", kind = 1) => {
    const bytes = Buffer.from([kind, ...Buffer.from(hex, "hex")]);
    const id = sha256(Buffer.from(`${name}\n`), bytes).toString("hex", 0, 4);
    return `${name}+${id}+${bytes.toString("base64")}`;
  };
  const base = `58${"66".repeat(31)}`;
  const parses = async (text) => (await LogKey.parse(text)) !== undefined;
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

async function check(testCase, { memory = new ReleaseMemory(), nowMs = testCase.now_ms, tiles } = {}) {
  const key = await keyOf(lib, testCase);
  const anchor = await anchorOf(file, lib, testCase);
  return key.check(Bundle.decode(testCase.bundle), anchor, memory, { nowMs }, tiles);
}

function sha256(...parts) {
  return createHash("sha256").update(Buffer.concat(parts)).digest();
}

/** RFC 6962 §2.1, the plain way. */
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

test("a memory that is kept survives the page, also when everything was revoked", async () => {
  const local = storage();
  const window1 = ReleaseMemory.keptIn(() => local);
  const window2 = ReleaseMemory.keptIn(() => local);
  await check(named("two releases overlap"), { memory: window1 });
  assert.equal(local.kept.get("ok2cry releases"), window1.encode());
  // Another window knows it too, and so does the next page.
  await check(named("two releases overlap"), { memory: window2 });
  assert.equal(window2.encode(), window1.encode());

  const revoked = file.cases.find(({ expected }) => expected.refused === "no_release_accepted");
  const fresh = storage();
  await assert.rejects(check(revoked, { memory: ReleaseMemory.keptIn(() => fresh) }), { code: "no_release_accepted" });
  assert.notEqual(fresh.kept.get("ok2cry releases"), undefined);
});

test("a page without storage, or with something else in it, begins anew", async () => {
  const forbidden = () => {
    throw new DOMException("no storage here", "SecurityError");
  };
  const full = { getItem: () => null, setItem: forbidden };
  const damaged = storage();
  damaged.setItem("ok2cry releases", "oops");
  for (const source of [forbidden, () => full, () => damaged]) {
    const memory = ReleaseMemory.keptIn(source);
    await check(named("two releases overlap"), { memory });
    assert.notEqual(memory.checkpoint, undefined);
  }
  assert.match(damaged.getItem("ok2cry releases"), /^\{"pinned_sha384"/);

  // A storage that takes nothing more must not take the memory back to what it has.
  const old = storage();
  old.setItem("ok2cry releases", new ReleaseMemory().encode());
  const memory = ReleaseMemory.keptIn(() => ({ ...old, setItem: forbidden }));
  await check(named("two releases overlap"), { memory });
  const known = memory.encode();
  assert.notEqual(memory.checkpoint, undefined);
  await check(named("two releases overlap"), { memory });
  assert.equal(memory.encode(), known);
});

test("releases are trusted under the root that they were checked for, and limits are numbers", async () => {
  const accepted = await check(named("two releases overlap"));
  Trust.fromReleases(attestation.TrustAnchor.awsNitro(), accepted);
  const mock = attestation.TrustAnchor.fromDer(Uint8Array.from(Buffer.from(file.enclave_root, "base64")));
  assert.throws(() => Trust.fromReleases(mock, accepted), { name: "Ok2cryError", code: "attestation_root_mismatch" });
  const key = await keyOf(lib, named("two releases overlap"));
  for (const bad of ["86400000", undefined, Number.NaN]) assert.throws(() => key.maxListAgeMs(bad), TypeError);
  assert.throws(() => new ReleaseKey(undefined), TypeError);
});
