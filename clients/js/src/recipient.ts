// The recipient's side: a key pair, and the checks that make a reply something to act on. Often a Node backend.

import { bytesField, invalid, parseAnswer } from "./answer.js";
import { type Bytes, concat, copy, equal, fromPem, isBytes, toHex, toPem } from "./bytes.js";
import { refuse } from "./error.js";
import { receiveExport } from "./hybrid.js";
import { inclusionOf } from "./key.js";
import type { WebCryptoKeyPair as CryptoKeyPair } from "./platform.js";
import type { KeyDescriptor } from "./protocol/descriptor.js";
import {
  bindingOf,
  exporterContext,
  type Reply,
  type ReplyContext,
  readReply,
  readReplyContext,
  replyInfo,
} from "./protocol/reply.js";
import { type CheckTime, systemTime } from "./time.js";
import { type Attested, copyOf, type Trust } from "./trust.js";
import { POINT_LENGTH } from "./webcrypto.js";

const P384 = { name: "ECDH", namedCurve: "P-384" };

/** What a recipient expects of a reply. Without it a genuine reply to another question would pass for this one's. */
export interface Expected {
  /** What the key was for. */
  readonly purpose: string;
  /**
   * What the message was sealed with. It must name one transaction: replies to two messages with the same purpose and `aad` can
   * be told apart only by the descriptors in them.
   */
  readonly aad: Uint8Array;
}

/** Remembers which keys a reply was accepted for. Give it storage that survives restarts if a reply must not act twice. */
export interface Seen {
  /**
   * Notes a descriptor's hash, and answers `true` if it is new, and nothing else. Must be atomic where several processes share it.
   *
   * @param descriptor SHA-384 of the descriptor, hexadecimal.
   * @param forgetAtMs After this (Unix milliseconds) no reply for it is accepted any more and it may be forgotten.
   * @param nowMs The time of the call.
   */
  firstTime(descriptor: string, forgetAtMs: number, nowMs: number): boolean | Promise<boolean>;
}

/** Plaintext that came from an accepted enclave, sealed by whoever held the descriptor: HPKE's base mode authenticates no sender. */
export interface OpenedReply {
  /** What was sealed. Overwrite it when you are done (`plaintext.fill(0)`). */
  readonly plaintext: Bytes;
  /** The key that it was sealed to; its hash is the idempotency key. */
  readonly descriptor: KeyDescriptor;
}

/** A reply and its context, as the service answers an open with them. */
export interface SealedReply {
  /** The reply record. */
  readonly reply: Uint8Array;
  /** The context that it is sealed under. */
  readonly context: Attested;
}

/** Known in this module alone. */
const RECIPIENT: unique symbol = /* @__PURE__ */ Symbol("RecipientKey");

/** A recipient's key pair. Rotate it: a sealed reply can be read for as long as this key exists. */
export class RecipientKey {
  readonly #keys: CryptoKeyPair;
  readonly #publicKey: Bytes;

  /** Not for callers: see the static methods. */
  constructor(recipient: typeof RECIPIENT, keys: CryptoKeyPair, publicKey: Bytes) {
    if (recipient !== RECIPIENT) throw new TypeError("a RecipientKey comes from its static methods");
    this.#keys = keys;
    this.#publicKey = publicKey;
  }

  /**
   * A new key pair.
   *
   * @param options.extractable Whether {@link RecipientKey.toPem} works. Without it the private key cannot leave WebCrypto, and
   *   {@link RecipientKey.keyPair} can be kept in IndexedDB.
   */
  static async generate(options: { readonly extractable?: boolean } = {}): Promise<RecipientKey> {
    const keys = await crypto.subtle.generateKey(P384, options.extractable === true, ["deriveBits"]);
    return RecipientKey.fromKeyPair(keys as CryptoKeyPair);
  }

