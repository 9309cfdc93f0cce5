// The README's example, in a project.
import {
  fetchKey,
  fetchReleases,
  fromBase64Url,
  Ok2cryError,
  pad,
  ReleaseKey,
  ReleaseState,
  Trust,
  TrustAnchor,
} from "@ok2cry/client";

const SERVICE = "https://keys.example";
const RELEASE_KEYS = ["-----BEGIN PUBLIC KEY-----\n…\n-----END PUBLIC KEY-----\n"];
const ISSUER = "BH96";
const bytes = (text: string) => new TextEncoder().encode(text);

export async function sealPin(pin: string, order: string): Promise<string> {
  const anchor = TrustAnchor.awsNitro();
  const releaseKey = await ReleaseKey.fromPems(2, RELEASE_KEYS);
  const releases = await fetchReleases(
    SERVICE,
    releaseKey,
    anchor,
    ReleaseState.keptIn(() => localStorage),
  );
  const trust = Trust.fromReleases(anchor, releases);

  const key = await fetchKey(SERVICE, trust, { purpose: "card-pin", ttlMs: 60_000, recipient: fromBase64Url(ISSUER) });
  return JSON.stringify(await key.seal({ plaintext: pad(bytes(pin)), aad: bytes(order) }));
}

document.querySelector("form")?.addEventListener("submit", (event) => {
  event.preventDefault();
  sealPin("4931", "order 17").catch((error: unknown) => {
    document.title = error instanceof Ok2cryError ? error.code : "failed";
  });
});
