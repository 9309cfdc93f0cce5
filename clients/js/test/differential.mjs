// Judges the cases of the Rust program `differential`, one a line with its verdict, and prints disagreements.
//
//   cargo run -p ok2cry-tests --bin differential -- 10000 | node clients/js/test/differential.mjs

import { createInterface } from "node:readline";
import * as lib from "../dist/index.js";
import { attestationVectors, outcome } from "./conformance/attestation.mjs";
import * as modules from "./conformance/modules.mjs";
import { run as releaseVectors } from "./conformance/releases.mjs";

const readers = {
  "key descriptor": modules.readDescriptor,
  "batch header": modules.readBatchHeader,
  statement: modules.readStatement,
  "reply context": modules.readReplyContext,
  reply: modules.readReply,
};

/** Answers, and files of users. Only their reading is judged. */
const answers = {
  issue: modules.parseIssued,
  open: modules.parseSealedReply,
  attestation: modules.parseAttested,
  state: modules.parseKeyState,
  message: async (body) => {
    const message = modules.SealedMessage.parse(body);
    // The delivery mode of a message is not a rule of reading it.
    await message.recipient().catch((error) => {
      if (error.code !== "release_mode_mismatch") throw error;
    });
  },
  measurements: (body) => lib.Measurements.fromNitroCliJson(textOf(body)),
  "private-key": (body) => modules.RecipientKey.fromPem(textOf(body)),
  "public-key": (body) => modules.publicKeyFromText(textOf(body)),
};

function textOf(body) {
  return modules.fromUtf8(body) ?? "(not UTF-8)";
}

/** The verdicts of a case, expected and found: one or several. */
async function judge(testCase) {
  switch (testCase.kind) {
    case "document": {
      const anchor = await outcome(() => lib.TrustAnchor.fromDer(Uint8Array.from(atob(testCase.root), (c) => c.charCodeAt(0))));
      if (typeof anchor === "string") return [{ expected: `refused ${testCase.expected.code}`, found: anchor }];
      return attestationVectors(lib, { root: testCase.root, cases: [testCase] });
    }
    case "record": {
      const bytes = lib.fromHex(testCase.encoding);
      const found = await outcome(() => readers[testCase.record](bytes).then(() => "accepted"));
      return [{ expected: testCase.expected, found }];
    }
    case "answer": {
      const body = Uint8Array.from(atob(testCase.body), (c) => c.charCodeAt(0));
      const found = await outcome(async () => {
        await answers[testCase.answer](body);
        return "accepted";
      });
      return [{ expected: testCase.expected, found }];
    }
    case "release":
      return releaseVectors({ enclave_root: testCase.enclave_root, cases: [testCase], appraisals: [] }, lib);
    default:
      throw new Error(`a case of an unknown kind: ${testCase.kind}`);
  }
}

const counts = {};
let disagreements = 0;
let announced;
for await (const line of createInterface({ input: process.stdin })) {
  const testCase = JSON.parse(line);
  if (testCase.kind === "end") {
    announced = testCase.cases;
    continue;
  }
  for (const { expected, found } of await judge(testCase)) {
    if (expected === found) continue;
    disagreements++;
    console.log(`${testCase.name} (${testCase.kind}): Rust says ${expected.slice(0, 200)}, this says ${found.slice(0, 300)}`);
    if (disagreements <= 3) console.log(line);
    break;
  }
  const verdict = testCase.expected.code ?? testCase.expected.refused ?? "accepted";
  const key = `${testCase.answer ?? testCase.kind}: ${typeof testCase.expected === "string" ? testCase.expected : verdict}`;
  counts[key] = (counts[key] ?? 0) + 1;
}
const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
console.log(`${total} cases, ${Object.keys(counts).length} kinds of verdict, ${disagreements} disagreements`);
if (process.argv.includes("--verdicts"))
  console.log(
    Object.entries(counts)
      .sort()
      .map(([k, n]) => `  ${n} ${k}`)
      .join("\n"),
  );
if (total !== announced) console.log(`the other program ended early: ${total} cases of ${announced ?? "some"}`);
if (total === 0 || total !== announced || disagreements > 0) process.exit(1);
