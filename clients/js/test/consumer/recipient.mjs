// A recipient, often a backend.
import { RecipientKey, toBase64Url } from "@ok2cry/client";
import { TrustAnchor, Verifier } from "@ok2cry/client/attestation";

new Verifier(TrustAnchor.awsNitro());
const key = await RecipientKey.generate();
console.log(`recipient: ${toBase64Url(key.publicKey)}`);
