// Opens one HPKE message again and again by npm's `hpke`, over WebCrypto: see open.py for the arguments and
// the output. The package is the one that clients/js has installed.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const packages = createRequire(new URL("../../../clients/js/package.json", import.meta.url));
const path = packages.resolve("hpke");
const { AEAD_AES_256_GCM, CipherSuite, KDF_HKDF_SHA384, KEM_DHKEM_P384_HKDF_SHA384 } = await import(pathToFileURL(path));
const { version } = JSON.parse(readFileSync(packages.resolve("hpke/package.json"), "utf8"));

const [scalar, enc, ciphertext, plaintext] = process.argv.slice(2, 6).map((hex) => new Uint8Array(Buffer.from(hex, "hex")));
const [rounds, roundMs] = process.argv.slice(6).map(Number);

const suite = new CipherSuite(KEM_DHKEM_P384_HKDF_SHA384, KDF_HKDF_SHA384, AEAD_AES_256_GCM);
const privateKey = await suite.DeserializePrivateKey(scalar, true);
// With its public key, which the library would otherwise compute for every message.
const { d: _, ...point } = await crypto.subtle.exportKey("jwk", privateKey);
const curve = { name: "ECDH", namedCurve: "P-384" };
const publicKey = await crypto.subtle.importKey("jwk", { ...point, key_ops: [] }, curve, true, []);
const keys = { privateKey, publicKey };
const info = new TextEncoder().encode("info");
let best = Number.POSITIVE_INFINITY;
// The first round warms caches and clocks up.
for (let number = 0; number <= rounds; number++) {
  const begun = process.cpuUsage();
  let [opened, spentNs] = [0, 0];
  while (spentNs < roundMs * 1e6) {
    assert.deepEqual(await suite.Open(keys, enc, ciphertext, { info }), plaintext);
    opened++;
    const { user, system } = process.cpuUsage(begun);
    spentNs = (user + system) * 1000;
  }
  if (number > 0) best = Math.min(best, spentNs / opened);
}
console.log(version, best);
