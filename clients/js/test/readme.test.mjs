// The page in docs/getting-started.md, and the examples in the package's, verbatim.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import * as client from "../dist/index.js";

const guide = readFileSync(new URL("../../../docs/getting-started.md", import.meta.url), "utf8");
const [, code] = /```js\n(import \{ fetchKey[\s\S]*?)```/.exec(guide);

/** The page with this client and a form. `submit` is a click. */
function page(lib, fetch) {
  const [line, ...rest] = code.split("\n");
  const [, names] = /^import (\{.*\}) from "@ok2cry\/client";$/.exec(line);
  let submit;
  const elements = {
    pay: { addEventListener: (_, listener) => (submit = listener) },
    pin: { value: "4931" },
    said: { value: "" },
  };
  const given = {
    lib,
    fetch,
    document: { getElementById: (name) => elements[name] },
    localStorage: undefined,
    SERVICE: "",
    RELEASE_KEYS: [],
    ISSUER: "AAAA",
    ORDER: "order 17",
  };
  new Function(...Object.keys(given), `const ${names} = lib;\n${rest.join("\n")}`)(...Object.values(given));
  return { said: elements.said, submit: () => submit({ preventDefault() {} }) };
}

const message = { key_id: "x" };
const working = (keys) => ({
  ...client,
  ReleaseKey: { fromPems: async () => ({}) },
  fetchReleases: async () => ({}),
  Trust: { fromReleases: () => ({}) },
  fetchKey: async () => keys.push(1) && { seal: async () => message },
});

test("the guide's page sends one message for many clicks", async () => {
  const [keys, sent] = [[], []];
  const { submit } = page(working(keys), async (_, { body }) => sent.push(body));
  await Promise.all([submit(), submit()]);
  await submit();
  assert.equal(keys.length, 1);
  assert.deepEqual(sent, [JSON.stringify(message)]);
});

test("the guide's page retries only if nothing was sent", async () => {
  const [keys, sent] = [[], []];
  let isRefused = true;
  const lib = working(keys);
  const fetchKey = async () => {
    if (isRefused) throw Object.assign(new Error(), { code: "pcr_mismatch" });
    return lib.fetchKey();
  };
  const { submit, said } = page({ ...lib, fetchKey }, async (_, { body }) => {
    sent.push(body);
    throw new TypeError("the network went");
  });
  await submit();
  assert.equal(said.value, "Nothing was sent (pcr_mismatch).");
  isRefused = false;
  await submit();
  assert.match(said.value, /not known/);
  await submit();
  assert.equal(sent.length, 1);
});

test("the examples in the package's README compile", () => {
  const path = (name) => fileURLToPath(new URL(name, import.meta.url));
  const examples = [...readFileSync(path("../README.md"), "utf8").matchAll(/```ts\n([\s\S]*?)```/g)].map(
    ([, example]) => example,
  );
  assert.ok(examples.length >= 4, `${examples.length}`);
  const folder = mkdtempSync(join(tmpdir(), "ok2cry-readme-"));
  try {
    // What an example takes from its surroundings.
    const given = `
      declare const trust: import("@ok2cry/client").Trust;
      declare const bytes: (text: string) => Uint8Array;
      declare const request: Request;
      declare const RELEASE_KEYS: string[];
      declare const SERVICE: string, ISSUER: string, ISSUER_KEY: string, ROOT: string, MEASUREMENTS: string, pin: string;
      declare const nonce: Uint8Array, received: Uint8Array;
    `;
    writeFileSync(join(folder, "given.d.ts"), given);
    for (const [index, example] of examples.entries()) writeFileSync(join(folder, `${index}.ts`), example);
    const paths = {
      "@ok2cry/client": [path("../dist/index.d.ts")],
      "@ok2cry/client/attestation": [path("../dist/attestation/index.d.ts")],
    };
    const compilerOptions = {
      ...{ target: "es2022", module: "esnext", moduleResolution: "bundler", moduleDetection: "force" },
      ...{ lib: ["es2022", "dom"], types: [], strict: true, noEmit: true, paths },
    };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["."] }));
    const tsc = path("../node_modules/typescript/bin/tsc");
    const { status, stdout } = spawnSync(process.execPath, [tsc, "-p", folder], { encoding: "utf8" });
    assert.equal(status, 0, stdout);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
