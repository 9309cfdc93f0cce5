// The sender's side: ask for keys, verify the answer, seal one message to each.

import { bytesField, invalid, type JsonObject, numberField, objectOf, parseAnswer, textField } from "./answer.js";
import type { VerifiedDocument } from "./attestation/verifier.js";
import { copy, equal, isBytes, toBase64Url } from "./bytes.js";
import { MAX_AAD, MAX_COUNT, MAX_PLAINTEXT, SUITE } from "./codes.js";
import { isRefusal, refuse } from "./error.js";
import { sealTo } from "./hpke.js";
import { own } from "./own.js";
import { type Inclusion, nonceForKey } from "./protocol/batch.js";
import {
  decodeDescriptor,
  isPurpose,
  type KeyDescriptor,
  publicKeyJwk,
  publicKeyPem,
  readDescriptor,
  sealInfo,
} from "./protocol/descriptor.js";
import { type CheckTime, span, systemTime } from "./time.js";
import type { AttestedBatch, Trust } from "./trust.js";
import { isP384Point, randomBytes, sha384 } from "./webcrypto.js";

const NONCE_LENGTH = 32;
const WHAT = "key descriptor";

/** What a key is wanted for. */
export interface KeyRequestOptions {
  /** One of the purposes of the enclave's measured configuration: 1 to 64 of `[a-z0-9._-]`. */
  readonly purpose: string;
  /** How long the key lives, in milliseconds: within the limits of the enclave's measured configuration (a minute is common). */
  readonly ttlMs: number;
  /**
   * Who reads what the key opens: an uncompressed P-384 point, 97 bytes. {@link fromBase64Url} makes it of what `ok2cry recipient show`
   * prints, {@link publicKeyFromPem} of PEM.
   */
  readonly recipient: Uint8Array;
  /** How many keys, 1 to 100; 1 if left out. */
  readonly count?: number;
}

/** A request for keys, with the nonce that ties their answer to it. Good for one answer. */
export class KeyRequest {
  readonly #options: Required<KeyRequestOptions>;
  readonly #nonce: Uint8Array;
  #isAnswered = false;

  /** Not for callers: see {@link KeyRequest.create}. */
  constructor(request: typeof REQUEST, options: Required<KeyRequestOptions>) {
    if (request !== REQUEST) throw new TypeError("a KeyRequest comes from KeyRequest.create");
    this.#options = options;
    this.#nonce = randomBytes(NONCE_LENGTH);
    Object.freeze(this);
  }

  /**
   * Prepares a request.
   *
   * @throws {Ok2cryError} `record_invalid` naming the field; `crypto_failed`.
   */
  static async create(options: KeyRequestOptions): Promise<KeyRequest> {
    const refused = (field: string, rule: string) => refuse("record_invalid", `request: ${field}: ${rule}`);
    const { purpose, ttlMs, count = 1, recipient: point } = own(options);
    const recipient = copy(point, "recipient");
    if (!isPurpose(purpose)) refused("purpose", "must be 1 to 64 of a-z, 0-9, '.', '_' and '-'");
    if (!Number.isSafeInteger(ttlMs) || ttlMs < 1) refused("ttl", "must be a number of milliseconds");
    if (!Number.isInteger(count) || count < 1 || count > MAX_COUNT) refused("count", "must be from 1 to 100");
    if (!isP384Point(recipient)) refused("recipient", "is not an uncompressed point on P-384");
    return new KeyRequest(REQUEST, { purpose, ttlMs, count, recipient });
  }

