// The environment of a runtime under test: a service, the suite's input, and a server to report to.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { answerFiles, attestationFiles, realDocumentEntries, vectors } from "../support/files.mjs";
import { startService } from "../support/service.mjs";

/** The time limit of a runtime, generous for a busy machine. */
const TIMEOUT_MS = 300_000;
const PROTOCOL = ["key-descriptor", "batch", "ids", "seal", "reply", "hpke"];
/** A page that runs the suite. The bundle is a module, so every browser reads it as UTF-8. */
const PAGE = `<!doctype html><html lang="en"><title>suite</title>
<script type="module">import { report } from "/suite.js"; await report(location.origin + location.pathname.slice(0, -1));</script>`;

/** Starts a service, and a server beside it. */
export async function startHarness() {
  const service = await startService("--cors-allowed-origins", "*");
  const harness = new Harness(service);
  await harness.listen();
  return harness;
}

class Harness {
  #service;
  #server = createServer((request, response) => this.#answer(request, response));
  /** By runtime: its input, and the callback for its report. */
  #runs = new Map();
  #redirected = 0;
  #bundle;

  constructor(service) {
    this.#service = service;
  }

  async listen() {
    await new Promise((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${this.#server.address().port}`;
    this.folder = this.#service.folder;
  }

  stop() {
    this.#server.closeAllConnections();
    this.#server.close();
    this.#service.stop();
  }

  /**
   * Runs the suite in a runtime, and checks every verdict.
   *
   * @param {string} name The runtime.
   * @param {{ withVectors?: boolean, usesXhr?: boolean }} options `withVectors`: more than the main job.
   *   `usesXhr`: its `fetch` uses `XMLHttpRequest`, which follows redirects and reads bodies whole.
   * @param {(base: string) => Promise<() => unknown>} start Starts it with the address to report to, and
   *   returns what stops it.
   */
  async run(name, { withVectors = true, usesXhr = false }, start) {
    this.#redirected = 0;
    const slug = name.replace(/\W+/g, "-");
    let stop;
    let timer;
    try {
      const report = await new Promise((resolve, reject) => {
        this.#runs.set(slug, { withVectors, usesXhr, resolve });
        timer = setTimeout(() => reject(new Error(`${name} did not report in time`)), TIMEOUT_MS);
        start(`${this.url}/${slug}`, reject).then((end) => void (stop = end), reject);
      });
      this.#judge(name, report, withVectors, usesXhr);
    } finally {
      clearTimeout(timer);
      await stop?.();
    }
  }

  /** Starts a program that reports. If it ends before, that is a failure. */
  program(command, flags, options = {}) {
    return async (base, reject) => {
      const child = spawn(command, flags(base), { stdio: ["ignore", "pipe", "pipe"], ...options });
      let output = "";
      for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => void (output += data));
      child.on("error", reject);
      child.on("exit", (code) => reject(new Error(`${command} ended with ${code}:\n${output}`)));
      return () => {
        if (child.exitCode !== null || child.signalCode !== null) return undefined;
        const ended = new Promise((resolve) => child.on("exit", resolve));
        child.kill("SIGKILL");
        return ended;
      };
    };
  }

  /** The suite as one script: "esm" exports `report`, "iife" makes it a global. */
  async bundle(format, more = {}) {
    const { outputFiles } = await build({
      entryPoints: [fileURLToPath(new URL("suite.mjs", import.meta.url))],
      bundle: true,
      format,
      globalName: format === "iife" ? "suite" : undefined,
      target: "es2022",
      write: false,
      ...more,
    });
    return outputFiles[0].text;
  }

  #judge(name, { outcomes, failed }, withVectors, usesXhr) {
    assert.equal(failed, undefined, `${name}: ${failed}`);
    for (const outcome of outcomes) {
      const isFollowed = usesXhr && outcome.name === "a redirect";
      assert.deepEqual(outcome.found, isFollowed ? '"live"' : outcome.expected, `${name}: ${outcome.name}`);
    }
    assert.equal(this.#redirected, usesXhr ? 1 : 0, `${name} follows redirects`);
    assert.ok(outcomes.length >= (withVectors ? 2000 : 16), `${outcomes.length}`);
    console.log(`${name}: ${outcomes.length} outcomes agree`);
  }

  async #answer(request, response) {
    const [, slug, ...rest] = request.url.split("/");
    const path = rest.join("/");
    const run = this.#runs.get(slug);
    response.setHeader("access-control-allow-origin", "*");
    response.setHeader("access-control-expose-headers", "retry-after");
    if (slug === "suite.js") {
      this.#bundle ??= this.bundle("esm");
      response.setHeader("content-type", "text/javascript").end(await this.#bundle);
    } else if (slug === "odd") {
      this.#odd(path, request, response);
    } else if (run === undefined) {
      response.writeHead(404).end();
    } else if (path === "") {
      response.setHeader("content-type", "text/html").end(PAGE);
    } else if (path === "input.json") {
      response.setHeader("content-type", "application/json").end(JSON.stringify(this.#input(run)));
    } else {
      let body = "";
      for await (const part of request.setEncoding("utf8")) body += part;
      response.end();
      run.resolve(JSON.parse(body));
    }
  }

  #input({ withVectors, usesXhr }) {
    const { url, rootPem, measurements } = this.#service;
    const service = { url, rootPem, measurements, odd: `${this.url}/odd`, long: usesXhr ? "long" : "endless" };
    if (!withVectors) return { service };
    const protocol = Object.fromEntries(PROTOCOL.map((name) => [name, vectors(`v1/${name}.json`)]));
    const attestation = attestationFiles().map(([, file]) => file);
    const real = realDocumentEntries();
    return { service, vectors: { answers: answerFiles(), attestation, protocol, releases: vectors("v1/releases.json"), real } };
  }

  /** Services that misbehave. */
  #odd(path, request, response) {
    const [kind] = path.split("/");
    if (kind === "busy") response.writeHead(503, { "retry-after": "7" }).end("<h1>busy</h1>");
    if (kind === "redirect") response.writeHead(307, { location: `${this.url}/odd/redirected` }).end();
    if (kind === "redirected") {
      this.#redirected++;
      response.end('{"state":"live"}');
    }
    if (kind === "long") response.end(" ".repeat((1 << 20) + 1));
    if (kind === "endless") {
      const timer = setInterval(() => response.write(" ".repeat(1 << 16)), 1);
      request.on("close", () => clearInterval(timer));
    }
  }
}
