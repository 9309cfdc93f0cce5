// The recipient's side: a key pair, and the checks on a reply before it is used. Often a Node backend.

import { bytesField, invalid, type JsonObject, objectOf, parseAnswer } from "./answer.js";
import { type Bytes, concat, copy, equal, isBytes, toHex, toPem } from "./bytes.js";
import { type Ok2cryError, refuse } from "./error.js";
import { receiveExport } from "./hpke.js";
import { inclusionOf } from "./key.js";
import { own } from "./own.js";
import { derOfPem, otherKey } from "./pem.js";
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
import { ECDH_P384, isP384Point, isPair, onPlatform, pointOfPkcs8 } from "./webcrypto.js";

/** What a recipient expects of a reply. Without it, a genuine reply to another request would pass. */
export interface Expected {
  /** The key's purpose. */
  readonly purpose: string;
  /**
   * The additional data of the message. It must identify one transaction: replies to two messages with the
   * same purpose and `aad` differ in their descriptors only.
   */
  readonly aad: Uint8Array;
}

/** An accepted reply, as a {@link ReplayGuard} stores it. */
export interface ReplayEntry {
  /** SHA-384 of the key's descriptor, hexadecimal. */
  readonly descriptorHash: string;
  /** When the entry may be deleted, in Unix milliseconds. After that no reply for this key is accepted. */
  readonly forgetAtMs: number;
  /** The time of the call, in Unix milliseconds. */
  readonly nowMs: number;
}

/** Refuses the second reply for one key. Use storage that survives restarts if a reply must not act twice. */
export interface ReplayGuard {
  /**
   * Inserts an entry. Must be atomic where several processes share the storage.
   *
   * @returns `true` if `descriptorHash` is new, `false` if not. Any other value is a `TypeError`. Errors are
   *   passed on to the caller of {@link RecipientKey.open}.
   */
  insert(entry: ReplayEntry): boolean | Promise<boolean>;
}

/**
 * Plaintext from an accepted enclave. HPKE's base mode does not authenticate the sender: any party with the
 * descriptor can seal.
 */
export interface OpenedReply {
  /** What was sealed. Overwrite it after use (`plaintext.fill(0)`). */
  readonly plaintext: Bytes;
  /** The key that it was sealed to. Its hash is the idempotency key. */
  readonly descriptor: KeyDescriptor;
}

/** A reply and its context, as the service answers an open. */
export interface SealedReply {
  /** The reply record. */
  readonly reply: Uint8Array;
  /** The context that the reply is sealed under. */
  readonly context: Attested;
}

/** Keeps the constructor private to this module. */
const RECIPIENT: unique symbol = /* @__PURE__ */ Symbol("RecipientKey");

/** A recipient's key pair. Rotate it: it can read a stored reply for as long as it exists. */
export class RecipientKey {
  readonly #keys: CryptoKeyPair;
  readonly #publicKey: Bytes;

  /** Internal: use the static methods. */
  constructor(recipient: typeof RECIPIENT, keys: CryptoKeyPair, publicKey: Bytes) {
    if (recipient !== RECIPIENT) throw new TypeError("a RecipientKey comes from its static methods");
    this.#keys = keys;
    this.#publicKey = publicKey;
    Object.freeze(this);
  }

  /**
   * Generates a key pair.
   *
   * @param options.extractable Whether {@link RecipientKey.toPem} works; `false` by default. A private key
   *   that is not extractable cannot leave WebCrypto; {@link RecipientKey.keyPair} can be stored in
   *   IndexedDB.
   */
  static async generate(options: { readonly extractable?: boolean } = {}): Promise<RecipientKey> {
    const isExtractable = own(options).extractable === true;
    const keys = await onPlatform(ECDH_P384.name, (subtle) => subtle.generateKey(ECDH_P384, isExtractable, ["deriveBits"]));
    return RecipientKey.fromKeyPair(keys as CryptoKeyPair);
  }

  /**
   * Takes an ECDH P-384 key pair. The private key needs the usage `deriveBits`.
   *
   * @throws {Ok2cryError} `private_key_invalid`.
   */
  static async fromKeyPair(keys: CryptoKeyPair): Promise<RecipientKey> {
    const { privateKey, publicKey } = own(keys);
    const isRight = [privateKey, publicKey].every((key) => {
      const { name, namedCurve } = (key?.algorithm ?? {}) as Partial<EcKeyAlgorithm>;
      return name === ECDH_P384.name && namedCurve === ECDH_P384.namedCurve;
    });
    if (isRight && publicKey.extractable && privateKey.usages.includes("deriveBits")) {
      const point = new Uint8Array(await onPlatform(ECDH_P384.name, (subtle) => subtle.exportKey("raw", publicKey)));
      const pair = { privateKey, publicKey };
      return isP384Point(point) && (await isPair(pair)) ? new RecipientKey(RECIPIENT, pair, point) : refusedKey(NOT_A_PAIR);
    }
    return refusedKey("expected an ECDH P-384 key pair with the usage deriveBits");
  }

