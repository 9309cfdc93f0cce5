// The enclave's answer to a nonce: that it runs, and when.

import { MAX_NONCE, MAX_TIME, MIN_NONCE } from "../codes.js";
import { readRecord } from "./record.js";

/** A statement of an enclave. */
export interface Statement {
  /** The nonce of the request, 16 to 64 bytes. */
  readonly nonce: Uint8Array;
  /** When the statement was made, in Unix milliseconds. */
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
