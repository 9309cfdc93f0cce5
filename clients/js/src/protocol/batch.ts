// Batches: records under one attestation document, in a Merkle tree whose root is in the document's user
// data.

import { type Bytes, bigEndian, equal, toHex, utf8 } from "../bytes.js";
import { MAX_BATCH, MAX_PATH } from "../codes.js";
import { sha384 } from "../webcrypto.js";
import { invalid, readRecord } from "./record.js";

/** The `user_data` of an attestation document. */
export interface BatchHeader {
  /** Root of the tree over the batch's records, 48 bytes. */
  readonly root: Uint8Array;
  /** Number of records, 1 to 4,096. */
  readonly size: number;
  /** Number of entries in the boot's audit log. */
  readonly logSize: number;
  /** Root of the audit log, 32 bytes (SHA-256). */
  readonly logRoot: Uint8Array;
}

/** The place of a record in a batch, and its proof. */
export interface Inclusion {
  /** The record's index, from 0. */
  readonly index: number;
  /** The hashes from the record's sibling up to the root, 48 bytes each. */
  readonly path: readonly Uint8Array[];
}

/**
 * Reads a batch header.
 *
 * @throws {Ok2cryError} `record_invalid`.
 */
export async function readBatchHeader(bytes: Uint8Array): Promise<BatchHeader> {
  return readRecord("batch header", bytes, "ok2cry/batch/v1", 5, (record) => {
    const root = record.bytes("root", 48);
    const size = record.uint("size", MAX_BATCH);
    if (size === 0) invalid("size: is out of range");
    const logSize = record.uint("log_size", Number.MAX_SAFE_INTEGER);
    return { root, size, logSize, logRoot: record.bytes("log_root", 32) };
  });
}

/** Whether a record is at this place in the batch of `header` (RFC 9162 §2.1.3.2, with SHA-384). */
export async function isIncluded(record: Uint8Array, { index, path }: Inclusion, header: BatchHeader): Promise<boolean> {
  if (!Number.isInteger(index) || index < 0 || index >= header.size || path.length > MAX_PATH) return false;
  let node = index;
  let last = header.size - 1;
  let hash: Bytes = await sha384(Uint8Array.of(0), record);
  for (const sibling of path) {
    if (last === 0 || sibling.length !== 48) return false;
    if (node & 1 || node === last) {
      hash = await nodeHash(sibling, hash);
      while (!(node & 1) && node !== 0) {
        node >>= 1;
        last >>= 1;
      }
    } else {
      hash = await nodeHash(hash, sibling);
    }
    node >>= 1;
    last >>= 1;
  }
  return last === 0 && equal(hash, header.root);
}

/** The nonce of one of `count` keys of a request. A single key has the request's nonce. */
export async function nonceForKey(nonce: Uint8Array, index: number, count: number): Promise<Uint8Array> {
  return count === 1 ? nonce : sha384(utf8("ok2cry v1 nonce"), nonce, bigEndian(index, 4));
}

/** The instance that a log key (SPKI, DER) belongs to: 8 bytes, hexadecimal. */
export async function instanceOfLogKey(spki: Uint8Array): Promise<string> {
  return toHex((await sha384(utf8("ok2cry v1 instance"), spki)).subarray(0, 8));
}

function nodeHash(left: Uint8Array, right: Uint8Array): Promise<Bytes> {
  return sha384(Uint8Array.of(1), left, right);
}
