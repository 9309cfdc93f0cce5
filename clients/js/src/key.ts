// The sender's side: request keys, verify the answer, seal one message to each key.

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
import { type CheckTime, formatDuration, systemTime } from "./time.js";
import type { AttestedBatch, Trust } from "./trust.js";
import { isP384Point, randomBytes, sha384 } from "./webcrypto.js";

const NONCE_LENGTH = 32;
const WHAT = "key descriptor";

/** What {@link KeyRequest.create} takes. */
export interface KeyRequestOptions {
  /** A purpose of the enclave's measured configuration: 1 to 64 of `[a-z0-9._-]`. */
  readonly purpose: string;
  /**
   * The key's lifetime in milliseconds. The enclave's measured configuration sets the maximum; a minute is
   * common.
   */
  readonly ttlMs: number;
  /**
   * The recipient's public key: an uncompressed P-384 point, 97 bytes. {@link fromBase64Url} reads what
   * `ok2cry recipient show` prints, {@link publicKeyFromPem} reads PEM.
   */
  readonly recipient: Uint8Array;
  /** The number of keys, 1 to 100. The default is 1. */
  readonly count?: number;
}

/** A request for keys, with the nonce that binds the answer to it. It accepts one answer. */
export class KeyRequest {
  readonly #options: Required<KeyRequestOptions>;
  readonly #nonce: Uint8Array;
  #isAnswered = false;

  /** Internal: use {@link KeyRequest.create}. */
  constructor(request: typeof REQUEST, options: Required<KeyRequestOptions>) {
    if (request !== REQUEST) throw new TypeError("a KeyRequest comes from KeyRequest.create");
    this.#options = options;
    this.#nonce = randomBytes(NONCE_LENGTH);
    Object.freeze(this);
  }

