// An enclave with a mock NSM and its parent, as two processes.

import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const top = fileURLToPath(new URL("../../../../", import.meta.url));

/** The folder of the Rust programs. */
export const programs = join(process.env.CARGO_TARGET_DIR ?? join(top, "target"), "debug");

/** Starts both, with further flags for the parent. `stop` ends them. */
export async function startService(...flagsOfParent) {
  const folder = mkdtempSync(join(tmpdir(), "ok2cry-js-"));
  const path = (name) => join(folder, name);
  const children = [];
  const start = (program, ...flags) => {
    const child = spawn(join(programs, program), flags, {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, RUST_LOG: "error" },
    });
    children.push(child);
    return child;
  };
  const stop = () => {
    for (const child of children) child.kill();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const socket = `unix://${path("enclave.sock")}`;
    start(
      "ok2cry-enclave-dev",
      "--listen",
      socket,
      "--root-out",
      path("root.pem"),
      "--measurements-out",
      path("measurements.json"),
    );
    const parent = start(
      "ok2cry-parent",
      "--listen",
      "127.0.0.1:0",
      "--enclave",
      socket,
      "--log-level",
      "error",
      ...flagsOfParent,
    );
    const url = await line(parent, /^listening on (http:\S+)$/m);
    await until(async () => (await fetch(`${url}/readyz`)).ok);
    return {
      url,
      rootPem: readFileSync(path("root.pem"), "utf8"),
      measurements: readFileSync(path("measurements.json"), "utf8"),
      folder,
      stop,
    };
  } catch (error) {
    stop();
    throw error;
  }
}

/** Waits for a condition; tests never wait for a time. */
export async function until(condition) {
  const deadline = Date.now() + 60_000;
  for (;;) {
    if (await condition()) return;
    if (Date.now() > deadline) throw new Error("what was waited for did not happen within a minute");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** What a pattern's first group matches in a process's output. */
export function line(child, pattern) {
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout.on("data", (data) => {
      text += data;
      const found = pattern.exec(text);
      if (found !== null) resolve(found[1]);
    });
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`${child.spawnfile} ended with ${code} before it said ${pattern}: ${text}`)));
  });
}
