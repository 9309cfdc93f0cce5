// The sender's side: ask for keys, verify the answer, seal one message to each.

import { bytesField, type JsonObject, numberField, parseAnswer, textField } from "./answer.js";
import type { VerifiedDocument } from "./attestation/verifier.js";
import { type Bytes, copy, equal, isBytes, toBase64Url } from "./bytes.js";
import { refuse } from "./error.js";
import { sealTo } from "./hybrid.js";
import { type Inclusion, nonceForKey } from "./protocol/batch.js";
import { isPurpose, type KeyDescriptor, publicKeyJwk, publicKeyPem, readDescriptor, sealInfo } from "./protocol/descriptor.js";
import { SUITE } from "./protocol/record.js";
import { MAX_AAD, MAX_PLAINTEXT } from "./protocol/reply.js";
import { type CheckTime, span, systemTime } from "./time.js";
import type { AttestedBatch, Trust } from "./trust.js";
import { importP384 } from "./webcrypto.js";

/** The most keys that one request can ask for. */
export const MAX_COUNT = 100;
const NONCE_LENGTH = 32;
const WHAT = "key descriptor";

/** What a key is wanted for. */
export interface KeyWish {
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
  readonly #wish: Required<KeyWish>;
  readonly #nonce: Uint8Array;
  #isAnswered = false;

  /** Not for callers: see {@link KeyRequest.create}. */
  constructor(own: typeof OWN, wish: Required<KeyWish>) {
    if (own !== OWN) throw new TypeError("a KeyRequest comes from KeyRequest.create");
    this.#wish = wish;
    this.#nonce = crypto.getRandomValues(new Uint8Array(NONCE_LENGTH));
  }

  /**
   * Prepares a request.
   *
   * @throws {Ok2cryError} `record_invalid` naming the field.
   */
  static async create(wish: KeyWish): Promise<KeyRequest> {
    const invalid = (field: string, rule: string) => refuse("record_invalid", `request: ${field}: ${rule}`);
    const { purpose, ttlMs, count = 1 } = wish;
    const recipient = copy(wish.recipient, "recipient");
    if (!isPurpose(purpose)) invalid("purpose", "must be 1 to 64 of a-z, 0-9, '.', '_' and '-'");
    if (!Number.isSafeInteger(ttlMs) || ttlMs < 1) invalid("ttl", "must be a number of milliseconds");
    if (!Number.isInteger(count) || count < 1 || count > MAX_COUNT) invalid("count", "must be from 1 to 100");
    if (!(await importP384(recipient))) invalid("recipient", "is not an uncompressed point on P-384");
    return new KeyRequest(OWN, { purpose, ttlMs, count, recipient });
  }

