// Breaks rules of the Rust client and verifier, one at a time, and shows that a vector notices. Each costs a build.
//
//   node tests/mutate/rust.mjs                       every rule of rust.txt: some minutes
//   node tests/mutate/rust.mjs --sample 6            every so-and-so-many-th of them
//   node tests/mutate/rust.mjs --only chain.rs       those of files whose path ends so
//
// rust.txt is a table of patches: what is broken, the file, the text that stands there once, and what is put in its place. The file is
// changed where it lies and put back; one that has changes that are not committed is left alone. Ends with 1 if a mutant survives, does
// not compile, or has no place any more.

import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const top = fileURLToPath(new URL("../../", import.meta.url));
/** Which tests run the vectors over a crate. */
const TESTS = {
  "client/": ["-p", "ok2cry-client", "--lib", "vectors"],
  "protocol/": ["-p", "ok2cry-protocol", "--test", "vectors"],
  "attest-verify/": ["-p", "ok2cry-attest-verify", "--features", "json", "--test", "p384"],
  "release-verify/": ["-p", "ok2cry-release-verify", "--test", "releases"],
  "tlog/": ["-p", "ok2cry-release-verify", "--test", "releases"],
};

const args = process.argv.slice(2);
const option = (name) => (args.includes(name) ? args[args.indexOf(name) + 1] : undefined);

/** Blocks of `= what`, `@ file`, lines that begin with `-` and lines that begin with `+`. */
function patches() {
  const blocks = readFileSync(new URL("rust.txt", import.meta.url), "utf8").split(/\n(?== )/);
  return blocks
    .filter((block) => block.startsWith("= "))
    .map((block) => {
      const lines = block.split("\n");
      const after = (mark) => lines.filter((line) => line.startsWith(mark)).map((line) => line.slice(2));
      return { rule: after("= ")[0], file: after("@ ")[0], find: after("- ").join("\n"), put: after("+ ").join("\n") };
    });
}

function test(file, ...more) {
  const [, tests] = Object.entries(TESTS).find(([prefix]) => file.startsWith(prefix));
  return spawnSync("cargo", ["test", "--locked", "--quiet", ...tests, ...more], { cwd: top, encoding: "utf8" });
}

let current;
function restore() {
  if (current !== undefined) writeFileSync(`${top}${current.file}`, current.source);
  current = undefined;
}
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    restore();
    process.exit(130);
  });
}

const everything = patches().filter(({ file }) => file.endsWith(option("--only") ?? ""));
const step = option("--sample") === undefined ? 1 : Math.max(1, Math.floor(everything.length / Number(option("--sample"))));
const chosen = everything.filter((_, number) => number % step === 0);
let faults = 0;
for (const { rule, file, find, put } of chosen) {
  const fault = (what) => {
    faults++;
    console.log(`${what} ${file}: ${rule}`);
  };
  const source = readFileSync(`${top}${file}`, "utf8");
  if (source.split(find).length !== 2) {
    fault("NOT THERE ONCE");
    continue;
  }
  if (execFileSync("git", ["status", "--porcelain", "--", file], { cwd: top, encoding: "utf8" }) !== "") {
    fault("CHANGED, so left alone:");
    continue;
  }
  current = { file, source };
  try {
    writeFileSync(`${top}${file}`, source.replace(find, () => put));
    if (test(file, "--no-run").status !== 0) fault("DOES NOT COMPILE");
    else if (test(file).status === 0) fault("SURVIVED");
    else if (args.includes("--verbose")) console.log(`killed ${file}: ${rule}`);
  } finally {
    restore();
  }
}
console.log(`${chosen.length - faults} killed, ${faults} not`);
process.exit(faults > 0 ? 1 : 0);
