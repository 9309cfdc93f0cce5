// The page of docs/getting-started.md, as it stands there.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as client from "../dist/index.js";

const guide = readFileSync(new URL("../../../docs/getting-started.md", import.meta.url), "utf8");
const [, code] = /```js\n(import \{ fetchKey[\s\S]*?)```/.exec(guide);

/** The page with this client, and what it has in its form; `submit` is a click. */
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

test("the guide's page sends one message, however often it is clicked", async () => {
  const [keys, sent] = [[], []];
  const { submit } = page(working(keys), async (_, { body }) => sent.push(body));
  await Promise.all([submit(), submit()]);
  await submit();
  assert.equal(keys.length, 1);
  assert.deepEqual(sent, [JSON.stringify(message)]);
});

test("the guide's page tries again after a refusal, and not after it may have sent", async () => {
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