  /**
   * Takes an ECDH P-384 key pair; the private key needs the usage `deriveBits`.
   *
   * @throws {Ok2cryError} `private_key_invalid`.
   */
  static async fromKeyPair(keys: CryptoKeyPair): Promise<RecipientKey> {
    try {
      const algorithm = keys.privateKey.algorithm as EcKeyAlgorithm;
      const point = new Uint8Array(await crypto.subtle.exportKey("raw", keys.publicKey));
      const isRight = algorithm.namedCurve === P384.namedCurve && keys.privateKey.usages.includes("deriveBits");
      if (isRight && point.length === POINT_LENGTH && (await isPair(keys))) return new RecipientKey(RECIPIENT, keys, point);
    } catch {
      // Refused below.
    }
    return refuse("private_key_invalid", "the private key is not understood: not an ECDH P-384 key pair that derives bits");
  }

  /**
   * Reads a P-384 private key (PKCS #8, PEM), as OpenSSL and the other clients write it.
   *
   * @throws {Ok2cryError} `private_key_invalid`.
   */
  static async fromPem(pem: string): Promise<RecipientKey> {
    const der = fromPem("PRIVATE KEY", pem);
    try {
      if (der !== undefined) {
        const privateKey = await crypto.subtle.importKey("pkcs8", der, P384, true, ["deriveBits"]);
        const { d: _, key_ops: __, ...jwk } = await crypto.subtle.exportKey("jwk", privateKey);
        const publicKey = await crypto.subtle.importKey("jwk", { ...jwk, key_ops: [] }, P384, true, []);
        return await RecipientKey.fromKeyPair({ privateKey, publicKey });
      }
    } catch {
      // Refused below.
    } finally {
      der?.fill(0);
    }
    return refuse("private_key_invalid", "the private key is not understood: not a P-384 key in PKCS #8 PEM");
  }

