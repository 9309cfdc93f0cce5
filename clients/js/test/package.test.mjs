// What a user would install: the packed file, its size, and a project made from it that builds with Vite and TypeScript strict.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { LIMIT, sizes } from "../scripts/size.mjs";

const client = fileURLToPath(new URL("..", import.meta.url));
const npm = (folder, ...flags) =>
  execFileSync("npm", flags, { cwd: folder, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
let folder;
let packed;

before(() => {
  folder = mkdtempSync(join(tmpdir(), "ok2cry-pack-"));
  // What `prepack` would do; other tests are using what was built.
  npm(client, "run", "licences");
  [packed] = JSON.parse(npm(client, "pack", "--ignore-scripts", "--json", "--pack-destination", folder));
});
after(() => rmSync(folder, { recursive: true, force: true }));

test("the packed file has the modules, their types and the licences, and nothing else", () => {
  const files = packed.files.map(({ path }) => path);
  for (const due of [
    "dist/index.js",
    "dist/index.d.ts",
    "dist/attestation/index.js",
    "attestation/package.json",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "README.md",
    "package.json",
  ]) {
    assert.ok(files.includes(due), due);
  }
  const others = files.filter(
    (path) => !/^(dist\/.+\.(js|d\.ts)|(attestation\/)?package\.json|LICENSE-\w+|README\.md)$/.test(path),
  );
  assert.deepEqual(others, []);
  const modules = files.filter((path) => path.endsWith(".js"));
  for (const path of modules) {
    const text = readFileSync(join(client, path), "utf8");
    assert.doesNotMatch(text, /[^\0-\x7f]/, `${path} is not ASCII`);
    assert.doesNotMatch(text, /\beval\b|new Function|WebAssembly|\brequire\(|["']node:/, path);
  }
  const { dependencies } = JSON.parse(readFileSync(join(client, "package.json"), "utf8"));
  assert.deepEqual(Object.keys(dependencies), ["hpke"]);
});

test("it is small enough for a payment page", async () => {
  const { everything } = await sizes();
  assert.ok(everything.gzipped <= LIMIT, `${everything.gzipped} bytes`);
});

test("a project made from it builds with Vite and with TypeScript strict", () => {
  const consumer = join(folder, "consumer");
  cpSync(new URL("consumer", import.meta.url), consumer, { recursive: true });
  npm(consumer, "install", "--no-audit", "--no-fund", join(folder, packed.filename));
  npm(consumer, "run", "types");
  npm(consumer, "run", "build");
  const assets = join(consumer, "dist/assets");
  const [script] = readdirSync(assets).filter((name) => name.endsWith(".js"));
  // Only what the page uses is in it: no recipient, no log of requests.
  const text = readFileSync(join(assets, script), "utf8");
  assert.ok(statSync(join(assets, script)).size < 90_000);
  assert.doesNotMatch(text, /reply_replayed/);
  assert.match(text, /release_not_listed/);
  // And on the server, without a bundler.
  const recipient = execFileSync("node", ["recipient.mjs"], { cwd: consumer, encoding: "utf8" });
  assert.match(recipient, /^recipient: [A-Za-z0-9_-]{130}\n$/);
});
