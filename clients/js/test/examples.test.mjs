// The programs in examples/, against a development enclave.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { startService } from "./support/service.mjs";

let service;

before(async () => {
  service = await startService();
});
after(() => service?.stop());

/** Runs an example with this input, and returns what it prints. */
function run(name, flags, input = "") {
  const program = fileURLToPath(new URL(`../examples/${name}`, import.meta.url));
  const path = (file) => join(service.folder, file);
  const env = {
    ...process.env,
    OK2CRY_URL: service.url,
    OK2CRY_ROOT: path("root.pem"),
    OK2CRY_MEASUREMENTS: path("measurements.json"),
  };
  return execFileSync(process.execPath, [program, ...flags], { input, env, encoding: "utf8", stdio: ["pipe", "pipe", "pipe"] });
}

test("the examples deliver a PIN", () => {
  const file = join(service.folder, "issuer.pem");
  const recipient = run("recipient.mjs", ["new", file]).trim();
  const message = run("seal.mjs", [recipient, "order 17"], "4931");
  assert.equal(run("recipient.mjs", ["open", file, "order 17"], message), "4931");
  assert.throws(() => run("recipient.mjs", ["open", file, "order 18"], message), /aad_mismatch/);
});

test("an example does not overwrite a private key", () => {
  const file = join(service.folder, "kept.pem");
  writeFileSync(file, "kept");
  assert.throws(() => run("recipient.mjs", ["new", file]), /EEXIST/);
});
