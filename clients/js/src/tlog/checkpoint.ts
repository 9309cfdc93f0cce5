// Checkpoints: the head of a log, in a signed note (c2sp.org/tlog-checkpoint).

import { type Bytes, fromBase64 } from "../bytes.js";
import { refuse } from "../error.js";
import { quoted, shown } from "../text.js";
import { beyondLeeway, type CheckTime } from "../time.js";
import type { Note } from "./note.js";
import type { VerifierKey } from "./verifier-key.js";

/** The largest tree size. It keeps all arithmetic far from overflow. */
const MAX_SIZE = 2 ** 48;

/** The keys that sign a log's checkpoints. */
export interface LogSigners {
  /** The log's key. Its name is the log's origin. */
  readonly key: VerifierKey;
  /** Witnesses that may cosign. */
  readonly witnesses: readonly VerifierKey[];
}

/** The head of a log. */
export interface Checkpoint {
  /** The log's name. */
  readonly origin: string;
  /** The number of entries, at most 2^48. */
  readonly size: number;
  /** The Merkle tree hash of all entries (RFC 6962 §2.1). */
  readonly root: Bytes;
}

/**
 * Reads a note's text. Ignores extension lines, as the specification asks.
 *
 * @throws {Ok2cryError} `checkpoint_invalid`.
 */
export function parseCheckpoint(text: string): Checkpoint {
  const refused = (rule: string): never => refuse("checkpoint_invalid", `checkpoint: ${rule}`);
  if (!text.endsWith("\n")) refused("its text must end with a newline");
  const [origin, size, root, ...extensions] = text.slice(0, -1).split("\n");
  if (!origin) return refused("it has no origin");
  if (!size) return refused("it has no size");
  if (!root) return refused("it has no root hash");
  if (extensions.includes("")) refused("an extension line is empty");
  if (!/^(?:0|[1-9]\d*)$/.test(size) || Number(size) > MAX_SIZE) {
    refused("its size is not a decimal number up to 2^48");
  }
  const hash = fromBase64(root);
  if (hash?.length !== 32) return refused("its root hash is not base64 of 32 bytes");
  return { origin, size: Number(size), root: hash };
}

/**
 * Reads a checkpoint that the log signed, and counts the witnesses that cosigned it.
 *
 * @throws {Ok2cryError} `checkpoint_invalid`, `checkpoint_origin_mismatch`, `checkpoint_unsigned`,
 *   `checkpoint_signature_invalid`, `witness_from_future`.
 */
export async function verifyCheckpoint(
  note: Note,
  { key, witnesses }: LogSigners,
  time: CheckTime,
): Promise<[checkpoint: Checkpoint, cosigned: number]> {
  // First: the text of an unsigned note is not parsed.
  if (!(await note.isSignedBy(key))) refuse("checkpoint_unsigned", "checkpoint: the log's key did not sign it");
  const checkpoint = parseCheckpoint(note.unverifiedText);
  if (checkpoint.origin !== key.name) {
    refuse("checkpoint_origin_mismatch", `checkpoint: its origin is another log, ${quoted(checkpoint.origin)}`);
  }
  let cosigned = 0;
  for (const witness of witnesses) {
    const seconds = await note.cosignedAt(witness);
    if (seconds === undefined) continue;
    // Rounded above 2^53 milliseconds, which is far in the future.
    if (beyondLeeway(time, Number(seconds * 1000n)) !== undefined) {
      const name = shown(witness.name);
      refuse("witness_from_future", `checkpoint: the cosignature of ${name} is from the future; is the clock behind?`);
    }
    cosigned++;
  }
  return [checkpoint, cosigned];
}
