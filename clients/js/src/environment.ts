// Whether this browser or runtime has what the package needs.

import { equal, fromUtf8, utf8 } from "./bytes.js";
import { Ok2cryError, refuse } from "./error.js";
import { onPlatform, randomBytes, sha256, sha384, verifyEd25519 } from "./webcrypto.js";

/** Known bytes in and out. */
const MESSAGE = Uint8Array.of(0xc3, 0xa9);

/** What is needed, by the name that a missing one is told by. Each throws, or answers false, where it is not there. */
const NEEDS: Readonly<Record<string, () => boolean | Promise<boolean>>> = {
  "TextEncoder and TextDecoder": () => equal(utf8(fromUtf8(MESSAGE) ?? ""), MESSAGE),
  "crypto.getRandomValues": () => !equal(randomBytes(32), randomBytes(32)),
  "SHA-256 and SHA-384": async () => (await sha256(MESSAGE)).length + (await sha384(MESSAGE)).length === 80,
  "ECDSA P-384": () =>
    onPlatform("ECDSA P-384", async (subtle) => {
      const algorithm = { name: "ECDSA", namedCurve: "P-384", hash: "SHA-384" };
      const keys = (await subtle.generateKey(algorithm, false, ["sign", "verify"])) as CryptoKeyPair;
      return subtle.verify(algorithm, keys.publicKey, await subtle.sign(algorithm, keys.privateKey, MESSAGE), MESSAGE);
    }),
  "ECDH P-384": () => onPlatform("ECDH P-384", agrees),
  "HKDF-SHA384 (as HMAC)": () =>
    onPlatform("HMAC", async (subtle) => {
      const key = await subtle.importKey("raw", MESSAGE, { name: "HMAC", hash: "SHA-384" }, false, ["sign"]);
      return (await subtle.sign("HMAC", key, MESSAGE)).byteLength === 48;
    }),
  "AES-256-GCM": () =>
    onPlatform("AES-GCM", async (subtle) => {
      const key = await subtle.importKey("raw", randomBytes(32), "AES-GCM", false, ["encrypt", "decrypt"]);
      const algorithm = { name: "AES-GCM", iv: randomBytes(12), tagLength: 128 };
      const opened = await subtle.decrypt(algorithm, key, await subtle.encrypt(algorithm, key, MESSAGE));
      return equal(new Uint8Array(opened), MESSAGE);
    }),
  "Ed25519 (Chrome and Edge 137, Firefox 129, Safari 17, Node 20)": () =>
    onPlatform("Ed25519", async (subtle) => {
      const keys = (await subtle.generateKey("Ed25519", true, ["sign", "verify"])) as CryptoKeyPair;
      const key = new Uint8Array(await subtle.exportKey("raw", keys.publicKey));
      return verifyEd25519(key, MESSAGE, new Uint8Array(await subtle.sign("Ed25519", keys.privateKey, MESSAGE)));
    }),
};

/**
 * Checks that this browser or runtime has what the package needs, by using each of it once; it takes some milliseconds. Call it
 * before people are asked for their input, and send what it says to those who operate the page.
 *
 * @throws {Ok2cryError} `crypto_failed`, whose message names everything that is missing; its `cause` is what the first of it threw.
 */
export async function checkEnvironment(): Promise<void> {
  if (globalThis.crypto?.subtle === undefined) {
    const why = globalThis.isSecureContext === false ? " (this page is not a secure context)" : "";
    refuse("crypto_failed", `crypto.subtle is missing${why}: serve the page over https, or from localhost`);
  }
  const missing: string[] = [];
  let cause: unknown;
  for (const [name, isThere] of Object.entries(NEEDS)) {
    try {
      if (await isThere()) continue;
    } catch (error) {
      cause ??= error instanceof Ok2cryError ? (error.cause ?? error) : error;
    }
    missing.push(name);
  }
  const what = "use a newer browser or runtime, or give it what is missing before this package is loaded";
  if (missing.length > 0) refuse("crypto_failed", `this environment lacks ${missing.join("; ")}: ${what}`, { cause });
}

async function agrees(subtle: SubtleCrypto): Promise<boolean> {
  const algorithm = { name: "ECDH", namedCurve: "P-384" };
  const pair = async () => (await subtle.generateKey(algorithm, false, ["deriveBits"])) as CryptoKeyPair;
  const [a, b] = [await pair(), await pair()];
  const secret = async (own: CryptoKey, theirs: CryptoKey) =>
    new Uint8Array(await subtle.deriveBits({ name: "ECDH", public: theirs }, own, 384));
  return equal(await secret(a.privateKey, b.publicKey), await secret(b.privateKey, a.publicKey));
}
