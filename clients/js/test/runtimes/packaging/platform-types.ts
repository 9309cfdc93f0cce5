// The platform's own types fit, if a project has them.
import { fetchKey, keyState, RecipientKey, type Trust } from "@ok2cry/client";

export async function calls(trust: Trust, recipient: RecipientKey): Promise<void> {
  const base = new URL("https://keys.example");
  const typed: typeof fetch = (input, init) => fetch(input, init);
  const around = { fetch: (url: string, init: RequestInit) => fetch(url, init), signal: AbortSignal.timeout(1000) };
  const wanted = { purpose: "card-pin", ttlMs: 60_000, recipient: recipient.publicKey };
  const key = await fetchKey(base, trust, wanted, { fetch, signal: new AbortController().signal });
  await keyState(base, key.keyId, { fetch: typed });
  await keyState(base, key.keyId, around);
  const { privateKey } = recipient.keyPair;
  await crypto.subtle.exportKey("pkcs8", privateKey);
  const made = await crypto.subtle.generateKey({ name: "ECDH", namedCurve: "P-384" }, true, ["deriveBits"]);
  if ("privateKey" in made) await RecipientKey.fromKeyPair(made);
}