  /**
   * Reads a P-384 private key from PKCS #8 PEM, in the one encoding that OpenSSL and the other clients write.
   *
   * @throws {Ok2cryError} `private_key_invalid`, with what was found and the command that converts it;
   *   `crypto_failed`.
   */
  static async fromPem(pem: string): Promise<RecipientKey> {
    const der = derOfPem(pem, "PRIVATE KEY", refusedKey);
    try {
      const point = pointOfPkcs8(der) ?? refusedKey(otherKey(der, true));
      return await onPlatform(ECDH_P384.name, async (subtle) => {
        const privateKey = await subtle.importKey("pkcs8", der, ECDH_P384, true, ["deriveBits"]).catch((error: unknown) => {
          // Some platforms check at import that both halves belong together.
          if ((error as Error | undefined)?.name === "DataError") refusedKey(NOT_A_PAIR);
          throw error;
        });
        return RecipientKey.fromKeyPair({ privateKey, publicKey: await subtle.importKey("raw", point, ECDH_P384, true, []) });
      });
    } finally {
      der.fill(0);
    }
  }

  /**
   * The key pair as PKCS #8 PEM. Its holder can read all replies.
   *
   * @throws {Ok2cryError} `private_key_invalid` if the key is not extractable.
   */
  async toPem(): Promise<string> {
    if (!this.#keys.privateKey.extractable) refuse("private_key_invalid", "the private key is not extractable");
    const { privateKey } = this.#keys;
    const der = new Uint8Array(await onPlatform(ECDH_P384.name, (subtle) => subtle.exportKey("pkcs8", privateKey)));
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

  /** The public key to request keys for: an uncompressed point, 97 bytes. */
  get publicKey(): Bytes {
    return this.#publicKey.slice();
  }

  /**
   * Opens a reply after all checks: an accepted enclave attests its context, the context was made for this
   * key, and purpose, `aad` and key are the expected ones.
   *
   * @param answer The service's answer to an open, as text or bytes, or its parts.
   * @param guard Refuses a second reply for one key.
   * @throws {Ok2cryError} The first rule that the reply breaks. A refused reply is not inserted into `guard`.
   */
  async open(
    answer: string | Uint8Array | SealedReply,
    expected: Expected,
    trust: Trust,
    guard: ReplayGuard,
    time: CheckTime = systemTime(),
  ): Promise<OpenedReply> {
    const body = own(typeof answer === "string" || isBytes(answer) ? parseSealedReply(answer) : answer);
    const at = copyOf(body.context);
    const record = copy(body.reply, "reply");
    const { purpose, aad } = own(expected);
    const asked = { purpose, aad: copy(aad, "aad") };
    if (typeof guard?.insert !== "function") throw new TypeError("guard must be a ReplayGuard");
    const batch = await trust.acceptForReply(at.document, time);
    await batch.checkIncluded("reply context", at.record, at);
    const context = await readReplyContext(at.record);
    if (!equal(context.recipient, this.#publicKey)) {
      refuse("recipient_mismatch", "the reply context is for another recipient");
    }
    batch.checkTime("reply context", context.createdAtMs);

    const reply = await readReply(record);
    const { descriptor } = reply;
    const plaintext = await this.openRecords(batch.instance, context, reply, asked);
    let isNew: unknown;
    try {
      // Last, so that only genuine replies are inserted.
      const forgetAtMs = descriptor.expiresAtMs + trust.replyHorizonMs;
      isNew = await guard.insert({ descriptorHash: toHex(descriptor.hash), forgetAtMs, nowMs: own(time).nowMs });
      // A database returns an object, whether it inserted a row or not.
      if (typeof isNew !== "boolean") throw new TypeError("insert must return true or false");
    } finally {
      if (isNew !== true) plaintext.fill(0);
    }
    if (!isNew) refuse("reply_replayed", "a reply for this key was already accepted");
    return { plaintext, descriptor };
  }

  /** @internal Opens a reply under a context that is attested for this key. */
  async openRecords(instance: string, context: ReplyContext, reply: Reply, expected: Expected): Promise<Bytes> {
    const { descriptor } = reply;
    if (!equal(reply.contextId, context.contextId)) refuse("reply_context_mismatch", "the reply is of another context");
    if (descriptor.instance !== instance) {
      refuse("instance_mismatch", "the reply is of another enclave than the document");
    }
    if (!equal(descriptor.recipient ?? new Uint8Array(), this.#publicKey)) {
      refuse("recipient_mismatch", "the reply is for another recipient");
    }
    if (descriptor.purpose !== expected.purpose) refuse("purpose_mismatch", "the purpose is not the expected one");
    if (!equal(reply.aad, expected.aad)) refuse("aad_mismatch", "the aad is not the expected one");

    const binding = await bindingOf(reply);
    const info = replyInfo(instance, context.contextId);
    const input = { info, exporterContext: exporterContext(binding), length: 44 };
    const secret = await receiveExport(this.#keys, context.enc, input);
    try {
      return await decrypt(secret, binding, concat(reply.ciphertext));
    } catch (error) {
      // WebCrypto's name for a tag that does not match. Any other error is the platform's fault.
      const { name } = ((error as Ok2cryError).cause ?? {}) as Partial<Error>;
      if (name === "OperationError") refuse("reply_open_failed", "the reply does not open");
      throw error;
    } finally {
      secret.fill(0);
    }
  }
}

const NOT_A_PAIR = "its public half is another key's";

function refusedKey(why: string): never {
  return refuse("private_key_invalid", `invalid private key: ${why}`);
}

/** Opens AES-256-GCM under key ‖ nonce. */
function decrypt(secret: Bytes, additionalData: Bytes, ciphertext: Bytes): Promise<Bytes> {
  return onPlatform("AES-256-GCM", async (subtle) => {
    const key = await subtle.importKey("raw", secret.subarray(0, 32), "AES-GCM", false, ["decrypt"]);
    // `tagLength` is explicit, because WebCrypto would read another one from `Object.prototype`.
    const parameters = { name: "AES-GCM", iv: secret.subarray(32), additionalData, tagLength: 128 };
    return new Uint8Array(await subtle.decrypt(parameters, key, ciphertext));
  });
}

/** A {@link ReplayGuard} in memory, which ends with the process. */
export class ReplaySet implements ReplayGuard {
  readonly #forgetAt = new Map<string, number>();
  #sweepAt = 1024;

  constructor() {
    // A subclass adds fields of its own.
    if (new.target === ReplaySet) Object.freeze(this);
  }

  insert({ descriptorHash, forgetAtMs, nowMs }: ReplayEntry): boolean {
    if (this.#forgetAt.size >= this.#sweepAt) {
      for (const [key, forgetAt] of this.#forgetAt) if (forgetAt <= nowMs) this.#forgetAt.delete(key);
      this.#sweepAt = Math.max(1024, 2 * this.#forgetAt.size);
    }
    const isNew = !this.#forgetAt.has(descriptorHash);
    this.#forgetAt.set(descriptorHash, forgetAtMs);
    return isNew;
  }
}

/**
 * Reads the answer to an open: `{"sealed": {"reply": …, "context": …}}`, or the inner object alone.
 *
 * @throws {Ok2cryError} `answer_invalid`; `release_mode_mismatch` if it delivers plaintext to the caller.
 */
export function parseSealedReply(answer: string | Uint8Array): SealedReply {
  const body = parseAnswer(answer);
  const kinds = Object.keys(body);
  if (kinds.length === 1 && kinds[0] === "plaintext") {
    refuse("release_mode_mismatch", "the answer delivers plaintext to the caller, which was not requested");
  }
  const isInner = kinds.length === 2 && "reply" in body && "context" in body;
  if (!isInner && (kinds.length !== 1 || kinds[0] !== "sealed")) invalid("expected sealed and no other field");
  const sealed = isInner ? body : objectOf(body["sealed"], ["reply", "context"]);
  return { reply: bytesField(sealed, "reply"), context: attestedOf(objectOf(sealed["context"], ATTESTED)) };
}

/**
 * Reads a record with its proof, such as the answer of `GET /v1/attestation`.
 *
 * @throws {Ok2cryError} `answer_invalid`.
 */
export function parseAttested(answer: string | Uint8Array): Attested {
  return attestedOf(parseAnswer(answer, ATTESTED));
}

const ATTESTED = ["record", "index", "path", "document"];

function attestedOf(body: JsonObject): Attested {
  return { record: bytesField(body, "record"), document: bytesField(body, "document"), ...inclusionOf(body) };
}
