// Checkpoints: the head of a log, in a signed note (c2sp.org/tlog-checkpoint).

import { type Bytes, fromBase64 } from "../bytes.js";
import { refuse } from "../error.js";
import { quoted, shown } from "../text.js";
import { beyondLeeway, type CheckTime } from "../time.js";
import type { Note } from "./note.js";
import type { VerifierKey } from "./verifier-key.js";

/** The largest tree that is read about. It keeps all arithmetic far from its ends. */
const MAX_SIZE = 2 ** 48;

/** Who signs a log's checkpoints. */
export interface LogSigners {
  /** The log's own key. Its name is the log's origin. */
  readonly key: VerifierKey;
  /** Witnesses that may cosign. */
  readonly witnesses: readonly VerifierKey[];
}

/** The head of a log. */
export interface Checkpoint {
  /** Which log. */
  readonly origin: string;
  /** How many entries it has, at most 2^48. */
  readonly size: number;
  /** The Merkle tree hash of all of them (RFC 6962 §2.1). */
  readonly root: Bytes;
}

/**
 * Reads the text of a note. Extension lines are passed over, as the specification asks.
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
    refused("its size is no plain decimal number up to 2^48");
  }
  const hash = fromBase64(root);
  if (hash?.length !== 32) return refused("its root hash is not base64 of 32 bytes");
  return { origin, size: Number(size), root: hash };
}

/**
 * Reads a checkpoint that the log has signed. Answers also how many of the log's witnesses have cosigned it.
 *
 * @throws {Ok2cryError} `checkpoint_invalid`, `checkpoint_origin_mismatch`, `checkpoint_unsigned`, `checkpoint_signature_invalid`,
 *   `witness_from_future`.
 */
export async function verifyCheckpoint(
  note: Note,
  { key, witnesses }: LogSigners,
  time: CheckTime,
): Promise<[checkpoint: Checkpoint, cosigned: number]> {
  // The text of a note that nobody known has signed is not to be looked at.
  if (!(await note.isSignedBy(key))) refuse("checkpoint_unsigned", "checkpoint: the log's key has not signed it");
  const checkpoint = parseCheckpoint(note.unverifiedText);
  if (checkpoint.origin !== key.name) {
    refuse("checkpoint_origin_mismatch", `checkpoint: its origin is ${quoted(checkpoint.origin)}, which is another log`);
  }
  let cosigned = 0;
  for (const witness of witnesses) {
    const seconds = await note.cosignedAt(witness);
    if (seconds === undefined) continue;
    // Rounded where it is above 2^53 milliseconds, which is far from now.
    if (beyondLeeway(time, Number(seconds * 1000n)) !== undefined) {
      const name = shown(witness.name);
      refuse("witness_from_future", `checkpoint: the cosignature of ${name} is from the future; is the clock behind?`);
    }
    cosigned++;
  }
  return [checkpoint, cosigned];
}