  /**
   * Creates a request with a fresh nonce.
   *
   * @throws {Ok2cryError} `record_invalid` with the field's name; `crypto_failed`.
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
   * Verifies an answer: an accepted enclave attests, now, that it made these keys for this request's nonce,
   * purpose, recipient and lifetime.
   *
   * @param answer The response body, as text or bytes.
   * @throws {Ok2cryError} The first rule that the answer breaks. No key is returned then.
   */
  async verify(answer: string | Uint8Array, trust: Trust, time: CheckTime = systemTime()): Promise<VerifiedKey[]> {
    const { document, keys } = parseIssued(answer);
    const batch = await trust.acceptForKeys(document, time);
    if (keys.length !== this.#options.count) {
      refuse("key_count_mismatch", `expected ${this.#options.count} keys, found ${keys.length}`);
    }
    const verified: VerifiedKey[] = [];
    for (const [index, key] of keys.entries()) verified.push(await this.#verifyKey(index, key, batch, time));
    // The same keys must not be returned twice.
    if (this.#isAnswered) refuse("nonce_mismatch", "this request was answered: make another one");
    this.#isAnswered = true;
    return verified;
  }

  /**
   * As {@link KeyRequest.verify}, for a request of one key.
   *
   * @throws {Ok2cryError} `key_count_mismatch` also if the request is for several keys.
   */
  async verifyOne(answer: string | Uint8Array, trust: Trust, time?: CheckTime): Promise<VerifiedKey> {
    if (this.#options.count !== 1) refuse("key_count_mismatch", "verifyOne needs a request for one key");
    return (await this.verify(answer, trust, time))[0] as VerifiedKey;
  }

  async #verifyKey(index: number, key: IssuedKey, batch: AttestedBatch, time: CheckTime): Promise<VerifiedKey> {
    await batch.checkIncluded(WHAT, key.descriptor, key);
    const descriptor = await readDescriptor(key.descriptor);
    if (descriptor.instance !== batch.instance) {
      refuse("instance_mismatch", `the ${WHAT} is of another enclave than the document`);
    }
    if (!equal(descriptor.clientNonce, await nonceForKey(this.#nonce, index, this.#options.count))) {
      refuse("nonce_mismatch", "the nonce is not this request's");
    }
    if (descriptor.purpose !== this.#options.purpose) refuse("purpose_mismatch", "the purpose is not the expected one");
    if (!equal(descriptor.recipient ?? new Uint8Array(), this.#options.recipient)) {
      refuse("recipient_mismatch", `the ${WHAT} is for another recipient`);
    }
    if (descriptor.expiresAtMs - descriptor.issuedAtMs !== this.#options.ttlMs) {
      refuse("ttl_mismatch", "the ttl is not this request's");
    }
    batch.checkTime(WHAT, descriptor.issuedAtMs);
    checkNotExpired(descriptor, time);
    return new VerifiedKey(REQUEST, descriptor, batch);
  }
}

/** Keeps the constructors private to this module. */
const REQUEST: unique symbol = /* @__PURE__ */ Symbol("KeyRequest");

/**
 * A key that provably lives in an accepted enclave. It seals one message. Only {@link KeyRequest.verify}
 * makes these, so an unverified key cannot be sealed to.
 */
export class VerifiedKey {
  readonly #descriptor: KeyDescriptor;
  readonly #batch: AttestedBatch;
  #isUsed = false;

  /** Internal: use {@link KeyRequest.verify}. */
  constructor(request: typeof REQUEST, descriptor: KeyDescriptor, batch: AttestedBatch) {
    if (request !== REQUEST) throw new TypeError("a VerifiedKey comes from KeyRequest.verify");
    this.#descriptor = descriptor;
    this.#batch = batch;
    Object.freeze(this);
  }

  /** The key's name in URLs: 32 characters. */
  get keyId(): string {
    return this.#descriptor.keyId;
  }

  /** The boot of the enclave that holds the key: 8 bytes, hexadecimal. */
  get instance(): string {
    return this.#descriptor.instance;
  }

  /** When the enclave accepted the request, in Unix milliseconds. */
  get issuedAtMs(): number {
    return this.#descriptor.issuedAtMs;
  }

  /** The key's deadline, in Unix milliseconds. */
  get expiresAtMs(): number {
    return this.#descriptor.expiresAtMs;
  }

  /** The key's purpose. */
  get purpose(): string {
    return this.#descriptor.purpose;
  }

  /** The nonce in the key's descriptor, which is this request's. */
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

  /** The index of the accepted release that the enclave runs; undefined if the policy has no measurements. */
  get release(): number | undefined {
    return this.#batch.release;
  }

  /** The descriptor's bytes. */
  get descriptor(): Uint8Array {
    return this.#descriptor.bytes.slice();
  }

  /** SHA-384 of the descriptor: the recipient's idempotency key. */
  get descriptorHash(): Uint8Array {
    return this.#descriptor.hash.slice();
  }

  /** The public key as PEM. */
  toPem(): string {
    return publicKeyPem(this.#descriptor.publicKey);
  }

  /** The public key as a JSON Web Key. */
  toJwk(): { kty: "EC"; crv: "P-384"; x: string; y: string } {
    return publicKeyJwk(this.#descriptor.publicKey);
  }

  /**
   * Seals one message. The ciphertext reveals the plaintext's length, so {@link pad} short secrets such as
   * PINs.
   *
   * Only success uses the key up: after an error the key can seal again.
   *
   * @throws {Ok2cryError} `key_expired`, `plaintext_too_long`, `aad_too_long`; `key_sealed` for a second
   *   message; `crypto_failed` if the platform fails.
   * @throws {TypeError} if `plaintext` or `aad` is not a `Uint8Array`.
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
    if (this.#isUsed) refuse("key_sealed", "this key has sealed a message: request another one");
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

/** What {@link VerifiedKey.seal} takes. */
export interface Message {
  /** At most 4,096 bytes, which are copied. Overwrite yours afterwards (`plaintext.fill(0)`). */
  readonly plaintext: Uint8Array;
  /**
   * Additional data that binds the message to its transaction, such as an order number. At most 1,024 bytes,
   * not encrypted. The recipient must expect the same bytes.
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

/** The JSON form of a message. Byte strings are base64url. */
export interface SealedMessageJson {
  readonly key_id: string;
  readonly descriptor_hash: string;
  readonly enc: string;
  readonly ciphertext: string;
  readonly aad: string;
  readonly descriptor?: string;
}

/**
 * A message that only the key in the enclave opens. It is not secret: send its JSON to any party, and read it
 * with {@link SealedMessage.parse}.
 *
 * Its own fields are those of the JSON form, and their bytes serialize as base64url. So
 * `JSON.stringify({ order, ...message })` holds the whole message.
 */
export class SealedMessage {
  /** {@link SealedMessage.keyId}, as JSON names it. */
  readonly key_id: string;
  /** {@link SealedMessage.descriptorHash}, as JSON names it. */
  readonly descriptor_hash: Uint8Array;
  /** HPKE's encapsulated key, 97 bytes. */
  readonly enc: Uint8Array;
  /** HPKE's ciphertext: 16 bytes longer than the plaintext. */
  readonly ciphertext: Uint8Array;
  /** The additional data that the message was sealed with. */
  readonly aad: Uint8Array;
  /** The key's descriptor, which names the recipient and the deadline. Absent from older messages. */
  declare readonly descriptor?: Uint8Array;

  /**
   * Use {@link VerifiedKey.seal} or {@link SealedMessage.parse}. A message is not trusted, so this is public.
   */
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
   * Reads a message of this or another language's client.
   *
   * @param message The message, its JSON as text or bytes, or the parsed JSON.
   * @throws {Ok2cryError} `answer_invalid`, also for unknown fields.
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
    if (keyId !== descriptorOf(described).keyId) invalid("descriptor is another key's");
    return new SealedMessage({ ...parts, descriptor: described });
  }

  /**
   * The public key of the recipient that the key delivers to (a point, 97 bytes); undefined in older
   * messages.
   *
   * @throws {Ok2cryError} `answer_invalid` if `descriptor_hash` is not the descriptor's hash;
   *   `release_mode_mismatch` if the key delivers to the caller of open.
   */
  async recipient(): Promise<Uint8Array | undefined> {
    if (this.descriptor === undefined) return undefined;
    if (!equal(await sha384(this.descriptor), this.descriptor_hash)) invalid("descriptor_hash is not the hash of descriptor");
    const { recipient } = descriptorOf(this.descriptor);
    return recipient ?? refuse("release_mode_mismatch", "the key delivers to the caller of open, not to a recipient");
  }

  /** The key that opens the message: 32 characters. */
  get keyId(): string {
    return this.key_id;
  }

  /** SHA-384 of the key's descriptor, 48 bytes. */
  get descriptorHash(): Uint8Array {
    return this.descriptor_hash;
  }

  /** The JSON form. */
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

/** Whether a value is a key id: base64url of 24 bytes. */
export function isKeyId(keyId: unknown): keyId is string {
  return typeof keyId === "string" && /^[A-Za-z0-9_-]{32}$/.test(keyId);
}

function descriptorOf(descriptor: Uint8Array): Omit<KeyDescriptor, "hash"> {
  try {
    return decodeDescriptor(descriptor);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return invalid(`descriptor: ${error.message}`);
  }
}

/** A copy that serializes as base64url, also outside of the message. */
function jsonBytes(bytes: Uint8Array): Uint8Array {
  return Object.defineProperty(copy(bytes), "toJSON", { value: toJson });
}

function toJson(this: Uint8Array): string {
  return toBase64Url(this);
}

interface IssuedKey extends Inclusion {
  readonly descriptor: Uint8Array;
}

/** Reads the answer of `POST /v1/keys`. Verifies nothing. */
export function parseIssued(answer: string | Uint8Array): { document: Uint8Array; keys: IssuedKey[] } {
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

/** Reads the inclusion proof of an answer. */
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
  refuse("key_expired", `the key expired ${formatDuration(byMs)} ago; if it is new, is the clock ahead?`);
}
