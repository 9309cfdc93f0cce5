// Compiles with and without the types of a browser or of Node.
import { type Fetch, fetchKey, keyState, RecipientKey, ReleaseState, type Trust } from "@ok2cry/client";
import { type AcceptedDocument, TrustAnchor, Verifier } from "@ok2cry/client/attestation";

export const verifier: Verifier = new Verifier(TrustAnchor.awsNitro());
export const state: ReleaseState = ReleaseState.decode("{}");
export type Documents = AcceptedDocument[];

export async function keyFor(trust: Trust, recipient: RecipientKey, fetch: Fetch): Promise<string> {
  const again = await RecipientKey.fromKeyPair(recipient.keyPair);
  const wanted = { purpose: "card-pin", ttlMs: 60_000, recipient: again.publicKey };
  const own: Fetch = (url, init) => fetch(url, { ...init, headers: { ...init.headers, authorization: "Bearer x" } });
  const key = await fetchKey({ href: "https://keys.example" }, trust, wanted, { fetch: own, timeoutMs: 1000 });
  return keyState("https://keys.example", key.keyId);
}
