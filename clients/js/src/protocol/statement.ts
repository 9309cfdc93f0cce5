// The answer to "is an enclave there?".

import { MAX_NONCE, MAX_TIME, MIN_NONCE } from "../codes.js";
import { readRecord } from "./record.js";

/** What an enclave says when it is asked. */
export interface Statement {
  /** The nonce of whoever asked, 16 to 64 bytes. */
  readonly nonce: Uint8Array;
  /** When it was made, in Unix milliseconds. */
  readonly timeMs: number;
}

/**
 * Reads a statement.
 *
 * @throws {Ok2cryError} `record_invalid`.
 */
export async function readStatement(bytes: Uint8Array): Promise<Statement> {
  return readRecord("statement", bytes, "ok2cry/statement/v1", 3, (record) => {
    const nonce = record.bytes("nonce", MIN_NONCE, MAX_NONCE);
    return { nonce, timeMs: record.uint("time", MAX_TIME) };
  });
}
