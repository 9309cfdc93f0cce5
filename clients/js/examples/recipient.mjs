// A recipient: makes a key pair, has messages opened, and reads the replies.
//
//   node examples/recipient.mjs new issuer.pem                                  prints the public key
//   node examples/recipient.mjs open issuer.pem "order 17" < message.json       prints the plaintext
//
// `open` reads OK2CRY_URL, OK2CRY_ROOT and OK2CRY_MEASUREMENTS, as examples/seal.mjs does.

import { readFileSync, writeFileSync } from "node:fs";
import {
  Measurements,
  openMessage,
  Policy,
  RecipientKey,
  ReplaySet,
  SealedMessage,
  Trust,
  TrustAnchor,
  toBase64Url,
  unpad,
} from "@ok2cry/client";

const [command, file, order] = process.argv.slice(2);
if (command === "new" && file !== undefined) {
  const recipient = await RecipientKey.generate({ extractable: true });
  writeFileSync(file, await recipient.toPem(), { flag: "wx", mode: 0o600 });
  console.log(toBase64Url(recipient.publicKey));
} else if (command === "open" && order !== undefined) {
  process.stdout.write(await open(await RecipientKey.fromPem(readFileSync(file, "utf8")), order));
} else {
  throw new Error("usage: recipient.mjs new FILE | recipient.mjs open FILE AAD < MESSAGE");
}

async function open(recipient, order) {
  const { OK2CRY_URL, OK2CRY_ROOT, OK2CRY_MEASUREMENTS } = process.env;
  const anchor = TrustAnchor.fromPem(readFileSync(OK2CRY_ROOT, "utf8"));
  const policy = Policy.of(Measurements.fromNitroCliJson(readFileSync(OK2CRY_MEASUREMENTS, "utf8")));
  const trust = new Trust(anchor, policy);

  const reply = await openMessage(OK2CRY_URL, SealedMessage.parse(readFileSync(0)));
  // What this recipient expects, from its own records: not from the message.
  const expected = { purpose: "card-pin", aad: new TextEncoder().encode(order) };
  // A backend implements ReplayGuard over its database, so that no reply acts twice.
  // This set ends with the process.
  const { plaintext } = await recipient.open(reply, expected, trust, new ReplaySet());
  return unpad(plaintext);
}
