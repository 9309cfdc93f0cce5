// The COSE envelope and the payload of an attestation document: fields, types and limits, before any
// verification.

import { type Bytes, bigEndian, concat, copy, equal, isBytes, utf8 } from "../bytes.js";
import { type ErrorCode, MAX_CABUNDLE_LENGTH, MAX_DOCUMENT_LENGTH, PCR_COUNT, PCR_LENGTH } from "../codes.js";
import { refuse } from "../error.js";
import { SIGNATURE_LENGTH } from "../webcrypto.js";
import { CborReader } from "./cbor.js";

const MAX_PAYLOAD_LENGTH = 16 * 1024;
/** The longest certificate, in bytes. */
export const MAX_CERTIFICATE_LENGTH = 1024;
/**
 * The longest `public_key`, `user_data` and `nonce`, in bytes. AWS's text says 512 for two of them; its CDDL
 * and the module say 1,024.
 */
const MAX_OPTIONAL_LENGTH = 1024;
/** `{1: -35}`: ES384. */
const PROTECTED_ES384 = Uint8Array.of(0xa1, 0x01, 0x38, 0x22);

/** The fields of a document, not verified. Byte strings are views into one copy of the document. */
export interface Claims {
  readonly moduleId: string;
  readonly timestampMs: number;
  readonly pcrs: ReadonlyMap<number, Uint8Array>;
  readonly certificate: Uint8Array;
  readonly cabundle: readonly Uint8Array[];
  readonly publicKey: Uint8Array | undefined;
  readonly userData: Uint8Array | undefined;
  readonly nonce: Uint8Array | undefined;
}

/** A decoded document, **not verified**: any party may have made it. */
export interface Decoded {
  readonly claims: Claims;
  /** What the signature covers (RFC 9052 §4.4). */
  readonly signedBytes: Bytes;
  readonly signature: Uint8Array;
}

/** Decodes a document. Verifies nothing. */
export function decode(document: Uint8Array): Decoded {
  if (!isBytes(document)) throw new TypeError("a document must be a Uint8Array");
  if (document.length > MAX_DOCUMENT_LENGTH) {
    refuse("document_too_large", `document: ${document.length} bytes, expected at most ${MAX_DOCUMENT_LENGTH}`);
  }
  const what = "COSE_Sign1";
  const reader = new CborReader(copy(document));
  const tag = reader.optionalTag(what);
  if (tag !== undefined && (tag !== 18 || reader.optionalTag(what) !== undefined)) {
    refuse("cose_tag", `${what}: expected tag 18, once, or no tag`);
  }
  const count = reader.array(what);
  if (count !== 4) refuse("cose_element_count", `${what}: ${count} elements, expected 4`);
  if (!equal(reader.bytes("protected header"), PROTECTED_ES384)) {
    refuse("protected_header_not_es384", "protected header: expected {1: -35} (ES384)");
  }
  // The signature does not cover this map, so the sender could put anything into it.
  if (reader.map("unprotected header") !== 0) {
    refuse("unprotected_header_not_empty", "unprotected header: expected an empty map");
  }
  const payload = reader.bytes("payload");
  if (payload.length === 0 || payload.length > MAX_PAYLOAD_LENGTH) {
    refuse("payload_length", `payload: ${payload.length} bytes, expected 1 to ${MAX_PAYLOAD_LENGTH}`);
  }
  const signature = reader.bytes("signature");
  if (signature.length !== SIGNATURE_LENGTH) {
    refuse("signature_length", `signature: ${signature.length} bytes, expected ${SIGNATURE_LENGTH}`);
  }
  reader.finish(what);
  return { claims: claimsOf(payload), signedBytes: signedBytes(payload), signature };
}

/** `["Signature1", protected, h'', payload]` in CBOR. */
function signedBytes(payload: Uint8Array): Bytes {
  const { length } = payload;
  const head = length < 24 ? [0x40 | length] : length < 256 ? [0x58, length] : [0x59, ...bigEndian(length, 2)];
  return concat(
    Uint8Array.of(0x84, 0x6a),
    utf8("Signature1"),
    Uint8Array.of(0x44),
    PROTECTED_ES384,
    Uint8Array.of(0x40, ...head),
    payload,
  );
}

