// src/codes.ts is generated from Rust's registries. Every code in it is documented, and this client refuses
// with every code of a document, a release or a reply.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const read = (path) => readFileSync(new URL(path, import.meta.url), "utf8");
const dist = readdirSync(new URL("../dist/", import.meta.url), { recursive: true }).filter((name) => name.endsWith(".js"));
const modules = dist.map((name) => read(`../dist/${name}`)).join("\n");
const codesOf = (type) => [
  ...read("../src/codes.ts")
    .split(`type ${type} =`)[1]
    .split(";")[0]
    .matchAll(/"([a-z0-9_]+)"/g),
];

test("every code is documented", () => {
  // Other tables of these pages are of fields.
  const tables = (name) => read(`../../../docs/${name}`).split("## Refusals").at(-1);
  const rows = (name) => [...tables(name).matchAll(/^\| `([a-z0-9_]+)` \|/gm)].map(([, code]) => code);
  const documented = new Set(["attestation.md", "releases.md", "errors.md"].flatMap(rows));
  for (const [type, least] of Object.entries({ AttestationCode: 100, ClientCode: 20, ServiceCode: 30, JavaScriptCode: 3 })) {
    const codes = codesOf(type);
    assert.ok(codes.length >= least, `${type}: ${codes.length}`);
    for (const [, code] of codes) assert.ok(documented.has(code), `${type}: ${code}`);
  }
});

test("every code of documents, releases and replies is used", () => {
  for (const [, code] of [...codesOf("AttestationCode"), ...codesOf("ClientCode"), ...codesOf("JavaScriptCode")]) {
    // Three are made from a field's name.
    const isMade = /^(public_key|user_data|nonce)_length$/.test(code);
    assert.ok(isMade || modules.includes(`"${code}"`), code);
  }
});
