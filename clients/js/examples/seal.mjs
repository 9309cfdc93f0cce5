// Seals standard input to a fresh key for one recipient, and prints the message as JSON.
//
//   export OK2CRY_URL=http://127.0.0.1:8080 OK2CRY_ROOT=root.pem OK2CRY_MEASUREMENTS=measurements.json
//   printf 4931 | node examples/seal.mjs RECIPIENT "order 17" > message.json
//
// RECIPIENT is the public key that `node examples/recipient.mjs new issuer.pem` prints.

import { readFileSync } from "node:fs";
import { fetchKey, Measurements, Policy, pad, publicKeyFromText, Trust, TrustAnchor } from "@ok2cry/client";

const [recipient, order] = process.argv.slice(2);
if (order === undefined) throw new Error("usage: seal.mjs RECIPIENT AAD < PLAINTEXT");
const { OK2CRY_URL, OK2CRY_ROOT, OK2CRY_MEASUREMENTS } = process.env;

// Development: one image under a mock's root. In production use ReleaseKey and Trust.fromReleases.
const anchor = TrustAnchor.fromPem(readFileSync(OK2CRY_ROOT, "utf8"));
const policy = Policy.of(Measurements.fromNitroCliJson(readFileSync(OK2CRY_MEASUREMENTS, "utf8")));
const trust = new Trust(anchor, policy);

const key = await fetchKey(OK2CRY_URL, trust, {
  purpose: "card-pin",
  ttlMs: 60_000,
  recipient: await publicKeyFromText(recipient),
});
const plaintext = readFileSync(0);
const message = await key.seal({ plaintext: pad(plaintext), aad: new TextEncoder().encode(order) });
plaintext.fill(0);
console.log(JSON.stringify(message));
