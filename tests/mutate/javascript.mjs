// Breaks each rule of the JavaScript client once: a vector must notice.
//
//   npm --prefix clients/js run build && node tests/mutate/javascript.mjs            every rule: minutes
//   node tests/mutate/javascript.mjs --sample 40                                     an evenly spaced sample
//   node tests/mutate/javascript.mjs --only key.js,trust.js                          those of some files, with commas
//   node tests/mutate/javascript.mjs --listed                                        those of equivalent.txt: is one noticed after all?
//
// A rule is a place in the compiled client that refuses, or that compares with a bound. A mutant refuses nothing there, or
// moves the bound by one. equivalent.txt lists mutants that no vector can notice, with reasons. Exits with 1 if another
// one survives, or if a line of equivalent.txt matches nothing.

import { spawn } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const client = fileURLToPath(new URL("../../clients/js/", import.meta.url));
// Below node_modules, so that the copies find what the client depends on and git does not see them.
const copies = `${client}node_modules/.cache/mutants-${process.pid}`;
/** What the vectors are about, and the suites that judge it, the likeliest first. */
const FILES = {
  "answer.js": ["answers"],
  "json.js": ["answers", "releases"],
  "key.js": ["answers", "protocol"],
  "recipient.js": ["answers", "protocol"],
  "trust.js": ["answers"],
  "time.js": ["attestation", "releases", "answers"],
  "protocol/batch.js": ["protocol", "answers"],
  "protocol/descriptor.js": ["protocol", "answers"],
  "protocol/record.js": ["protocol", "answers"],
  "protocol/reply.js": ["protocol", "answers"],
  "protocol/statement.js": ["protocol", "answers"],
  "attestation/anchor.js": ["answers", "attestation"],
  "attestation/cbor.js": ["attestation", "protocol"],
  "attestation/certificate.js": ["attestation"],
  "attestation/chain.js": ["attestation"],
  "attestation/der.js": ["attestation", "releases"],
  "attestation/document.js": ["attestation"],
  "attestation/measurements.js": ["answers", "attestation"],
  "attestation/policy.js": ["attestation", "releases", "answers"],
  "attestation/verifier.js": ["attestation"],
  "release/acceptance.js": ["releases"],
  "release/bundle.js": ["releases"],
  "release/checkpoint.js": ["releases"],
  "release/envelope.js": ["releases"],
  "release/json.js": ["releases"],
  "release/key.js": ["releases"],
  "release/list.js": ["releases"],
  "release/log-key.js": ["releases"],
  "release/manifest.js": ["releases"],
  "release/memory.js": ["releases"],
  "release/root.js": ["releases"],
  "release/tile.js": ["releases"],
  "release/version.js": ["releases"],
};
/** Calls that refuse. */
const REFUSING = /\b(?:return )?(refuse[A-Za-z]*|invalid|refused|throw new CertificateFault|[a-z]+\.malformed|[a-zA-Z]+\.finish|[a-zA-Z]+\.end|check[A-Z]\w*)\(/g;
const COMPARING = / (<=|>=|<|>) /g;
/** A mutant that computes for so long does not end. */
const PATIENCE_MS = 120_000;

const args = process.argv.slice(2);
const option = (name) => (args.includes(name) ? args[args.indexOf(name) + 1] : undefined);

/** Every place, with what is put there. */
function mutants() {
  const all = [];
  for (const file of Object.keys(FILES)) {
    const source = readFileSync(`${client}dist/${file}`, "utf8");
    const isCode = (at) => !/^\s*(?:\*|\/\/|\/\*|export function|function|import|static async |async |static |get )/.test(lineAt(source, at));
    for (const { index, 0: found, 1: call } of source.matchAll(REFUSING)) {
      if (!isCode(index) || /^\s*#?\w+\(.*\) \{$/.test(lineAt(source, index))) continue;
      const nothing = call.startsWith("throw") ? "void ((code, message) => {})(" : "((...ignored) => undefined)(";
      all.push({ file, index, found, put: nothing, source });
    }
    for (const { index, 0: found, 1: operator } of source.matchAll(COMPARING)) {
      if (!isCode(index)) continue;
      const other = { "<": "<=", "<=": "<", ">": ">=", ">=": ">" }[operator];
      all.push({ file, index, found, put: ` ${other} `, source });
    }
  }
  return all;
}

function lineAt(source, index) {
  const begin = source.lastIndexOf("\n", index) + 1;
  const end = source.indexOf("\n", index);
  return source.slice(begin, end < 0 ? undefined : end);
}

/** `file | line | what was put in place of what`, without space around it. */
function nameOf({ file, index, found, put, source }) {
  const what = put.trim().length < 3 ? `${found.trim()} as ${put.trim()}` : `without ${found.slice(0, -1).replace("return ", "")}`;
  const begin = source.lastIndexOf("\n", index) + 1;
  const nth = source.slice(begin, index).split(found).length;
  const line = lineAt(source, index).trim();
  const before = source.slice(0, begin).split("\n").filter((other) => other.trim() === line).length;
  return `${file} | ${line} | ${what}${nth > 1 ? `, number ${nth}` : ""}${before > 0 ? `, line ${before + 1} of these` : ""}`;
}

function copyFor(worker) {
  const folder = `${copies}/${worker}`;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(`${folder}/test`, { recursive: true });
  writeFileSync(`${folder}/package.json`, '{"type":"module"}');
  cpSync(`${client}dist`, `${folder}/dist`, { recursive: true });
  cpSync(`${client}test/conformance`, `${folder}/test/conformance`, { recursive: true });
  return folder;
}

/** What noticed, or nothing. */
function judge(folder, suites) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [`${here}judge.mjs`, folder, ...suites], { stdio: ["ignore", "pipe", "ignore"] });
    let text = "";
    child.stdout.on("data", (data) => {
      text += data;
    });
    const timer = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
    child.once("close", (code) => {
      clearTimeout(timer);
      resolve(code === 0 ? undefined : text.trim() || "it does not run");
    });
  });
}

