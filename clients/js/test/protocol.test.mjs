// Records, batches, sealing and replies: the vectors of all languages.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as lib from "./conformance/modules.mjs";
import { protocolVectors } from "./conformance/protocol.mjs";
import { vectors } from "./support/files.mjs";

test("tests/vectors/v1 gets its verdicts", async () => {
  const names = ["key-descriptor", "batch", "ids", "seal", "reply", "hpke"];
  const outcomes = await protocolVectors(lib, Object.fromEntries(names.map((name) => [name, vectors(`v1/${name}.json`)])));
  for (const { name, expected, found } of outcomes) assert.equal(found, expected, name);
  assert.ok(outcomes.length > 400, `${outcomes.length}`);
});
