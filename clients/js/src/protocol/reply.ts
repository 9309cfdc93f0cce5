// Reply contexts and reply records, and what binds a reply to its request.

import { type Bytes, bigEndian, concat, fromHex, utf8 } from "../bytes.js";
import { MAX_AAD, MAX_CIPHERTEXT, MAX_DESCRIPTOR, MAX_TIME } from "../codes.js";
import { sha384 } from "../webcrypto.js";
import { decodeDescriptor, type KeyDescriptor } from "./descriptor.js";
import { invalid, readRecord } from "./record.js";

const TAG = 16;

/** What the enclave seals its replies to one recipient under, for a minute. */
export interface ReplyContext {
  readonly contextId: Uint8Array;
  /** The recipient's public key: a point, 97 bytes. */
  readonly recipient: Uint8Array;
  /** HPKE's encapsulated key, 97 bytes. */
  readonly enc: Uint8Array;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
}

/** The plaintext of one open, sealed to the recipient. */
export interface Reply {
  readonly contextId: Uint8Array;
  readonly descriptor: KeyDescriptor;
  /** The additional data of the message. */
  readonly aad: Uint8Array;
  readonly requestDigest: Uint8Array;
  readonly ciphertext: Uint8Array;
}

/**
 * Reads a reply context.
 *
 * @throws {Ok2cryError} `record_invalid`.
 */
export async function readReplyContext(bytes: Uint8Array): Promise<ReplyContext> {
  return readRecord("reply context", bytes, "ok2cry/reply-context/v1", 7, (record) => {
    const contextId = record.bytes("context_id", 16);
    record.suite();
    const recipient = record.point("recipient");
    const enc = record.point("enc");
    const createdAtMs = record.uint("created_at", MAX_TIME);
    const expiresAtMs = record.uint("expires_at", MAX_TIME);
    if (expiresAtMs <= createdAtMs) invalid("expires_at: is out of range");
    return { contextId, recipient, enc, createdAtMs, expiresAtMs };
  });
}

/**
 * Reads a reply.
 *
 * @throws {Ok2cryError} `record_invalid`.
 */
export async function readReply(bytes: Uint8Array): Promise<Reply> {
  const { descriptor, ...reply } = readRecord("reply", bytes, "ok2cry/reply/v1", 6, (record) => {
    const contextId = record.bytes("context_id", 16);
    const descriptor = decodeDescriptor(record.bytes("descriptor", 1, MAX_DESCRIPTOR));
    const aad = record.bytes("aad", 0, MAX_AAD);
    const requestDigest = record.bytes("request_digest", 48);
    const ciphertext = record.bytes("ciphertext", TAG, MAX_CIPHERTEXT);
    return { contextId, descriptor, aad, requestDigest, ciphertext };
  });
  return { ...reply, descriptor: { ...descriptor, hash: await sha384(descriptor.bytes) } };
}

/** What a reply is bound to: H(descriptor) ‖ H(aad) ‖ request_digest. */
export async function bindingOf({ descriptor, aad, requestDigest }: Reply): Promise<Bytes> {
  return concat(descriptor.hash, await sha384(aad), requestDigest);
}

/** The exporter context (RFC 9180 §5.3) of a reply's secret. */
export function exporterContext(binding: Uint8Array): Bytes {
  return concat(utf8("ok2cry v1 reply"), binding);
}

/** The `info` of a reply context. */
export function replyInfo(instance: string, contextId: Uint8Array): Bytes {
  return concat(utf8("ok2cry v1 reply"), fromHex(instance) ?? new Uint8Array(), contextId);
}

/** The parts of an open request that its digest covers. */
export interface DigestInput {
  readonly descriptorHash: Uint8Array;
  readonly enc: Uint8Array;
  readonly aad: Uint8Array;
  readonly ciphertext: Uint8Array;
}

/** Identifies an open request: equal for a retry, different for another message. 48 bytes. */
export function requestDigest({ descriptorHash, enc, aad, ciphertext }: DigestInput): Promise<Bytes> {
  const parts = [enc, aad, ciphertext].flatMap((part) => [bigEndian(part.length, 4), part]);
  return sha384(utf8("ok2cry v1 request"), descriptorHash, ...parts);
}
