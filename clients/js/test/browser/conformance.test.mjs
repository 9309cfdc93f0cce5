// Chromium gives Node's verdicts: every vector and every real document, under a payment page's policy.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { build } from "esbuild";
import { answerFiles, attestationFiles, realDocumentEntries, vectors } from "../support/files.mjs";
import { startBrowser } from "./demo.mjs";

const POLICY = "default-src 'none'; script-src 'self'; connect-src 'self'; require-trusted-types-for 'script'";
let server;
let browser;
let page;

before(async () => {
  const module = await bundle({ format: "esm" });
  // As bundlers write it that decode escapes. A page reads a classic script in its own character set.
  const classic = await bundle({ format: "iife", charset: "utf8", minify: true });
  const html = (script) => `<!doctype html><html lang="en"><title>conformance</title>${script}`;
  const files = {
    "/": ["text/html", html('<script type="module" src="/judge.js"></script>')],
    "/judge.js": ["text/javascript", module],
    "/windows-1252": ["text/html; charset=windows-1252", html('<script src="/classic.js"></script>')],
    "/classic.js": ["text/javascript", classic],
  };
  server = createServer((request, response) => {
    const [type, content] = files[request.url] ?? ["text/plain", ""];
    response.setHeader("content-type", type);
    response.setHeader("content-security-policy", POLICY);
    response.end(content);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  browser = await startBrowser();
  page = await judgeAt("/");
});
after(async () => {
  await browser?.close();
  server?.close();
});

/** The client with its judges, as one script. */
async function bundle(options) {
  const result = await build({
    stdin: {
      contents: `
        import { answerVectors } from "./test/conformance/answers.mjs";
        import { attestationVectors, realDocuments } from "./test/conformance/attestation.mjs";
        import * as modules from "./test/conformance/modules.mjs";
        import { protocolVectors } from "./test/conformance/protocol.mjs";
        import { run as releaseVectors } from "./test/conformance/releases.mjs";
        import * as lib from "./dist/index.js";
        globalThis.judge = {
          answers: (files) => answerVectors(lib, files),
          attestation: (file) => attestationVectors(lib, file),
          protocol: (files) => protocolVectors(modules, files),
          real: (entries) => realDocuments(lib, entries),
          releases: (file) => releaseVectors(file, lib),
        };
      `,
      resolveDir: new URL("../..", import.meta.url).pathname,
    },
    bundle: true,
    target: "es2022",
    write: false,
    ...options,
  });
  return result.outputFiles[0].contents;
}

async function judgeAt(path) {
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${server.address().port}${path}`);
  await page.waitForFunction(() => globalThis.judge !== undefined);
  return page;
}

async function agrees(kind, input, atLeast, judge = page) {
  const outcomes = await judge.evaluate(([kind, input]) => globalThis.judge[kind](input), [kind, input]);
  for (const { name, expected, found } of outcomes) assert.deepEqual(found, expected, name);
  assert.ok(outcomes.length >= atLeast, `${outcomes.length}`);
}

for (const [name, file] of attestationFiles()) {
  test(`${name} gets its verdicts in Chromium`, () => agrees("attestation", file, 4 * file.cases.length));
}

test("tests/vectors/v1 gets its verdicts in Chromium", async () => {
  const names = ["key-descriptor", "batch", "ids", "seal", "reply", "hpke"];
  await agrees("protocol", Object.fromEntries(names.map((name) => [name, vectors(`v1/${name}.json`)])), 400);
});

test("answers and trust get their verdicts in Chromium", async () => {
  const files = answerFiles();
  await agrees("answers", files, files.issue.cases.length + files.replies.cases.length + files.statements.cases.length);
});

test("releases get their verdicts in Chromium", async () => {
  const file = vectors("v1/releases.json");
  await agrees("releases", file, file.cases.length + file.appraisals.length);
});

test("releases get their verdicts in a windows-1252 page", async () => {
  const judge = await judgeAt("/windows-1252");
  assert.equal(await judge.evaluate(() => document.characterSet), "windows-1252");
  const file = vectors("v1/releases.json");
  await agrees("releases", file, file.cases.length + file.appraisals.length, judge);
});

test("real documents get their verdicts in Chromium", async (t) => {
  const entries = realDocumentEntries();
  if (entries === undefined) return t.skip();
  await agrees("real", entries, 4 * entries.length);
  console.log(`real documents: ${entries.length} run in Chromium`);
});
