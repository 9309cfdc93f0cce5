// Runs the vectors over a copy of the JavaScript client. Exits with 1 at the first wrong verdict.
//
//   node judge.mjs FOLDER SUITE…      SUITE is answers, attestation, releases or protocol; FOLDER holds dist and test/conformance

import { readdirSync, readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [folder, ...suites] = process.argv.slice(2);
const inFolder = (path) => import(pathToFileURL(`${folder}/${path}`).href);
const vectors = (path) => JSON.parse(readFileSync(new URL(`../vectors/${path}`, import.meta.url), "utf8"));
const files = (names) => Object.fromEntries(names.map((name) => [name, vectors(`v1/${name}.json`)]));

/** A file's cases in pieces, so that the first wrong verdict is found early. */
function* pieces(file, length = 12) {
  for (let at = 0; at < file.cases.length; at += length) yield { ...file, cases: file.cases.slice(at, at + length) };
}

const judges = {
  async *answers() {
    const { answerVectors } = await inFolder("test/conformance/answers.mjs");
    const lib = await inFolder("dist/index.js");
    const all = files(["issue", "replies", "statements", "trust"]);
    const nothing = { ...all.issue, cases: [] };
    const trust = { anchors: [], measurements: [], policies: [], recipients: [], measurement_files: [] };
    const none = { issue: nothing, replies: nothing, statements: nothing, trust };
    yield answerVectors(lib, { ...none, trust: all.trust });
    for (const name of ["issue", "replies", "statements"]) {
      for (const piece of pieces(all[name])) yield answerVectors(lib, { ...none, [name]: piece });
    }
  },
  async *attestation() {
    const { attestationVectors } = await inFolder("test/conformance/attestation.mjs");
    const lib = await inFolder("dist/index.js");
    const names = readdirSync(new URL("../vectors/attestation/", import.meta.url)).filter((name) => name.endsWith(".json"));
    for (const name of names) {
      for (const piece of pieces(vectors(`attestation/${name}`))) yield attestationVectors(lib, piece);
    }
  },
  async *releases() {
    const { run } = await inFolder("test/conformance/releases.mjs");
    const lib = await inFolder("dist/index.js");
    const all = vectors("v1/releases.json");
    for (const piece of pieces({ ...all, appraisals: [] })) yield run(piece, lib);
    // Appraisals refer to cases by index, so the cases that they refer to run again.
    const named = [...new Set(all.appraisals.map((appraisal) => appraisal.case))];
    const appraisals = all.appraisals.map((appraisal) => ({ ...appraisal, case: named.indexOf(appraisal.case) }));
    yield run({ ...all, cases: named.map((number) => all.cases[number]), appraisals }, lib);
  },
  async *protocol() {
    const { protocolVectors } = await inFolder("test/conformance/protocol.mjs");
    const lib = await inFolder("test/conformance/modules.mjs");
    yield protocolVectors(lib, files(["key-descriptor", "batch", "ids", "seal", "reply", "hpke"]));
  },
};

for (const suite of suites) {
  for await (const outcomes of judges[suite]()) {
    const wrong = outcomes.find(({ expected, found }) => expected !== found);
    if (wrong === undefined) continue;
    console.log(`${suite}: ${wrong.name}`);
    process.exit(1);
  }
}
