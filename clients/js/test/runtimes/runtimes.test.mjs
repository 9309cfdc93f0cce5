// The suite in every runtime that npm has.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { startHarness } from "./harness.mjs";
import { inScope, isDue } from "./installed.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const { resolve } = createRequire(import.meta.url);
let harness;

before(async () => {
  harness = await startHarness();
  writeFileSync(join(harness.folder, "suite.mjs"), await harness.bundle("esm"));
  writeFileSync(join(harness.folder, "main.mjs"), 'import { report } from "./suite.mjs";\nawait report(process.argv[2]);\n');
});
after(() => harness?.stop());

function runtime(name, options, found, start) {
  const isMissing = found === undefined && !isDue;
  if (isMissing) console.log(`SKIPPED ${name}: npm has none for ${process.platform} on ${process.arch}`);
  test(name, { skip: isMissing }, () => harness.run(name, options, start(found)));
}

const inFolder = (name) => join(harness.folder, name);

runtime("Deno", {}, inScope("@deno", "deno"), (deno) => (base, reject) => {
  const flags = (base) => [
    "run",
    "--no-config",
    "--no-lock",
    "--no-prompt",
    "--cached-only",
    "--allow-net=127.0.0.1",
    inFolder("main.mjs"),
    base,
  ];
  return harness.program(deno, flags, { env: { DENO_DIR: inFolder("deno"), DENO_NO_UPDATE_CHECK: "1" } })(base, reject);
});

runtime(
  "Bun",
  {},
  inScope("@oven", "bin/bun"),
  (bun) => (base, reject) => harness.program(bun, (base) => ["--no-install", inFolder("main.mjs"), base])(base, reject),
);

for (const [date, withVectors] of [
  ["2026-11-17", true],
  // Its requests do not support `cache`.
  ["2024-11-10", false],
]) {
  runtime(`workerd as of ${date}`, { withVectors }, inScope("@cloudflare", "bin/workerd"), (workerd) => (base, reject) => {
    const config = readFileSync(join(here, "workerd/config.capnp"), "utf8");
    writeFileSync(inFolder("worker.mjs"), readFileSync(join(here, "workerd/worker.mjs")));
    writeFileSync(inFolder("config.capnp"), config.replace("DATE", date).replace("BASE", base));
    return harness.program(workerd, () => ["test", inFolder("config.capnp")])(base, reject);
  });
}

runtime("Next's edge runtime", {}, resolve("@edge-runtime/vm"), () => async (base, reject) => {
  const { EdgeVM } = await import("@edge-runtime/vm");
  const vm = new EdgeVM();
  vm.evaluate(await harness.bundle("iife"));
  vm.evaluate(`suite.report(${JSON.stringify(base)})`).catch(reject);
});

/** Starts a test runner, with the harness's address if it reports. */
const under = (base, env = {}) => ({
  cwd: here,
  env: { ...process.env, NODE_TEST_CONTEXT: undefined, HARNESS: base, ...env },
});
const runner = (flags, env) => (base, reject) => harness.program(process.execPath, () => flags, under(base, env))(base, reject);

const JEST = {
  testEnvironment: "./jest/environment.cjs",
  haste: { throwOnModuleCollision: false },
  modulePathIgnorePatterns: ["<rootDir>/node_modules/.*/node_modules"],
};
const MODULES = { NODE_OPTIONS: "--experimental-vm-modules" };
const jestWith = (config) => [
  "./node_modules/jest/bin/jest.js",
  "--ci",
  "--runInBand",
  "--config",
  JSON.stringify({ ...JEST, ...config }),
];
const jest = (config, env) => runner(jestWith(config), env);

test("checkEnvironment names what stock jsdom under Jest lacks", () => {
  const config = { testEnvironment: "jsdom", transform: {}, testMatch: ["<rootDir>/jest/plain.test.mjs"] };
  const { status, stderr } = spawnSync(process.execPath, jestWith(config), { ...under(undefined, MODULES), encoding: "utf8" });
  assert.equal(status, 0, stderr);
  assert.match(stderr, /1 passed/);
});

runtime("Jest with jsdom", {}, resolve("jest"), () =>
  jest({ transform: {}, testMatch: ["<rootDir>/jest/suite.test.mjs"] }, MODULES),
);

runtime("Jest with jsdom and a transform to CommonJS", { withVectors: false }, resolve("jest"), () =>
  jest({
    moduleFileExtensions: ["cjs", "mjs", "js", "json"],
    testMatch: ["<rootDir>/jest/commonjs.test.cjs"],
    transform: { "\\.(m?js)$": "./jest/to-commonjs.cjs" },
    transformIgnorePatterns: [],
  }),
);

for (const [name, options, env] of [
  ["Vitest with jsdom", {}, {}],
  ["Vitest with jsdom and React Native's fetch", { withVectors: false, usesXhr: true }, { OVER_XHR: "1" }],
]) {
  runtime(name, options, resolve("vitest/package.json"), () =>
    runner(["./node_modules/vitest/vitest.mjs", "run", "--environment", "jsdom", "vitest"], env),
  );
}

runtime("Node with node-fetch", { withVectors: false }, resolve("node-fetch"), () => async (base, reject) => {
  const { default: fetch } = await import("node-fetch");
  const { report } = await import("./suite.mjs");
  report(base, { fetch }).catch(reject);
});
