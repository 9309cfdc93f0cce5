// Padding that hides the length of a short secret (docs/protocol.md, "Length").

import { type Bytes, copy, isBytes } from "./bytes.js";
import { MAX_PLAINTEXT } from "./codes.js";
import { refuse } from "./error.js";

/**
 * Pads a plaintext to the next multiple of `block` bytes: one byte `80`, then zeros. Every PIN of 4 to 12
 * digits becomes 16 bytes. The recipient removes it with {@link unpad}.
 *
 * @param plaintext Overwrite it after use (`plaintext.fill(0)`), and the result too.
 * @param block 1 to 4,096; 16 by default.
 * @throws {Ok2cryError} `padding_invalid` for another block.
 */
export function pad(plaintext: Uint8Array, block = 16): Bytes {
  if (!isBytes(plaintext)) throw new TypeError("plaintext must be a Uint8Array");
  if (!Number.isInteger(block) || block < 1 || block > MAX_PLAINTEXT) {
    refuse("padding_invalid", `padding: block must be 1 to ${MAX_PLAINTEXT} bytes`);
  }
  const padded = new Uint8Array(Math.ceil((plaintext.length + 1) / block) * block);
  padded.set(plaintext);
  padded[plaintext.length] = 0x80;
  return padded;
}

/**
 * Removes the zeros at the end, then one byte `80`.
 *
 * @throws {Ok2cryError} `padding_invalid` if there is no byte `80`.
 */
export function unpad(padded: Uint8Array): Bytes {
  if (!isBytes(padded)) throw new TypeError("a padded plaintext must be a Uint8Array");
  const end = padded.findLastIndex((byte) => byte !== 0);
  if (padded[end] !== 0x80) refuse("padding_invalid", "padding: no byte 80 at the end");
  return copy(padded.subarray(0, end));
}
