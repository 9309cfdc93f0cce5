// A backend without a bundler, and the input of bundlers.
import { RecipientKey, toBase64Url } from "@ok2cry/client";
import { TrustAnchor, Verifier } from "@ok2cry/client/attestation";

new Verifier(TrustAnchor.awsNitro());
RecipientKey.generate().then((key) => console.log(`recipient: ${toBase64Url(key.publicKey)}`));
