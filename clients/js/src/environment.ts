// Whether this browser or runtime has what the package needs.

import { equal, fromUtf8, utf8 } from "./bytes.js";
import { type Ok2cryError, refuse } from "./error.js";
import { ECDH_P384, isPair, onPlatform, randomBytes, sha256, sha384, verifyEd25519 } from "./webcrypto.js";

/** Two bytes of UTF-8. */
const MESSAGE = Uint8Array.of(0xc3, 0xa9);

type Check = (subtle: SubtleCrypto) => Promise<boolean>;

/** What is needed, by the name that errors use. Each check throws or returns false if it is missing. */
const CHECKS: Readonly<Record<string, Check>> = {
  "TextEncoder and TextDecoder": async () => equal(utf8(fromUtf8(MESSAGE) ?? ""), MESSAGE),
  "crypto.getRandomValues": async () => !equal(randomBytes(32), randomBytes(32)),
  "SHA-256 and SHA-384": async () => (await sha256(MESSAGE)).length + (await sha384(MESSAGE)).length === 80,
  "ECDSA P-384": async (subtle) => {
    const algorithm = { name: "ECDSA", namedCurve: "P-384", hash: "SHA-384" };
    const { privateKey, publicKey } = await pair(subtle, algorithm, ["sign", "verify"]);
    return subtle.verify(algorithm, publicKey, await subtle.sign(algorithm, privateKey, MESSAGE), MESSAGE);
  },
  "ECDH P-384": async (subtle) => isPair(await pair(subtle, ECDH_P384, ["deriveBits"])),
  "HKDF-SHA384 (by HMAC)": async (subtle) => {
    const key = await subtle.importKey("raw", MESSAGE, { name: "HMAC", hash: "SHA-384" }, false, ["sign"]);
    return (await subtle.sign("HMAC", key, MESSAGE)).byteLength === 48;
  },
  "AES-256-GCM": async (subtle) => {
    const key = await subtle.importKey("raw", randomBytes(32), "AES-GCM", false, ["encrypt", "decrypt"]);
    const algorithm = { name: "AES-GCM", iv: randomBytes(12), tagLength: 128 };
    return equal(new Uint8Array(await subtle.decrypt(algorithm, key, await subtle.encrypt(algorithm, key, MESSAGE))), MESSAGE);
  },
  Ed25519: async (subtle) => {
    const { privateKey, publicKey } = await pair(subtle, { name: "Ed25519" }, ["sign", "verify"]);
    const signature = new Uint8Array(await subtle.sign("Ed25519", privateKey, MESSAGE));
    return verifyEd25519(new Uint8Array(await subtle.exportKey("raw", publicKey)), MESSAGE, signature);
  },
};

/**
 * Checks that this browser or runtime has what the package needs, by using each part once. It takes some
 * milliseconds. Call it before users enter data, and report its error to the page's operator.
 *
 * @throws {Ok2cryError} `crypto_failed`, whose message names everything that is missing. Its `cause` is the
 *   first error.
 */
export async function checkEnvironment(): Promise<void> {
  const missing: string[] = [];
  let cause: unknown;
  for (const [name, check] of Object.entries(CHECKS)) {
    try {
      if (await onPlatform(name, check)) continue;
    } catch (error) {
      // Without `crypto.subtle` the message is complete.
      if ((error as Ok2cryError).cause === undefined) throw error;
      cause ??= (error as Ok2cryError).cause;
    }
    missing.push(name);
  }
  if (missing.length > 0) refuse("crypto_failed", `${missing.join(", ")} missing: use a newer browser or runtime`, { cause });
}

async function pair(subtle: SubtleCrypto, algorithm: AlgorithmIdentifier, usages: KeyUsage[]): Promise<CryptoKeyPair> {
  return (await subtle.generateKey(algorithm, true, usages)) as CryptoKeyPair;
}
