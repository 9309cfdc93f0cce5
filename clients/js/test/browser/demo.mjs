// The demo, and a browser in front of it, for the tests of the page.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const root = new URL("../../../../", import.meta.url);
const artifacts = new URL("../../artifacts/", import.meta.url);
/** The time limit of any step, generous for a busy machine. */
export const TIMEOUT_MS = 30_000;

/** Starts the demo at a free port, and returns its page's address. `stop` ends all of its processes. */
export async function startDemo() {
  const target = process.env.CARGO_TARGET_DIR ?? fileURLToPath(new URL("target", root));
  const demo = spawn(`${target}/debug/ok2cry-demo`, { env: { ...process.env, DEMO_PORT: "0" }, stdio: ["pipe", "pipe", "pipe"] });
  let output = "";
  const url = await new Promise((resolve, reject) => {
    const read = (data) => {
      output += data;
      const address = /^ {4}(http:\/\/127\.0\.0\.1:\d+)\/$/m.exec(output);
      if (address) resolve(address[1]);
    };
    demo.stdout.on("data", read);
    demo.stderr.on("data", read);
    demo.on("error", reject);
    demo.on("exit", (code) => reject(new Error(`the demo ended with ${code}:\n${output}`)));
  });
  const stop = async () => {
    const service = /OK2CRY_URL=(.*)/.exec(output)[1];
    assert.equal((await fetch(`${service}/healthz`)).status, 200);
    const ended = new Promise((resolve) => demo.on("exit", resolve));
    demo.kill("SIGTERM");
    assert.equal(await ended, 0);
    await assert.rejects(fetch(`${service}/healthz`), "the service has outlived the demo");
  };
  return { url, stop };
}

/** Starts the browser: Debian's, unless CHROMIUM names another. */
export function startBrowser() {
  const isRoot = process.getuid?.() === 0;
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: isRoot ? ["--no-sandbox"] : [] });
}

/** A visitor: a browser context, and a record of everything observable that the page does. */
export class Visitor {
  /** @type {string[]} Console messages, exceptions and policy violations. */
  problems = [];
  /** @type {{ method: string, url: string, body: Buffer }[]} */
  requests = [];

  constructor(context, page) {
    this.context = context;
    this.page = page;
  }

  static async at(url, browser, options = {}) {
    const context = await browser.newContext({ reducedMotion: "reduce", ...options });
    context.setDefaultTimeout(TIMEOUT_MS);
    const page = await context.newPage();
    const visitor = new Visitor(context, page);
    page.on("console", (message) => visitor.problems.push(`${message.type()}: ${message.text()}`));
    page.on("pageerror", (error) => visitor.problems.push(String(error)));
    page.on("requestfailed", (request) => {
      const why = request.failure()?.errorText;
      // Chromium logs this for answers that were read as streams, to their end. The page shows whether one
      // was read.
      if (why !== "net::ERR_ABORTED") visitor.problems.push(`failed: ${request.url()}: ${why}`);
    });
    await page.exposeFunction("policyBroken", (what) => visitor.problems.push(`policy: ${what}`));
    await page.addInitScript(() => {
      addEventListener("securitypolicyviolation", (event) =>
        globalThis.policyBroken(`${event.violatedDirective} ${event.blockedURI}`),
      );
    });
    page.on("request", (request) => {
      const body = request.postDataBuffer() ?? Buffer.alloc(0);
      visitor.requests.push({ method: request.method(), url: request.url(), body });
    });
    await page.goto(`${url}/`);
    await page.locator("#check-releases[data-state=held]").waitFor();
    return visitor;
  }

  /** Types a PIN, chooses a host, and pays. */
  async pay({ host = "honest", pin = "4931", pause = false } = {}) {
    await this.page.getByRole("radio", { name: HOSTS[host] }).check();
    await this.page.getByLabel("Stop before encrypting").setChecked(pause);
    await this.page.getByLabel("PIN", { exact: true }).fill(pin);
    await this.page.getByRole("button", { name: /^Pay/ }).click();
  }

  paid() {
    return this.page.getByRole("heading", { name: "Paid" }).waitFor();
  }

  /** The code of the refusal, once the page shows one. */
  async refusal() {
    await this.page.locator("#refusal").waitFor();
    return this.page.locator("#refusal-title code").textContent();
  }

  /** What the merchant has received so far. */
  sent() {
    return this.requests.filter(({ url }) => new URL(url).pathname === "/merchant/orders");
  }

  /** The states of the checks, in order. */
  checks() {
    return this.page.locator("#checks > li").evaluateAll((items) => items.map((item) => item.dataset.state));
  }

  /** Saves a screenshot of the whole page. */
  async picture(name) {
    await mkdir(artifacts, { recursive: true });
    await this.page.screenshot({ path: fileURLToPath(new URL(`${name}.png`, artifacts)), fullPage: true });
  }

  async leave() {
    await this.context.close();
  }
}

/** The page's names for the host's behaviours. */
export const HOSTS = {
  honest: /^Honest/,
  "swapped-key": /^Swaps the key/,
  "other-image": /^Runs another image/,
  "old-answer": /^Replays an old answer/,
  "old-releases": /^Hides a newer list/,
  late: /^Answers late/,
};

/** All spellings of a secret of digits: plain, hexadecimal, and base64 at each alignment. */
export function spellings(secret) {
  const bytes = Buffer.from(secret);
  const found = new Set([secret, [...secret].reverse().join(""), bytes.toString("hex")]);
  for (let before = 0; before < 3; before++) {
    const whole = Buffer.concat([Buffer.alloc(before), bytes]);
    // The characters that depend on the secret alone: whole groups of six of its bits.
    const text = whole.toString("base64url").slice(Math.ceil((8 * before) / 6), Math.floor((8 * whole.length) / 6));
    found.add(text);
    found.add(text.replace(/-/g, "+").replace(/_/g, "/"));
  }
  return [...found];
}
