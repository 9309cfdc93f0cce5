// Vectors of whole answers with genuine documents, one rule broken in each, and of callers' inputs.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as lib from "../dist/index.js";
import { answerVectors } from "./conformance/answers.mjs";
import { answerFiles } from "./support/files.mjs";

test("answers and trust get their verdicts", async () => {
  const files = answerFiles();
  const outcomes = await answerVectors(lib, files);
  for (const { name, expected, found } of outcomes) assert.equal(found, expected, name);
  const cases = [files.issue, files.replies, files.statements].reduce((sum, { cases }) => sum + cases.length, 0);
  assert.ok(outcomes.length > cases, `${outcomes.length}`);
});
