// HPKE (RFC 9180) in the one supported suite, by the library `hpke`, a thin layer over WebCrypto.

import { AEAD_AES_256_GCM, CipherSuite, type KDF, KDF_HKDF_SHA384, type KEM, KEM_DHKEM_P384_HKDF_SHA384 } from "hpke";
import { type Bytes, concat } from "./bytes.js";
import { onPlatform } from "./webcrypto.js";

/** The plaintext, and what it is bound to. */
export interface SealInput {
  readonly plaintext: Uint8Array;
  readonly aad: Uint8Array;
  readonly info: Uint8Array;
}

/** A message's encapsulated key and ciphertext. */
export interface Sealed {
  /** 97 bytes. */
  readonly enc: Uint8Array;
  /** 16 bytes longer than the plaintext. */
  readonly ciphertext: Uint8Array;
}

/** What an exported secret is bound to, and its length. */
export interface ExportInput {
  readonly info: Uint8Array;
  readonly exporterContext: Uint8Array;
  /** In bytes. */
  readonly length: number;
}

/**
 * Seals one message to a point of the curve, in base mode.
 *
 * @throws {Ok2cryError} `crypto_failed`.
 */
export function sealTo(point: Uint8Array, { plaintext, aad, info }: SealInput): Promise<Sealed> {
  return onPlatform("HPKE", async () => {
    const hpke = suite();
    const key = await hpke.DeserializePublicKey(point);
    const { encapsulatedSecret, ciphertext } = await hpke.Seal(key, plaintext, { info, aad });
    return { enc: encapsulatedSecret, ciphertext };
  });
}

/**
 * Exports a secret of a receiver's context (RFC 9180 §5.3).
 *
 * @param enc A point of the curve.
 * @throws {Ok2cryError} `crypto_failed`.
 */
export function receiveExport(keys: CryptoKeyPair, enc: Uint8Array, input: ExportInput): Promise<Bytes> {
  const { info, exporterContext, length } = input;
  return onPlatform("HPKE", async () => {
    const secret = await suite().ReceiveExport(keys, enc, exporterContext, length, { info });
    const own = concat(secret);
    secret.fill(0);
    return own;
  });
}

/** The supported suite. */
export function suite(): CipherSuite<CryptoKey> {
  const kem = () => {
    const own = KEM_DHKEM_P384_HKDF_SHA384() as KEM<CryptoKey> & { readonly kdf: KDF };
    return { ...own, kdf: withArrays(own.kdf) };
  };
  return new CipherSuite(kem, () => withArrays(KDF_HKDF_SHA384()), AEAD_AES_256_GCM);
}

/**
 * The library's HKDF, with an array as the empty salt. The library passes WebCrypto an `ArrayBuffer` of
 * zeros, and Node 20 refuses one of another realm, such as jsdom's or an edge route's.
 */
function withArrays(kdf: KDF): KDF {
  return { ...kdf, Extract: (salt, ikm) => kdf.Extract(salt.length === 0 ? new Uint8Array(kdf.Nh) : salt, ikm) };
}
