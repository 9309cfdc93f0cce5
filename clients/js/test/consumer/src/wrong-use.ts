// What must not compile. Not part of the page.
import { AcceptedDocument, type KeyRequest, Policy, type Trust, VerifiedDocument, VerifiedKey } from "@ok2cry/client";

declare const request: KeyRequest;
declare const trust: Trust;
const bytes = new Uint8Array(1);

// @ts-expect-error An unverified key.
new VerifiedKey();
// @ts-expect-error A document that nobody verified.
new VerifiedDocument();
// @ts-expect-error One that nobody appraised.
new AcceptedDocument();
// @ts-expect-error A genuine document is not an accepted one.
Policy.insecureWithoutPcrs().appraise({ pcrs: new Map() });
// @ts-expect-error An object that looks like a key.
const key: VerifiedKey = { keyId: "", seal: async () => bytes };
// @ts-expect-error An answer is verified against a trust, not against bytes.
await request.verify("{}", bytes);
// @ts-expect-error A plaintext is bytes, which can be overwritten.
await (await request.verify("{}", trust))[0]?.seal({ plaintext: "4931", aad: bytes });

export { key };
