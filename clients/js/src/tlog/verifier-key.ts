// Verifier keys of logs and witnesses, as signed notes write them (c2sp.org/signed-note).

import { type Bytes, equal, fromBase64, toBase64, toHex, utf8 } from "../bytes.js";
import { isSmallOrder, sha256, verifyEd25519 } from "../webcrypto.js";

/** A plain signature of the note's text. */
const TYPE_ED25519 = 1;
/** A witness's signature over a time and the text. */
const TYPE_COSIGNATURE = 4;
/** The longest name, in bytes. */
const MAX_NAME_LENGTH = 255;

/** The Ed25519 key of a log (type 1) or of a witness (type 4). */
export class VerifierKey {
  /** The name in front of its signatures. A log's is its origin. */
  readonly name: string;
  /** The id in front of its signatures, 4 bytes. */
  readonly id: Bytes;
  readonly #kind: number;
  readonly #key: Bytes;

  private constructor(name: string, id: Bytes, kind: number, key: Bytes) {
    this.name = name;
    this.id = id;
    this.#kind = kind;
    this.#key = key;
  }

  /**
   * Reads `NAME+ID+BASE64(TYPE ‖ KEY)` in its one spelling. The id is the first 4 bytes of SHA-256(NAME ‖
   * "\n" ‖ TYPE ‖ KEY), hexadecimal.
   */
  static async parse(text: string): Promise<VerifierKey | undefined> {
    // A name has no plus sign; base64 may have one.
    const [, name = "", encoded = ""] = /^([^+]*)\+[^+]*\+(.*)$/s.exec(text) ?? [];
    const bytes = fromBase64(encoded);
    if (bytes?.length !== 33 || !isKeyName(name) || utf8(name).length > MAX_NAME_LENGTH) return undefined;
    const [kind = 0, key] = [bytes[0], bytes.subarray(1)];
    if (kind !== TYPE_ED25519 && kind !== TYPE_COSIGNATURE) return undefined;
    if (!isPoint(key) || isSmallOrder(key)) return undefined;
    const id = (await sha256(utf8(`${name}\n`), bytes)).subarray(0, 4);
    return text === `${name}+${toHex(id)}+${toBase64(bytes)}` ? new VerifierKey(name, id, kind, key) : undefined;
  }

  get isLog(): boolean {
    return this.#kind === TYPE_ED25519;
  }

  get isWitness(): boolean {
    return this.#kind === TYPE_COSIGNATURE;
  }

  /** Whether both are one key, under any names. */
  isSameKey(other: VerifierKey): boolean {
    return equal(this.#key, other.#key);
  }

  /** Verifies a signature over `message`. Strict: no points of small order, one encoding only. */
  verify(message: string, signature: Uint8Array): Promise<boolean> {
    return verifyEd25519(this.#key, utf8(message), signature);
  }
}

/** Not empty, no white space, no plus sign, no control characters. */
export function isKeyName(name: string): boolean {
  return /^[^\p{White_Space}\p{Cc}+]+$/u.test(name);
}

/**
 * Whether 32 bytes encode a point of Edwards25519 (RFC 8032 §5.1.3), in any spelling: (y² - 1) / (dy² + 1) is
 * a square.
 */
function isPoint(encoded: Uint8Array): boolean {
  const prime = 2n ** 255n - 19n;
  const d = 0x52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3n;
  const littleEndian = Uint8Array.from(encoded).reverse();
  const y = BigInt(`0x${toHex(littleEndian)}`) & (2n ** 255n - 1n);
  // The quotient is a square if the product is: they differ by a square. Euler's criterion gives 1, or 0 for
  // zero.
  let base = ((y * y - 1n) * (d * y * y + 1n)) % prime;
  if (base < 0n) base += prime;
  let power = 1n;
  for (let exponent = (prime - 1n) / 2n; exponent > 0n; exponent /= 2n) {
    if (exponent % 2n === 1n) power = (power * base) % prime;
    base = (base * base) % prime;
  }
  return power <= 1n;
}