const only = option("--only")?.split(",");
const everything = mutants().filter(({ file }) => only === undefined || only.includes(file));
const step = option("--sample") === undefined ? 1 : Math.max(1, Math.floor(everything.length / Number(option("--sample"))));
const chosen = everything.filter((_, number) => number % step === 0);
const equivalent = new Map(
  readFileSync(`${here}equivalent.txt`, "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => [line.slice(0, line.lastIndexOf(" | ")), line.slice(line.lastIndexOf(" | ") + 3)]),
);
const names = new Set(mutants().map(nameOf));
const stale = [...equivalent.keys()].filter((name) => !names.has(name));

const survivors = [];
let killed = 0;
const isListed = args.includes("--listed");
const queue = chosen.filter((mutant) => equivalent.has(nameOf(mutant)) === isListed);
async function work(worker) {
  const folder = copyFor(worker);
  const own = await judge(folder, ["protocol", "answers", "attestation", "releases"]);
  if (own !== undefined) throw new Error(`unchanged, the client fails: ${own}`);
  for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
    const { file, index, found, put, source } = mutant;
    writeFileSync(`${folder}/dist/${file}`, source.slice(0, index) + put + source.slice(index + found.length));
    const noticed = await judge(folder, FILES[file]);
    writeFileSync(`${folder}/dist/${file}`, source);
    if (isListed) {
      if (noticed !== undefined) stale.push(`${nameOf(mutant)}, which ${noticed} notices`);
    } else if (noticed === undefined) {
      survivors.push(nameOf(mutant));
      console.log(`SURVIVED ${nameOf(mutant)}`);
    } else {
      killed++;
      if (args.includes("--verbose")) console.log(`${nameOf(mutant)}\n   ${noticed}`);
    }
  }
}
const workers = Number(option("--jobs") ?? availableParallelism());
await Promise.all(Array.from({ length: workers }, (_, worker) => work(worker)));
rmSync(copies, { recursive: true, force: true });
for (const name of stale) console.log(`STALE in equivalent.txt: ${name}`);
console.log(`${killed} killed, ${survivors.length} survived, ${chosen.length - killed - survivors.length} cannot be noticed`);
process.exit(survivors.length + stale.length > 0 ? 1 : 0);
