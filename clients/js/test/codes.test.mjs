// Every code of this client is in the registries that people read, and every code of a document or a release is one of this client.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const source = new URL("../src/", import.meta.url);
const sources = readdirSync(source, { recursive: true }).filter((name) => name.endsWith(".ts"));
const text = sources.map((name) => readFileSync(new URL(name, source), "utf8")).join("\n");
const page = (name) => readFileSync(new URL(`../../../docs/${name}`, import.meta.url), "utf8");
// Other tables of that page are of fields.
const codes = (name) => page(name).split("## Refusals").at(-1);
const listed = (name) => [...codes(name).matchAll(/^\| `([a-z0-9_]+)` \|/gm)].map(([, code]) => code);

test("every code is documented", () => {
  const thrown = new Set(
    [...text.matchAll(/\b(?:refuse|CertificateFault|Ok2cryError)\(\s*"([a-z0-9_]+)"/g)].map(([, code]) => code),
  );
  const documented = new Set(["attestation.md", "releases.md", "errors.md"].flatMap(listed));
  assert.ok(thrown.size > 70, `${thrown.size}`);
  assert.deepEqual(
    [...thrown].filter((code) => !documented.has(code)),
    [],
  );
});

test("every code of documents and releases is here", () => {
  // Made from a field's name: nonce_length and two others.
  const missing = ["attestation.md", "releases.md"]
    .flatMap(listed)
    .filter((code) => !text.includes(`"${code}"`) && !/^(public_key|user_data|nonce)_length$/.test(code));
  assert.deepEqual(missing, []);
});
