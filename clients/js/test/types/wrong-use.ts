// What must not compile: each line after a @ts-expect-error is an error, or `tsc` fails.

import {
  AcceptedDocument,
  AcceptedReleases,
  AttestedBatch,
  type KeyRequest,
  KeyRequest as KeyRequestClass,
  Ok2cryError,
  Policy,
  type RecipientKey,
  type ReleaseKey,
  type Trust,
  VerifiedDocument,
  VerifiedKey,
} from "@ok2cry/client";

declare const request: KeyRequest;
declare const recipient: RecipientKey;
declare const releaseKey: ReleaseKey;
declare const trust: Trust;
declare const error: Ok2cryError;
declare const key: VerifiedKey;
const bytes = new Uint8Array(1);
const expected = { purpose: "card-pin", aad: bytes };

// @ts-expect-error Only KeyRequest makes verified keys.
new VerifiedKey();
// @ts-expect-error Only a Verifier makes verified documents.
new VerifiedDocument();
// @ts-expect-error Only a Policy makes accepted documents.
new AcceptedDocument();
// @ts-expect-error Only a ReleaseKey makes accepted releases.
new AcceptedReleases();
// @ts-expect-error Only a Trust makes attested batches.
new AttestedBatch();
// @ts-expect-error Only KeyRequest.create makes requests.
new KeyRequestClass();
// @ts-expect-error An object with a document's fields is not a document.
Policy.insecureWithoutPcrs().appraise({ pcrs: new Map() });
// @ts-expect-error An object with a key's methods is not a verified key.
export const forged: VerifiedKey = { keyId: "", seal: async () => bytes };

// @ts-expect-error An answer is verified under a Trust.
await request.verify("{}", bytes);
// @ts-expect-error The option is ttlMs.
await KeyRequestClass.create({ purpose: "card-pin", ttl: 60_000, recipient: bytes });
// @ts-expect-error A recipient is bytes.
await KeyRequestClass.create({ purpose: "card-pin", ttlMs: 60_000, recipient: "BH96" });

// @ts-expect-error Plaintext is bytes, which can be overwritten.
await key.seal({ plaintext: "4931", aad: bytes });
// @ts-expect-error Plaintext and aad have names, so that they cannot be swapped.
await key.seal(bytes, bytes);
// @ts-expect-error A message has an aad.
await key.seal({ plaintext: bytes });

// @ts-expect-error A recipient has a replay guard.
await recipient.open("{}", expected, trust);
// @ts-expect-error A guard returns a boolean, not what its database returns.
await recipient.open("{}", expected, trust, { insert: async () => ({ rowCount: 1 }) });

// @ts-expect-error A policy's setters begin with "with".
Policy.insecureWithoutPcrs().nonce(bytes);
// @ts-expect-error An age is a number of milliseconds.
Policy.insecureWithoutPcrs().withMaxAgeMs("5m");
// @ts-expect-error A version is a string.
releaseKey.withMinimumVersion(1);

// @ts-expect-error This is not a code.
export const isTypo = error.code === "key_expird";
// @ts-expect-error Errors come from this package alone.
new Ok2cryError("key_expired", "");
