// The time of verification in Node and in Chromium, beside five raw WebCrypto P-384 verifications in the same run.
//
//   make bench-js        BENCH=--short only shows that it runs

import { createServer } from "node:http";
import { build } from "esbuild";
import * as lib from "../dist/index.js";
import { startBrowser } from "../test/browser/demo.mjs";
import { startService } from "../test/support/service.mjs";
import { measure } from "./rounds.mjs";

const rounds = process.argv.includes("--short") ? 10 : 200;
const service = await startService();
try {
  const { rootPem, measurements } = service;
  report(`Node ${process.versions.node}`, await measure(lib, { base: service.url, rootPem, measurements, rounds }));
  const [version, rows] = await inChromium({ rootPem, measurements, rounds });
  report(`Chromium ${version}`, rows);
} finally {
  service.stop();
}

function report(where, rows) {
  const [[, limit]] = rows;
  console.log(`\n${where}, medians of ${rounds}\n\n| | ms | x five raw verifications |\n|---|---:|---:|`);
  for (const [name, ms] of rows) console.log(`| ${name} | ${ms.toFixed(2)} | ${(ms / limit).toFixed(2)} |`);
}

/** The same in a page, with the service on the page's origin. */
async function inChromium(setting) {
  const contents = `
    import * as lib from "./dist/index.js";
    import { measure } from "./bench/rounds.mjs";
    globalThis.measure = (setting) => measure(lib, { ...setting, base: "" });
  `;
  const resolveDir = new URL("..", import.meta.url).pathname;
  const bundle = await build({ stdin: { contents, resolveDir }, bundle: true, format: "esm", target: "es2022", write: false });
  const server = createServer(async (request, response) => {
    if (request.url.startsWith("/v1/")) {
      const body = await new Response(request).text();
      const init = { method: request.method, headers: { "content-type": "application/json" }, body };
      const answer = await fetch(service.url + request.url, init);
      response.writeHead(answer.status, { "content-type": "application/json" }).end(Buffer.from(await answer.arrayBuffer()));
      return;
    }
    const isScript = request.url === "/bench.js";
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? bundle.outputFiles[0].contents : '<!doctype html><script type="module" src="/bench.js"></script>');
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const browser = await startBrowser();
  try {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${server.address().port}/`);
    await page.waitForFunction(() => globalThis.measure !== undefined);
    return [browser.version(), await page.evaluate((setting) => globalThis.measure(setting), setting)];
  } finally {
    await browser.close();
    server.close();
  }
}