  /** The body of `POST /v1/keys`. */
  toJSON(): object {
    return {
      nonce: toBase64Url(this.#nonce),
      purpose: this.#wish.purpose,
      ttl: this.#wish.ttlMs,
      recipient: { suite: SUITE, public_key: toBase64Url(this.#wish.recipient) },
      count: this.#wish.count,
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
    if (keys.length !== this.#wish.count) {
      refuse("key_count_mismatch", `${this.#wish.count} keys were asked for and ${keys.length} came`);
    }
    const verified: VerifiedKey[] = [];
    for (const [index, key] of keys.entries()) verified.push(await this.#verifyOne(index, key, batch, time));
    // A nonce is for one answer: the same keys must not be handed out twice.
    if (this.#isAnswered) refuse("nonce_mismatch", "this request has its answer: ask anew for other keys");
    this.#isAnswered = true;
    return verified;
  }

  async #verifyOne(index: number, key: AnsweredKey, batch: AttestedBatch, time: CheckTime): Promise<VerifiedKey> {
    await batch.prove(WHAT, key.descriptor, key);
    const descriptor = await readDescriptor(key.descriptor);
    if (descriptor.instance !== batch.instance) {
      refuse("instance_mismatch", `the ${WHAT} belongs to another enclave than the document`);
    }
    if (!equal(descriptor.clientNonce, await nonceForKey(this.#nonce, index, this.#wish.count))) {
      refuse("nonce_mismatch", "the nonce is not this request's");
    }
    if (descriptor.purpose !== this.#wish.purpose) refuse("purpose_mismatch", "the purpose is not the expected one");
    if (!equal(descriptor.recipient ?? new Uint8Array(), this.#wish.recipient)) {
      refuse("recipient_mismatch", `the ${WHAT} is for another recipient`);
    }
    if (descriptor.expiresAtMs - descriptor.issuedAtMs !== this.#wish.ttlMs) {
      refuse("ttl_mismatch", "the ttl is not the one that was asked for");
    }
    batch.checkTime(WHAT, descriptor.issuedAtMs);
    checkNotExpired(descriptor, time);
    return new VerifiedKey(OWN, descriptor, batch);
  }
}

/** Known in this module alone. */
const OWN: unique symbol = /* @__PURE__ */ Symbol("KeyRequest");

/**
 * A key that is proven to live in an accepted enclave. Only {@link KeyRequest.verify} makes these, and each seals one message:
 * what was not verified cannot be sealed to.
 */
export class VerifiedKey {
  readonly #descriptor: KeyDescriptor;
  readonly #batch: AttestedBatch;
  #isUsed = false;

  /** Not for callers. */
  constructor(own: typeof OWN, descriptor: KeyDescriptor, batch: AttestedBatch) {
    if (own !== OWN) throw new TypeError("a VerifiedKey comes from KeyRequest.verify");
    this.#descriptor = descriptor;
    this.#batch = batch;
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
   * @throws {Ok2cryError} `key_expired`, `plaintext_too_long`, `aad_too_long`; `key_sealed` the second time.
   * @throws {TypeError} for a text in place of bytes. Nothing is used up then.
   */
  async seal(plaintext: Uint8Array, aad: Uint8Array, time: CheckTime = systemTime()): Promise<SealedMessage> {
    checkNotExpired(this.#descriptor, time);
    for (const [name, value] of Object.entries({ plaintext, aad })) {
      if (!isBytes(value)) throw new TypeError(`${name} must be a Uint8Array`);
    }
    if (plaintext.length > MAX_PLAINTEXT) {
      refuse("plaintext_too_long", `the plaintext is longer than ${MAX_PLAINTEXT} bytes`);
    }
    if (aad.length > MAX_AAD) refuse("aad_too_long", `the aad is longer than ${MAX_AAD} bytes`);
    if (this.#isUsed) refuse("key_sealed", "a message was sealed to this key: ask for another one");
    const own = { plaintext: copy(plaintext, "plaintext"), aad: copy(aad, "aad") };
    this.#isUsed = true;
    try {
      const { enc, ciphertext } = await sealTo(this.#descriptor.publicKey, sealInfo(this.#descriptor), own.aad, own.plaintext);
      return new SealedMessage(this.keyId, this.descriptorHash, enc, ciphertext, own.aad);
    } finally {
      own.plaintext.fill(0);
    }
  }
}

/** A message that only the key in the enclave opens. Hand it to anybody: `JSON.stringify` it, {@link SealedMessage.parse} it. */
export class SealedMessage {
  /** The key that opens it: 32 characters. */
  readonly keyId: string;
  /** SHA-384 of the key's descriptor, 48 bytes. */
  readonly descriptorHash: Uint8Array;
  /** HPKE's encapsulated key, 97 bytes. */
  readonly enc: Uint8Array;
  /** HPKE's ciphertext: 16 bytes longer than the plaintext. */
  readonly ciphertext: Uint8Array;
  /** The context that it was sealed with. */
  readonly aad: Uint8Array;

  /** See {@link VerifiedKey.seal} and {@link SealedMessage.parse}. Nothing about a message is believed, so anybody may make one. */
  constructor(keyId: string, descriptorHash: Uint8Array, enc: Uint8Array, ciphertext: Uint8Array, aad: Uint8Array) {
    this.keyId = keyId;
    this.descriptorHash = descriptorHash;
    this.enc = enc;
    this.ciphertext = ciphertext;
    this.aad = aad;
  }

  /**
   * Reads what `JSON.stringify` made of a message, here or in another language's client.
   *
   * @throws {Ok2cryError} `answer_invalid`.
   */
  static parse(json: string | Uint8Array): SealedMessage {
    const body = parseAnswer(json, ["key_id", "descriptor_hash", "enc", "ciphertext", "aad"]);
    const [hash, enc, ciphertext, aad] = ["descriptor_hash", "enc", "ciphertext", "aad"].map((field) => bytesField(body, field));
    return new SealedMessage(textField(body, "key_id"), hash as Bytes, enc as Bytes, ciphertext as Bytes, aad as Bytes);
  }

  /** The message as JSON has it. */
  toJSON(): { key_id: string; descriptor_hash: string; enc: string; ciphertext: string; aad: string } {
    return { key_id: this.keyId, descriptor_hash: toBase64Url(this.descriptorHash), ...this.toOpenRequest() };
  }

  /** The body of `POST /v1/keys/{keyId}/open`. */
  toOpenRequest(): { enc: string; ciphertext: string; aad: string } {
    return { enc: toBase64Url(this.enc), ciphertext: toBase64Url(this.ciphertext), aad: toBase64Url(this.aad) };
  }
}

interface AnsweredKey extends Inclusion {
  readonly descriptor: Uint8Array;
}

function answered(answer: string | Uint8Array): { document: Uint8Array; keys: AnsweredKey[] } {
  const body = parseAnswer(answer, ["document", "keys"]);
  const { keys } = body;
  if (!Array.isArray(keys)) return refuse("answer_invalid", "the answer is not understood: keys must be an array");
  return {
    document: bytesField(body, "document"),
    keys: keys.map((key: unknown) => {
      const object = parseAnswer(key, ["descriptor", "index", "path"]);
      return { descriptor: bytesField(object, "descriptor"), ...inclusionOf(object) };
    }),
  };
}

/** The place that an answer names. */
export function inclusionOf(object: JsonObject): Inclusion {
  const { path } = object;
  if (!Array.isArray(path)) return refuse("answer_invalid", "the answer is not understood: path must be an array");
  return {
    index: numberField(object, "index"),
    path: path.map((_, at) => bytesField({ path: path[at] as unknown }, "path")),
  };
}

function checkNotExpired(descriptor: KeyDescriptor, time: CheckTime): void {
  if (time.nowMs < descriptor.expiresAtMs) return;
  const byMs = time.nowMs - descriptor.expiresAtMs;
  refuse("key_expired", `the key has expired ${span(byMs)} ago; if it was asked for just now, is the clock ahead?`);
}
