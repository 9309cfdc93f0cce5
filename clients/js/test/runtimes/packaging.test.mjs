// The packed file in bundlers, in TypeScript's resolution modes, and in runtimes without a bundler.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { inScope, isDue } from "./installed.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const client = fileURLToPath(new URL("../..", import.meta.url));
const { resolve } = createRequire(import.meta.url);
const RECIPIENT = /^recipient: [A-Za-z0-9_-]{130}\n$/;
let project;
let packed;

const run = (command, flags, options = {}) =>
  execFileSync(command, flags, { cwd: project, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], ...options });

before(() => {
  project = mkdtempSync(join(tmpdir(), "ok2cry-packaging-"));
  run("npm", ["run", "licences"], { cwd: client });
  const [{ filename }] = JSON.parse(
    run("npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", project], { cwd: client }),
  );
  packed = join(project, filename);
  const installed = join(project, "node_modules/@ok2cry/client");
  mkdirSync(installed, { recursive: true });
  run("tar", ["--extract", "--strip-components=1", "--file", packed, "--directory", installed]);
  cpSync(join(client, "node_modules/hpke"), join(project, "node_modules/hpke"), { recursive: true });
  cpSync(join(here, "packaging"), project, { recursive: true });
  writeFileSync(join(project, "package.json"), '{ "name": "project", "private": true, "type": "module" }');
});
after(() => rmSync(project, { recursive: true, force: true }));

describe("the types compile", () => {
  const newest = join(client, "node_modules/typescript/bin/tsc");
  const oldest = join(here, "node_modules/typescript-oldest/bin/tsc");
  const compile = (tsc, options, ...files) => {
    const strict = { noEmit: true, strict: true, exactOptionalPropertyTypes: true, target: "es2022", skipLibCheck: false };
    const compilerOptions = { ...strict, lib: ["es2022"], types: [], module: "nodenext", ...options };
    writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, files }));
    try {
      run(process.execPath, [tsc, "--project", "tsconfig.json"]);
    } catch (error) {
      assert.fail(error.stdout);
    }
  };
  const node = { types: ["node"], typeRoots: [join(client, "node_modules/@types")] };
  const dom = { lib: ["es2022", "dom"] };
  for (const [name, options, ...more] of [
    ["neither a browser nor Node", {}],
    ["Node and no browser", node, "platform-types.ts"],
    ["a browser", dom, "platform-types.ts"],
    ["both", { ...node, ...dom }, "platform-types.ts"],
  ]) {
    test(`for ${name}`, () => compile(newest, options, "types.ts", ...more));
  }
  test("for bundlers, and with the oldest TypeScript", () => {
    const bundler = { module: "esnext", moduleResolution: "bundler" };
    compile(newest, bundler, "types.ts");
    compile(oldest, bundler, "types.ts");
    compile(oldest, {}, "types.ts");
  });
  test("by `main` and a folder, for TypeScript's node10", () => {
    compile(oldest, { module: "commonjs", moduleResolution: "node10" }, "types.ts");
  });
  test("required from CommonJS", () => {
    const text = 'import client = require("@ok2cry/client");\nexport const { fetchKey } = client;\n';
    writeFileSync(join(project, "required.cts"), text);
    compile(newest, {}, "required.cts");
  });
});

describe("a project runs without a bundler in", () => {
  test("Node, imported and required", () => {
    for (const file of ["recipient.mjs", "recipient.cjs"]) assert.match(run(process.execPath, [file]), RECIPIENT);
  });
  for (const [name, scope, path, flags] of [
    ["Deno", "@deno", "deno", ["run", "--node-modules-dir=manual", "--no-lock", "--cached-only"]],
    ["Bun", "@oven", "bin/bun", ["--no-install"]],
  ]) {
    const found = inScope(scope, path);
    const env = () => ({ ...process.env, DENO_DIR: join(project, "deno"), DENO_NO_UPDATE_CHECK: "1" });
    test(name, { skip: !found && !isDue }, () =>
      assert.match(run(found, [...flags, "recipient.mjs"], { env: env() }), RECIPIENT),
    );
  }
});

describe("a bundle works, in ASCII, by", () => {
  const bundlers = {
    esbuild: (file) =>
      build({
        absWorkingDir: project,
        entryPoints: ["recipient.mjs"],
        outfile: file,
        bundle: true,
        minify: true,
        charset: "utf8",
        format: "iife",
      }),
    webpack: async (file) => {
      const { default: webpack } = await import("webpack");
      const [, folder, name] = /^(.*)\/([^/]+)$/.exec(file);
      const compiler = webpack({
        mode: "production",
        context: project,
        entry: "./recipient.mjs",
        output: { path: folder, filename: name },
      });
      const stats = await new Promise((resolve, reject) =>
        compiler.run((error, stats) => (error ? reject(error) : resolve(stats))),
      );
      assert.ok(!stats.hasErrors() && !stats.hasWarnings(), stats.toString());
    },
    Vite: async (file) => {
      const { build } = createRequire(resolve("vitest/package.json"))("vite");
      const [, folder, name] = /^(.*)\/([^/]+)$/.exec(file);
      await build({
        root: project,
        configFile: false,
        logLevel: "silent",
        build: {
          outDir: folder,
          rollupOptions: { input: join(project, "recipient.mjs"), output: { entryFileNames: name, format: "iife" } },
        },
      });
    },
    // Resolves `main`: `exports` are off unless a project enables them.
    Parcel: async (file) => {
      const { Parcel } = createRequire(import.meta.url)("@parcel/core");
      const [, distDir, distEntry] = /^(.*)\/([^/]+)$/.exec(file);
      const target = { distDir, distEntry, context: "browser", outputFormat: "global", includeNodeModules: true, optimize: true };
      const cwd = process.cwd();
      process.chdir(project);
      try {
        await new Parcel({
          entries: join(project, "recipient.mjs"),
          defaultConfig: resolve("@parcel/config-default"),
          mode: "production",
          shouldDisableCache: true,
          targets: { main: { ...target, engines: { browsers: "chrome 137" } } },
        }).run();
      } finally {
        process.chdir(cwd);
      }
    },
  };
  for (const [name, bundle] of Object.entries(bundlers)) {
    test(name, async () => {
      const folder = join(project, `by-${name}`);
      await bundle(join(folder, "bundle.js"));
      const text = readFileSync(join(folder, "bundle.js"), "utf8");
      assert.doesNotMatch(text, /[^\0-\x7f]/, readdirSync(folder).join());
      // A copy that Node loads as a script.
      writeFileSync(join(folder, "bundle.cjs"), text);
      assert.match(run(process.execPath, [join(folder, "bundle.cjs")]), RECIPIENT);
    });
  }
});