  /** The body of `POST /v1/keys`. */
  toJSON(): object {
    return {
      nonce: toBase64Url(this.#nonce),
      purpose: this.#options.purpose,
      ttl: this.#options.ttlMs,
      recipient: { suite: SUITE, public_key: toBase64Url(this.#options.recipient) },
      count: this.#options.count,
    };
  }

  /**
   * Verifies an answer: an accepted enclave attests now that it made these keys, for this request, purpose, recipient and time.
   *
   * @param answer The body that came, as text or bytes.
   * @throws {Ok2cryError} The first rule that it breaks. Nothing can be sealed then.
   */
  async verify(answer: string | Uint8Array, trust: Trust, time: CheckTime = systemTime()): Promise<VerifiedKey[]> {
    const { document, keys } = answered(answer);
    const batch = await trust.acceptForKeys(document, time);
    if (keys.length !== this.#options.count) {
      refuse("key_count_mismatch", `${this.#options.count} keys were asked for and ${keys.length} came`);
    }
    const verified: VerifiedKey[] = [];
    for (const [index, key] of keys.entries()) verified.push(await this.#verifyKey(index, key, batch, time));
    // A nonce is for one answer: the same keys must not be handed out twice.
    if (this.#isAnswered) refuse("nonce_mismatch", "this request has its answer: ask anew for other keys");
    this.#isAnswered = true;
    return verified;
  }

  /**
   * As {@link KeyRequest.verify}, for a request of one key.
   *
   * @throws {Ok2cryError} `key_count_mismatch` if the request is for several keys.
   */
  async verifyOne(answer: string | Uint8Array, trust: Trust, time?: CheckTime): Promise<VerifiedKey> {
    if (this.#options.count !== 1) refuse("key_count_mismatch", "verifyOne needs a request for one key");
    return (await this.verify(answer, trust, time))[0] as VerifiedKey;
  }

  async #verifyKey(index: number, key: AnsweredKey, batch: AttestedBatch, time: CheckTime): Promise<VerifiedKey> {
    await batch.prove(WHAT, key.descriptor, key);
    const descriptor = await readDescriptor(key.descriptor);
    if (descriptor.instance !== batch.instance) {
      refuse("instance_mismatch", `the ${WHAT} belongs to another enclave than the document`);
    }
    if (!equal(descriptor.clientNonce, await nonceForKey(this.#nonce, index, this.#options.count))) {
      refuse("nonce_mismatch", "the nonce is not this request's");
    }
    if (descriptor.purpose !== this.#options.purpose) refuse("purpose_mismatch", "the purpose is not the expected one");
    if (!equal(descriptor.recipient ?? new Uint8Array(), this.#options.recipient)) {
      refuse("recipient_mismatch", `the ${WHAT} is for another recipient`);
    }
    if (descriptor.expiresAtMs - descriptor.issuedAtMs !== this.#options.ttlMs) {
      refuse("ttl_mismatch", "the ttl is not the one that was asked for");
    }
    batch.checkTime(WHAT, descriptor.issuedAtMs);
    checkNotExpired(descriptor, time);
    return new VerifiedKey(REQUEST, descriptor, batch);
  }
}

/** Known in this module alone. */
const REQUEST: unique symbol = /* @__PURE__ */ Symbol("KeyRequest");

/**
 * A key that is proven to live in an accepted enclave. Only {@link KeyRequest.verify} makes these, and each seals one message:
 * what was not verified cannot be sealed to.
 */
export class VerifiedKey {
  readonly #descriptor: KeyDescriptor;
  readonly #batch: AttestedBatch;
  #isUsed = false;

  /** Not for callers. */
  constructor(request: typeof REQUEST, descriptor: KeyDescriptor, batch: AttestedBatch) {
    if (request !== REQUEST) throw new TypeError("a VerifiedKey comes from KeyRequest.verify");
    this.#descriptor = descriptor;
    this.#batch = batch;
    Object.freeze(this);
  }

  /** Names the key in URLs: 32 characters. */
  get keyId(): string {
    return this.#descriptor.keyId;
  }

  /** Which boot of an enclave holds the key: 8 bytes, hexadecimal. */
  get instance(): string {
    return this.#descriptor.instance;
  }

  /** When the enclave accepted the request, in Unix milliseconds. */
  get issuedAtMs(): number {
    return this.#descriptor.issuedAtMs;
  }

  /** When the key is gone, in Unix milliseconds. */
  get expiresAtMs(): number {
    return this.#descriptor.expiresAtMs;
  }

  /** What the key is for. */
  get purpose(): string {
    return this.#descriptor.purpose;
  }

  /** The nonce that the enclave put into the key's descriptor: this request's. */
  get clientNonce(): Uint8Array {
    return this.#descriptor.clientNonce.slice();
  }

  /** When the document was made, in Unix milliseconds. */
  get documentMs(): number {
    return this.#batch.document.timestampMs;
  }

  /** The document that attests the key: measurements, certificates, module. */
  get document(): VerifiedDocument {
    return this.#batch.document;
  }

  /** Which of the accepted releases the enclave runs, counted from 0; undefined without reference values. */
  get release(): number | undefined {
    return this.#batch.release;
  }

  /** The descriptor's bytes. */
  get descriptor(): Uint8Array {
    return this.#descriptor.bytes.slice();
  }

  /** SHA-384 of the descriptor: what the recipient's idempotency goes by. */
  get descriptorHash(): Uint8Array {
    return this.#descriptor.hash.slice();
  }

  /** The public key as PEM. */
  toPem(): string {
    return publicKeyPem(this.#descriptor.publicKey);
  }

  /** The public key as JSON Web Key. */
  toJwk(): { kty: "EC"; crv: "P-384"; x: string; y: string } {
    return publicKeyJwk(this.#descriptor.publicKey);
  }

  /**
   * Seals one message, and uses the key up. The ciphertext shows the plaintext's length: pad what has few lengths, such as PINs.
   *
   * @param plaintext At most 4,096 bytes, which are copied first. Overwrite yours when you are done (`plaintext.fill(0)`).
   * @param aad What ties the message to its transaction, such as an order's number: at most 1,024 bytes, for all to see. The
   *   recipient must expect the same.
   * @throws {Ok2cryError} `key_expired`, `plaintext_too_long`, `aad_too_long`; `key_sealed` the second time; `crypto_failed` if the
   *   platform fails. But for a success nothing uses the key up.
   * @throws {TypeError} for a text in place of bytes.
   */
  async seal(message: Message, time: CheckTime = systemTime()): Promise<SealedMessage> {
    const { plaintext, aad } = own(message);
    for (const [name, value] of Object.entries({ plaintext, aad })) {
      if (!isBytes(value)) throw new TypeError(`${name} must be a Uint8Array`);
    }
    checkNotExpired(this.#descriptor, time);
    if (plaintext.length > MAX_PLAINTEXT) {
      refuse("plaintext_too_long", `the plaintext is longer than ${MAX_PLAINTEXT} bytes`);
    }
    if (aad.length > MAX_AAD) refuse("aad_too_long", `the aad is longer than ${MAX_AAD} bytes`);
    if (this.#isUsed) refuse("key_sealed", "a message was sealed to this key: ask for another one");
    const input = { plaintext: copy(plaintext), aad: copy(aad), info: sealInfo(this.#descriptor) };
    this.#isUsed = true;
    try {
      const { keyId, hash: descriptorHash, publicKey, bytes: descriptor } = this.#descriptor;
      const { enc, ciphertext } = await sealTo(publicKey, input);
      return new SealedMessage({ keyId, descriptorHash, enc, ciphertext, aad: input.aad, descriptor });
    } catch (error) {
      // No ciphertext has left this function.
      this.#isUsed = false;
      throw error;
    } finally {
      input.plaintext.fill(0);
    }
  }
}

/** What one message holds. */
export interface Message {
  /** At most 4,096 bytes, which are copied. Overwrite yours afterwards (`plaintext.fill(0)`). */
  readonly plaintext: Uint8Array;
  /**
   * What binds the message to its transaction, such as an order number: at most 1,024 bytes, in the clear. The recipient must
   * expect the same bytes.
   */
  readonly aad: Uint8Array;
}

/** The parts of a {@link SealedMessage}. */
export interface SealedMessageParts {
  readonly keyId: string;
  readonly descriptorHash: Uint8Array;
  readonly enc: Uint8Array;
  readonly ciphertext: Uint8Array;
  readonly aad: Uint8Array;
  readonly descriptor?: Uint8Array;
}

/** A message as JSON has it: byte strings are base64url. */
export interface SealedMessageJson {
  readonly key_id: string;
  readonly descriptor_hash: string;
  readonly enc: string;
  readonly ciphertext: string;
  readonly aad: string;
  readonly descriptor?: string;
}

/**
 * A message that only the key in the enclave opens. Hand it to anybody: `JSON.stringify` it, {@link SealedMessage.parse} it. Its own
 * fields are those of its JSON, and their bytes become base64url there too, so that `JSON.stringify({ order, ...message })` holds
 * the whole message.
 */
export class SealedMessage {
  /** {@link SealedMessage.keyId}, by its name in JSON. */
  readonly key_id: string;
  /** {@link SealedMessage.descriptorHash}, by its name in JSON. */
  readonly descriptor_hash: Uint8Array;
  /** HPKE's encapsulated key, 97 bytes. */
  readonly enc: Uint8Array;
  /** HPKE's ciphertext: 16 bytes longer than the plaintext. */
  readonly ciphertext: Uint8Array;
  /** The context that it was sealed with. */
  readonly aad: Uint8Array;
  /** The key's descriptor, from which a recipient can tell for whom and until when the key is; not there in older messages. */
  declare readonly descriptor?: Uint8Array;

  /** See {@link VerifiedKey.seal} and {@link SealedMessage.parse}. Nothing about a message is believed, so anybody may make one. */
  constructor(parts: SealedMessageParts) {
    const { keyId, descriptorHash, enc, ciphertext, aad, descriptor } = own(parts);
    this.key_id = keyId;
    this.descriptor_hash = jsonBytes(descriptorHash);
    this.enc = jsonBytes(enc);
    this.ciphertext = jsonBytes(ciphertext);
    this.aad = jsonBytes(aad);
    if (descriptor !== undefined) this.descriptor = jsonBytes(descriptor);
  }

  /**
   * Reads a message, made here or by another language's client.
   *
   * @param message What `JSON.stringify` made of it, as text or bytes; what `JSON.parse` made of that; or the message itself.
   * @throws {Ok2cryError} `answer_invalid`, also for fields that no message has.
   */
  static parse(message: string | Uint8Array | SealedMessageJson | SealedMessage): SealedMessage {
    const isJson = typeof message === "string" || isBytes(message);
    const { descriptor, ...body } = isJson ? parseAnswer(message) : objectOf(message);
    const fields = objectOf(body, ["key_id", "descriptor_hash", "enc", "ciphertext", "aad"]);
    const bytes = (field: string, value = fields[field]) => (isBytes(value) ? value : bytesField({ [field]: value }, field));
    const keyId = textField(fields, "key_id");
    const [descriptorHash, enc] = [bytes("descriptor_hash"), bytes("enc")];
    const [ciphertext, aad] = [bytes("ciphertext"), bytes("aad")];
    if (!isKeyId(keyId)) invalid("key_id must be 32 characters of base64url");
    if (descriptorHash.length !== 48) invalid("descriptor_hash must have 48 bytes");
    if (!isP384Point(enc)) invalid("enc must be an uncompressed point on P-384");
    const parts = { keyId, descriptorHash, enc, ciphertext, aad };
    if (descriptor === undefined) return new SealedMessage(parts);
    const described = bytes("descriptor", descriptor);
    if (keyId !== describedBy(described).keyId) invalid("descriptor is another key's");
    return new SealedMessage({ ...parts, descriptor: described });
  }

  /**
   * Whom the key delivers to: a recipient's public key (a point, 97 bytes). Undefined in older messages, which do not say it.
   *
   * @throws {Ok2cryError} `answer_invalid` if the message's descriptor is not the one that it was sealed under;
   *   `release_mode_mismatch` if the key delivers to whoever calls open.
   */
  async recipient(): Promise<Uint8Array | undefined> {
    if (this.descriptor === undefined) return undefined;
    if (!equal(await sha384(this.descriptor), this.descriptor_hash)) invalid("descriptor is not what descriptor_hash names");
    const { recipient } = describedBy(this.descriptor);
    return recipient ?? refuse("release_mode_mismatch", "the key delivers to whoever calls open, and not to a recipient");
  }

  /** The key that opens it: 32 characters. */
  get keyId(): string {
    return this.key_id;
  }

  /** SHA-384 of the key's descriptor, 48 bytes. */
  get descriptorHash(): Uint8Array {
    return this.descriptor_hash;
  }

  /** The message as JSON has it. */
  toJSON(): SealedMessageJson {
    const { key_id, descriptor_hash, descriptor } = this;
    const message = { key_id, descriptor_hash: toBase64Url(descriptor_hash), ...this.toOpenRequest() };
    return descriptor === undefined ? message : { ...message, descriptor: toBase64Url(descriptor) };
  }

  /** The body of `POST /v1/keys/{keyId}/open`. */
  toOpenRequest(): { enc: string; ciphertext: string; aad: string } {
    return { enc: toBase64Url(this.enc), ciphertext: toBase64Url(this.ciphertext), aad: toBase64Url(this.aad) };
  }
}

/** Whether a text names a key: 24 bytes in base64url. */
export function isKeyId(keyId: unknown): keyId is string {
  return typeof keyId === "string" && /^[A-Za-z0-9_-]{32}$/.test(keyId);
}

function describedBy(descriptor: Uint8Array): Omit<KeyDescriptor, "hash"> {
  try {
    return decodeDescriptor(descriptor);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return invalid(`descriptor: ${error.message}`);
  }
}

/** A copy that becomes base64url in JSON, also where it has left the message. */
function jsonBytes(bytes: Uint8Array): Uint8Array {
  return Object.defineProperty(copy(bytes), "toJSON", { value: toJson });
}

function toJson(this: Uint8Array): string {
  return toBase64Url(this);
}

interface AnsweredKey extends Inclusion {
  readonly descriptor: Uint8Array;
}

/** Reads the answer of `POST /v1/keys`, and verifies nothing. */
export function answered(answer: string | Uint8Array): { document: Uint8Array; keys: AnsweredKey[] } {
  const body = parseAnswer(answer, ["document", "keys"]);
  const { keys } = body;
  if (!Array.isArray(keys)) return invalid("keys must be an array");
  return {
    document: bytesField(body, "document"),
    keys: keys.map((key: unknown) => {
      const object = objectOf(key, ["descriptor", "index", "path"]);
      return { descriptor: bytesField(object, "descriptor"), ...inclusionOf(object) };
    }),
  };
}

/** The place that an answer names. */
export function inclusionOf(object: JsonObject): Inclusion {
  const { path } = object;
  if (!Array.isArray(path)) return invalid("path must be an array");
  return {
    index: numberField(object, "index"),
    path: path.map((hash: unknown) => bytesField({ path: hash }, "path")),
  };
}

function checkNotExpired(descriptor: KeyDescriptor, time: CheckTime): void {
  const { nowMs } = own(time);
  if (nowMs < descriptor.expiresAtMs) return;
  const byMs = nowMs - descriptor.expiresAtMs;
  refuse("key_expired", `the key has expired ${span(byMs)} ago; if it was asked for just now, is the clock ahead?`);
}
