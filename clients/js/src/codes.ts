// Generated from the registries of codes and the limits in Rust. Do not edit: `make vectors` compares.
// To write it: cargo run -p ok2cry-tests --bin generate-codes

/** A document, a trust anchor, a policy or a release is refused: `docs/attestation.md`, `docs/releases.md`. */
export type AttestationCode =
  | "anchor_length"
  | "anchor_not_root"
  | "anchor_pem"
  | "attestation_root_mismatch"
  | "cabundle_count"
  | "cabundle_entry_length"
  | "cabundle_not_root_first"
  | "cbor_indefinite_length"
  | "cbor_malformed"
  | "cbor_non_minimal"
  | "cbor_not_utf8"
  | "cbor_trailing_bytes"
  | "cbor_truncated"
  | "cbor_wrong_type"
  | "certificate_critical_extension"
  | "certificate_extension_duplicate"
  | "certificate_key_not_p384"
  | "certificate_length"
  | "certificate_signature_algorithm"
  | "certificate_signature_invalid"
  | "certificate_validity_inverted"
  | "certificate_version"
  | "chain_duplicate_subject"
  | "chain_out_of_order"
  | "checkpoint_invalid"
  | "checkpoint_origin_mismatch"
  | "checkpoint_signature_invalid"
  | "checkpoint_unsigned"
  | "cose_element_count"
  | "cose_tag"
  | "debug_mode"
  | "der_malformed"
  | "der_trailing_bytes"
  | "digest_not_sha384"
  | "document_from_future"
  | "document_signature_invalid"
  | "document_too_large"
  | "document_too_old"
  | "duplicate_key"
  | "expired"
  | "issuer_not_ca"
  | "issuer_not_key_cert_sign"
  | "leaf_is_ca"
  | "leaf_key_cert_sign"
  | "leaf_not_digital_signature"
  | "list_before_root"
  | "list_below_minimum"
  | "list_expired"
  | "list_forked"
  | "list_from_future"
  | "list_rolled_back"
  | "list_too_old"
  | "log_forked"
  | "log_rolled_back"
  | "manifest_attestation_root_mismatch"
  | "manifest_for_development"
  | "manifest_missing"
  | "manifest_not_listed"
  | "manifest_pcr_missing"
  | "manifest_subject_mismatch"
  | "manifest_version_mismatch"
  | "measurements_duplicate"
  | "measurements_empty"
  | "measurements_index"
  | "measurements_invalid"
  | "measurements_mixed"
  | "measurements_without_pcr0"
  | "measurements_zero"
  | "missing_field"
  | "module_id_empty"
  | "nitrotpm_document"
  | "no_release_accepted"
  | "nonce_length"
  | "nonce_mismatch"
  | "not_in_log"
  | "not_yet_valid"
  | "note_invalid"
  | "path_invalid"
  | "path_length_exceeded"
  | "payload_length"
  | "payload_type_mismatch"
  | "pcr_count"
  | "pcr_duplicate"
  | "pcr_index"
  | "pcr_length"
  | "pcr_mismatch"
  | "pcr_missing"
  | "pcr_zero"
  | "policy_without_release"
  | "protected_header_not_es384"
  | "public_key_length"
  | "release_document_too_large"
  | "release_field_invalid"
  | "release_json_invalid"
  | "release_not_listed"
  | "release_signature_invalid"
  | "root_expired"
  | "root_forked"
  | "root_not_pinned"
  | "root_not_trusted"
  | "root_out_of_sequence"
  | "root_rolled_back"
  | "signature_key_unknown"
  | "signature_length"
  | "signature_repeated"
  | "signatures_below_threshold"
  | "tile_length"
  | "tile_missing"
  | "timestamp_outside_leaf"
  | "timestamp_zero"
  | "unknown_key"
  | "unprotected_header_not_empty"
  | "user_data_length"
  | "user_data_mismatch"
  | "witness_from_future"
  | "witnesses_below_threshold";

/** An answer, a reply or an input is refused, or the service cannot be reached: `docs/errors.md`. */
export type ClientCode =
  | "aad_mismatch"
  | "aad_too_long"
  | "answer_invalid"
  | "crypto_failed"
  | "document_nonce_set"
  | "instance_mismatch"
  | "key_count_mismatch"
  | "key_expired"
  | "log_key_invalid"
  | "measurements_invalid"
  | "nonce_mismatch"
  | "not_in_batch"
  | "plaintext_too_long"
  | "private_key_invalid"
  | "purpose_mismatch"
  | "recipient_key_invalid"
  | "recipient_mismatch"
  | "record_invalid"
  | "release_mode_mismatch"
  | "reply_context_mismatch"
  | "reply_open_failed"
  | "reply_replayed"
  | "time_far_from_document"
  | "transport_failed"
  | "ttl_mismatch"
  | "user_data_invalid";

