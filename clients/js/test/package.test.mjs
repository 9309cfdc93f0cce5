// The packed file: its contents, its entry points and types, its size, and a project that uses it.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { LIMIT, sizes } from "../scripts/size.mjs";

const client = fileURLToPath(new URL("..", import.meta.url));
const npm = (folder, ...flags) =>
  execFileSync("npm", flags, { cwd: folder, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
const manifest = JSON.parse(readFileSync(join(client, "package.json"), "utf8"));
const entryPoints = Object.keys(manifest.exports).filter((name) => name !== "./package.json");
let folder;
let packed;

before(() => {
  folder = mkdtempSync(join(tmpdir(), "ok2cry-pack-"));
  // As `prepack` does, without a build: other tests use the built files.
  npm(client, "run", "licences");
  [packed] = JSON.parse(npm(client, "pack", "--ignore-scripts", "--json", "--pack-destination", folder));
});
after(() => rmSync(folder, { recursive: true, force: true }));

test("the packed file holds modules, types and licences only", () => {
  const files = packed.files.map(({ path }) => path);
  for (const path of [
    "dist/index.js",
    "dist/index.d.ts",
    "dist/attestation/index.js",
    "attestation/package.json",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "README.md",
    "package.json",
  ]) {
    assert.ok(files.includes(path), path);
  }
  const others = files.filter(
    (path) => !/^(dist\/.+\.(js|d\.ts)|(attestation\/)?package\.json|LICENSE-\w+|(CHANGELOG|README)\.md)$/.test(path),
  );
  assert.deepEqual(others, []);
  const modules = files.filter((path) => path.endsWith(".js"));
  for (const path of modules) {
    const text = readFileSync(join(client, path), "utf8");
    assert.doesNotMatch(text, /[^\0-\x7f]/, `${path} is not ASCII`);
    assert.doesNotMatch(text, /\beval\b|new Function|WebAssembly|\brequire\(|["']node:/, path);
  }
  assert.deepEqual(Object.keys(manifest.dependencies), ["hpke"]);
});

test("publint accepts the packed file", async () => {
  const tarball = new Uint8Array(readFileSync(join(folder, packed.filename))).buffer;
  const { messages, pkg } = await publint({ pack: { tarball }, strict: true });
  assert.deepEqual(
    messages.map((message) => formatMessage(message, pkg, { color: false })),
    [],
  );
});

test("types resolve for every kind of importer", async () => {
  const tarball = createPackageFromTarballData(new Uint8Array(readFileSync(join(folder, packed.filename))));
  const { entrypoints, problems } = await checkPackage(tarball);
  assert.deepEqual(Object.keys(entrypoints), [...entryPoints, "./package.json"]);
  // There are ES modules only, which the supported versions of Node can also require.
  const unexpected = problems.filter(({ kind }) => kind !== "CJSResolvesToESM");
  assert.deepEqual(unexpected, []);
});

test("every entry point has a module, types and a folder", () => {
  for (const name of entryPoints) {
    const { types, default: module } = manifest.exports[name];
    assert.equal(types, module.replace(/\.js$/, ".d.ts"), name);
    for (const path of [types, module])
      assert.ok(
        packed.files.some((file) => `./${file.path}` === path),
        path,
      );
    // TypeScript's node10 and Parcel read a folder's package.json, not the exports.
    const folderManifest = name === "." ? manifest : JSON.parse(readFileSync(join(client, name, "package.json"), "utf8"));
    const up = name === "." ? "./" : "../";
    assert.equal(folderManifest.main, module.replace("./", up), name);
    assert.equal(folderManifest.types, types.replace("./", up), name);
    if (name !== ".") assert.ok(manifest.files.includes(name.slice(2)), name);
  }
});

test("the package stays below its size limit", async () => {
  const { everything } = await sizes();
  assert.ok(everything.gzipped <= LIMIT, `${everything.gzipped} bytes`);
});

test("a project builds with Vite and strict TypeScript", () => {
  const consumer = join(folder, "consumer");
  cpSync(new URL("consumer", import.meta.url), consumer, { recursive: true });
  npm(consumer, "install", "--no-audit", "--no-fund", join(folder, packed.filename));
  npm(consumer, "run", "types");
  npm(consumer, "run", "build");
  const assets = join(consumer, "dist/assets");
  const [script] = readdirSync(assets).filter((name) => name.endsWith(".js"));
  // The page's bundle has neither the recipient nor what else it does not use.
  const text = readFileSync(join(assets, script), "utf8");
  assert.ok(statSync(join(assets, script)).size < 90_000);
  assert.doesNotMatch(text, /reply_replayed/);
  assert.match(text, /release_not_listed/);
  // And on a server, without a bundler.
  const recipient = execFileSync("node", ["recipient.mjs"], { cwd: consumer, encoding: "utf8" });
  assert.match(recipient, /^recipient: [A-Za-z0-9_-]{130}\n$/);
});