  /**
   * The key pair as PEM (PKCS #8). Whoever reads it reads all replies.
   *
   * @throws {Ok2cryError} `private_key_invalid` for a key that is not extractable.
   */
  async toPem(): Promise<string> {
    if (!this.#keys.privateKey.extractable) refuse("private_key_invalid", "the private key is not extractable");
    const der = new Uint8Array(await crypto.subtle.exportKey("pkcs8", this.#keys.privateKey));
    try {
      return toPem("PRIVATE KEY", der);
    } finally {
      der.fill(0);
    }
  }

  /** The key pair as WebCrypto has it. */
  get keyPair(): CryptoKeyPair {
    return this.#keys;
  }

  /** What to name as recipient when asking for keys: an uncompressed point, 97 bytes. */
  get publicKey(): Bytes {
    return this.#publicKey.slice();
  }

  /**
   * Opens a reply, once everything about it holds: an accepted enclave attests its context, the context was made for this key, and
   * purpose, `aad` and key are what is expected.
   *
   * @param answer The body that the service answered an open with (text or bytes), or its parts.
   * @param seen Remembers what was accepted before.
   * @throws {Ok2cryError} The first rule that broke. A refused reply leaves no trace in `seen`.
   */
  async open(
    answer: string | Uint8Array | SealedReply,
    expected: Expected,
    trust: Trust,
    seen: Seen,
    time: CheckTime = systemTime(),
  ): Promise<OpenedReply> {
    const body = typeof answer === "string" || isBytes(answer) ? parseSealedReply(answer) : answer;
    const at = copyOf(body.context);
    const record = copy(body.reply, "reply");
    const { purpose, aad } = expected;
    const own = { purpose, aad: copy(aad, "aad") };
    if (typeof seen?.firstTime !== "function") throw new TypeError("seen must remember what it was shown");
    const batch = await trust.acceptForReply(at.document, time);
    await batch.prove("reply context", at.record, at);
    const context = await readReplyContext(at.record);
    if (!equal(context.recipient, this.#publicKey)) {
      refuse("recipient_mismatch", "the reply context is for another recipient");
    }
    batch.checkTime("reply context", context.createdAtMs);

    const reply = await readReply(record);
    const { descriptor } = reply;
    const plaintext = await this.openRecords(batch.instance, context, reply, own);
    let isNew: unknown;
    try {
      // Last, so that only genuine replies are remembered.
      const forgetAtMs = descriptor.expiresAtMs + trust.replyHorizonMs;
      isNew = await seen.firstTime(toHex(descriptor.hash), forgetAtMs, time.nowMs);
    } finally {
      // `true` and nothing like it: what a database answers is an object, whether it stored something or not.
      if (isNew !== true) plaintext.fill(0);
    }
    if (isNew !== true) refuse("reply_replayed", "a reply for this key was accepted before");
    return { plaintext, descriptor };
  }

  /** @internal Opens a reply under a context that is attested for this key. */
  async openRecords(instance: string, context: ReplyContext, reply: Reply, expected: Expected): Promise<Bytes> {
    const { descriptor } = reply;
    if (!equal(reply.contextId, context.contextId)) refuse("reply_context_mismatch", "the reply names another context");
    if (descriptor.instance !== instance) {
      refuse("instance_mismatch", "the reply belongs to another enclave than the document");
    }
    if (!equal(descriptor.recipient ?? new Uint8Array(), this.#publicKey)) {
      refuse("recipient_mismatch", "the reply is for another recipient");
    }
    if (descriptor.purpose !== expected.purpose) refuse("purpose_mismatch", "the purpose is not the expected one");
    if (!equal(reply.aad, expected.aad)) refuse("aad_mismatch", "the aad is not the expected one");

    const binding = await bindingOf(reply);
    let secret: Bytes | undefined;
    try {
      const info = replyInfo(instance, context.contextId);
      secret = await receiveExport(this.#keys, context.enc, info, exporterContext(binding), 44);
      const key = await crypto.subtle.importKey("raw", secret.subarray(0, 32), "AES-GCM", false, ["decrypt"]);
      const parameters = { name: "AES-GCM", iv: secret.subarray(32), additionalData: binding };
      return new Uint8Array(await crypto.subtle.decrypt(parameters, key, concat(reply.ciphertext)));
    } catch {
      return refuse("reply_open_failed", "the reply does not open");
    } finally {
      secret?.fill(0);
    }
  }
}

/** Whether both halves belong together: they agree with a third key on the same secret. */
async function isPair({ privateKey, publicKey }: CryptoKeyPair): Promise<boolean> {
  const other = (await crypto.subtle.generateKey(P384, false, ["deriveBits"])) as CryptoKeyPair;
  const agreed = async (own: CryptoKey, theirs: CryptoKey) =>
    new Uint8Array(await crypto.subtle.deriveBits({ name: "ECDH", public: theirs }, own, 384));
  return equal(await agreed(privateKey, other.publicKey), await agreed(other.privateKey, publicKey));
}

/** Remembers in memory, for as long as it lives itself. */
export class SeenSet implements Seen {
  readonly #forgetAt = new Map<string, number>();
  #sweepAt = 1024;

  firstTime(descriptor: string, forgetAtMs: number, nowMs: number): boolean {
    if (this.#forgetAt.size >= this.#sweepAt) {
      for (const [key, forgetAt] of this.#forgetAt) if (forgetAt <= nowMs) this.#forgetAt.delete(key);
      this.#sweepAt = Math.max(1024, 2 * this.#forgetAt.size);
    }
    const isNew = !this.#forgetAt.has(descriptor);
    this.#forgetAt.set(descriptor, forgetAtMs);
    return isNew;
  }
}

/**
 * Reads the answer to an open.
 *
 * @throws {Ok2cryError} `answer_invalid`; `release_mode_mismatch` if it releases plaintext to the caller instead, which did not
 *   come from a key that names a recipient.
 */
export function parseSealedReply(answer: string | Uint8Array): SealedReply {
  const body = parseAnswer(answer);
  const kinds = Object.keys(body);
  if (kinds.length === 1 && kinds[0] === "plaintext") {
    refuse("release_mode_mismatch", "the answer releases plaintext to the caller, which was not asked for");
  }
  if (kinds.length !== 1 || kinds[0] !== "sealed") invalid("sealed is due, and nothing else");
  const sealed = parseAnswer(body["sealed"], ["reply", "context"]);
  return { reply: bytesField(sealed, "reply"), context: parseAttested(sealed["context"]) };
}

/**
 * Reads a record with its proof, such as the answer of `GET /v1/attestation`.
 *
 * @throws {Ok2cryError} `answer_invalid`.
 */
export function parseAttested(answer: unknown): Attested {
  const body = parseAnswer(answer, ["record", "index", "path", "document"]);
  return { record: bytesField(body, "record"), document: bytesField(body, "document"), ...inclusionOf(body) };
}