/** The service refused: `docs/errors.md`. A newer service may have codes that are not in this list. */
export type ServiceCode =
  | "aad_invalid"
  | "body_invalid"
  | "body_too_large"
  | "busy"
  | "caller_not_allowed"
  | "ciphertext_invalid"
  | "clock_unsafe"
  | "count_out_of_range"
  | "enc_invalid"
  | "enclave_timeout"
  | "enclave_unavailable"
  | "frame_invalid"
  | "host_invalid"
  | "internal"
  | "key_destroyed"
  | "key_expired"
  | "key_id_invalid"
  | "key_used"
  | "media_type_unsupported"
  | "method_not_allowed"
  | "nonce_invalid"
  | "not_found"
  | "nsm_unavailable"
  | "open_failed"
  | "purpose_invalid"
  | "purpose_unknown"
  | "query_invalid"
  | "recipient_invalid"
  | "recipient_key_invalid"
  | "replies_full"
  | "request_timeout"
  | "store_full"
  | "suite_unsupported"
  | "ttl_out_of_range"
  | "unknown_key";

/** Only this client refuses with these: `docs/errors.md`. */
export type JavaScriptCode = "base64url_invalid" | "key_sealed" | "padding_invalid";

/** Every stable code that this client can throw. */
export type ErrorCode = AttestationCode | ClientCode | ServiceCode | JavaScriptCode;

/** The longest plaintext of a message, in bytes. */
export const MAX_PLAINTEXT = 4096;

/** The longest ciphertext of a message, in bytes. */
export const MAX_CIPHERTEXT = 4112;

/** The longest `aad`, in bytes. */
export const MAX_AAD = 1024;

/** The most keys of one request. */
export const MAX_COUNT = 100;

/** The shortest nonce, in bytes. */
export const MIN_NONCE = 16;

/** The longest nonce, in bytes. */
export const MAX_NONCE = 64;

/** The most records in one batch. */
export const MAX_BATCH = 4096;

/** The most hashes in an inclusion path. */
export const MAX_PATH = 12;

/** The longest key descriptor, in bytes. */
export const MAX_DESCRIPTOR = 512;

/** The latest time in a record, in Unix milliseconds. */
export const MAX_TIME = 9_007_199_254_740_991;

/** An uncompressed point on P-384, in bytes. */
export const POINT_LENGTH = 97;

/** The longest answer, message or reply that is read, in bytes. */
export const MAX_ANSWER = 1_048_576;

/** The most that a record's time may differ from its document's, in milliseconds. */
export const MAX_DISTANCE_MS = 60_000;

/** The greatest age of a reply's document unless another is set, in milliseconds. */
export const DEFAULT_MAX_REPLY_AGE_MS = 600_000;

/** The greatest age of a statement's document, in milliseconds. */
export const MAX_STATEMENT_AGE_MS = 60_000;

/** The longest attestation document, in bytes. */
export const MAX_DOCUMENT_LENGTH = 32_768;

/** The most certificates in a document's `cabundle`. */
export const MAX_CABUNDLE_LENGTH = 6;

/** A platform configuration register (PCR), in bytes. */
export const PCR_LENGTH = 48;

/** The number of PCRs that a document can hold. */
export const PCR_COUNT = 32;

/** How far this clock may be behind unless another leeway is set, in milliseconds. */
export const DEFAULT_LEEWAY_MS = 60_000;

/** The most certificate signatures that a verifier caches unless another number is set. */
export const DEFAULT_SIGNATURE_CACHE = 1024;

/** The greatest age of a release list unless another is set, in milliseconds. */
export const DEFAULT_MAX_LIST_AGE_MS = 604_800_000;

/** The most releases in a list. */
export const MAX_RELEASES = 32;

/** The longest bundle of releases, in bytes. */
export const MAX_BUNDLE_LENGTH = 4_194_304;

/** The longest signed release document, in bytes. */
export const MAX_ENVELOPE_LENGTH = 65_535;

/** The longest checkpoint of a release log, in bytes. */
export const MAX_NOTE_LENGTH = 65_536;

/** The longest saved state of the accepted releases, in bytes. */
export const MAX_RELEASE_STATE_LENGTH = 1_048_576;

/** The suite: IANA numbers of KEM, KDF and AEAD. */
export const SUITE: readonly [kem: number, kdf: number, aead: number] = [17, 2, 2];