function claimsOf(payload: Uint8Array): Claims {
  const reader = new CborReader(payload);
  const found = new Map<string, unknown>();
  // Modules sent this map with a definite length until spring 2025, and with an indefinite one since.
  for (const _ of reader.anyMap("payload")) {
    const key = reader.text("payload");
    if (key === "nitrotpm_pcrs") {
      refuse("nitrotpm_document", "payload: nitrotpm_pcrs: a NitroTPM document, not an enclave's");
    }
    const read = Object.hasOwn(FIELDS, key) ? FIELDS[key] : undefined;
    if (read === undefined) refuse("unknown_key", `payload: unknown key ${JSON.stringify([...key].slice(0, 32).join(""))}`);
    if (found.has(key)) refuse("duplicate_key", `payload: ${key} appears twice`);
    found.set(key, read(reader, key));
  }
  reader.finish("payload");
  for (const key of ["digest", "module_id", "timestamp", "pcrs", "certificate", "cabundle"]) {
    if (!found.has(key)) refuse("missing_field", `payload: ${key} is missing`);
  }
  return {
    moduleId: found.get("module_id") as string,
    timestampMs: found.get("timestamp") as number,
    pcrs: found.get("pcrs") as Claims["pcrs"],
    certificate: found.get("certificate") as Uint8Array,
    cabundle: found.get("cabundle") as Uint8Array[],
    publicKey: found.get("public_key") as Claims["publicKey"],
    userData: found.get("user_data") as Claims["userData"],
    nonce: found.get("nonce") as Claims["nonce"],
  };
}

/** The reader of each field. */
const FIELDS: Readonly<Record<string, (reader: CborReader, field: string) => unknown>> = {
  module_id: (reader, field) => reader.text(field) || refuse("module_id_empty", "module_id: empty"),
  digest: (reader, field) => reader.text(field) === "SHA384" || refuse("digest_not_sha384", 'digest: expected "SHA384"'),
  timestamp: (reader, field) => reader.uint(field) || refuse("timestamp_zero", "timestamp: 0"),
  pcrs: pcrsOf,
  certificate: (reader, field) => certificateOf(reader, field, field, "certificate_length"),
  cabundle: (reader, field) => {
    const count = reader.array(field);
    if (count < 1 || count > MAX_CABUNDLE_LENGTH) {
      refuse("cabundle_count", `cabundle: ${count} entries, expected 1 to ${MAX_CABUNDLE_LENGTH}`);
    }
    return Array.from({ length: count }, (_, index) =>
      certificateOf(reader, field, `cabundle[${index}]`, "cabundle_entry_length"),
    );
  },
  // No key has zero bytes, and documents with an empty one exist. It counts as absent.
  public_key: (reader) => {
    const key = optionalOf(reader, "public_key");
    return key?.length === 0 ? undefined : key;
  },
  user_data: (reader) => optionalOf(reader, "user_data"),
  nonce: (reader) => optionalOf(reader, "nonce"),
};

function pcrsOf(reader: CborReader, field: string): Map<number, Uint8Array> {
  const count = reader.map(field);
  if (count < 1 || count > PCR_COUNT) {
    refuse("pcr_count", `pcrs: ${count} entries, expected 1 to ${PCR_COUNT}`);
  }
  const pcrs = new Map<number, Uint8Array>();
  for (let left = count; left > 0; left--) {
    const index = reader.uint(field);
    if (index >= PCR_COUNT) refuse("pcr_index", `pcrs: index ${index} is above 31`);
    const value = reader.bytes(field);
    if (value.length !== PCR_LENGTH) {
      refuse("pcr_length", `pcrs: PCR${index} has ${value.length} bytes, expected ${PCR_LENGTH}`);
    }
    if (pcrs.has(index)) refuse("pcr_duplicate", `pcrs: PCR${index} appears twice`);
    pcrs.set(index, value);
  }
  // Without these three a document says nothing about the running code.
  const missing = [0, 1, 2].find((index) => !pcrs.has(index));
  if (missing !== undefined) refuse("pcr_missing", `pcrs: PCR${missing} is missing`);
  return pcrs;
}

function certificateOf(reader: CborReader, field: string, at: string, code: ErrorCode): Uint8Array {
  const der = reader.bytes(field);
  if (der.length < 1 || der.length > MAX_CERTIFICATE_LENGTH) {
    refuse(code, `${at}: ${der.length} bytes, expected 1 to ${MAX_CERTIFICATE_LENGTH}`);
  }
  return der;
}

function optionalOf(reader: CborReader, field: "public_key" | "user_data" | "nonce"): Uint8Array | undefined {
  const value = reader.optionalBytes(field);
  if (value !== undefined && value.length > MAX_OPTIONAL_LENGTH) {
    refuse(`${field}_length`, `${field}: ${value.length} bytes, expected at most ${MAX_OPTIONAL_LENGTH}`);
  }
  return value;
}
