// Padding that hides how long a short secret is (docs/protocol.md, "Length").

import { type Bytes, copy, isBytes } from "./bytes.js";
import { MAX_PLAINTEXT } from "./codes.js";
import { refuse } from "./error.js";

/**
 * Fills a plaintext up to the next multiple of `block` bytes: one byte `80`, then zeros. Every PIN of 4 to 12 digits comes to 16
 * bytes. The recipient takes it away with {@link unpad}.
 *
 * @param plaintext Overwrite it when you are done (`plaintext.fill(0)`), and what this returns too.
 * @param block 1 to 4,096; 16 if left out.
 * @throws {Ok2cryError} `padding_invalid` for another block.
 */
export function pad(plaintext: Uint8Array, block = 16): Bytes {
  if (!isBytes(plaintext)) throw new TypeError("plaintext must be a Uint8Array");
  if (!Number.isInteger(block) || block < 1 || block > MAX_PLAINTEXT) {
    refuse("padding_invalid", `padding: a block has 1 to ${MAX_PLAINTEXT} bytes`);
  }
  const padded = new Uint8Array(Math.ceil((plaintext.length + 1) / block) * block);
  padded.set(plaintext);
  padded[plaintext.length] = 0x80;
  return padded;
}

/**
 * Takes away the zeros at the end, then one byte `80`.
 *
 * @throws {Ok2cryError} `padding_invalid` if there is none.
 */
export function unpad(padded: Uint8Array): Bytes {
  if (!isBytes(padded)) throw new TypeError("a padded plaintext must be a Uint8Array");
  const end = padded.findLastIndex((byte) => byte !== 0);
  if (padded[end] !== 0x80) refuse("padding_invalid", "padding: the byte 80 is missing");
  return copy(padded.subarray(0, end));
}
