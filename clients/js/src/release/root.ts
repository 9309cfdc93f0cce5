// The root document: which keys sign what, and until when. Its own rules govern its rotation.

import { MAX_ENVELOPE_LENGTH } from "../codes.js";
import type { LogSigners } from "../tlog/checkpoint.js";
import { VerifierKey } from "../tlog/verifier-key.js";
import type { Envelope } from "./envelope.js";
import { refuseField } from "./fault.js";
import { hex, read, readValue, refuseJson, text, whole } from "./json.js";
import { keyFromBase64, Role } from "./key.js";

const PAYLOAD_TYPE = "application/vnd.ok2cry.release-root.v1+json";
/** Its name in errors. */
export const ROOT = "root";
/** The most witnesses of a root document. */
const MAX_WITNESSES = 16;

const ROLE = { threshold: whole, keys: [text] } as const;
const SHAPE = {
  version: whole,
  product: text,
  expires_at: whole,
  attestation_root: hex(32),
  root: ROLE,
  manifests: ROLE,
  lists: ROLE,
  log: { key: text, witnesses: [text], witness_threshold: whole },
} as const;

/** Keys, and how many of them must sign. */
export interface RootRole {
  readonly threshold: number;
  /** ECDSA P-384 public keys, 1 to 16: base64 of DER (`SubjectPublicKeyInfo`). */
  readonly keys: readonly string[];
}

/**
 * Who signs a product's releases. Its own root keys sign it and, unless it is the first, those of the version
 * before.
 */
export interface RootDocument {
  /** 1 for the first, and one more each time. */
  readonly version: number;
  /** The product: the subject name of every manifest. 1 to 64 of `[a-z0-9._-]`. */
  readonly product: string;
  /** When the document expires, in Unix milliseconds. */
  readonly expires_at: number;
  /**
   * SHA-256 of the root certificate (DER) under which these releases attest, hexadecimal: AWS's in
   * production.
   */
  readonly attestation_root: string;
  /** Signers of root documents. */
  readonly root: RootRole;
  /** Signers of manifests. */
  readonly manifests: RootRole;
  /** Signers of lists. */
  readonly lists: RootRole;
  /** The log that holds every document. */
  readonly log: {
    /**
     * The key that signs its checkpoints, as a verifier key of signed notes. Its name is the log's origin.
     */
    readonly key: string;
    /** Witnesses that may cosign the checkpoints, 0 to 16. */
    readonly witnesses: readonly string[];
    /** How many of the witnesses must cosign. */
    readonly witness_threshold: number;
  };
}

/** A root document, and its keys. */
export interface RootKeys {
  readonly document: RootDocument;
  readonly root: Role;
  readonly manifests: Role;
  readonly lists: Role;
  readonly log: LogSigners;
}

/**
 * Reads a root document that `signers` and its own root keys signed.
 *
 * @throws {Ok2cryError} As {@link Envelope.verify}, and `release_json_invalid`, `release_field_invalid`.
 */
export async function verifyRoot(envelope: Envelope, signers: Role): Promise<RootKeys> {
  const root = await decode(await envelope.verify(ROOT, PAYLOAD_TYPE, signers));
  await envelope.verify(ROOT, PAYLOAD_TYPE, root.root);
  return root;
}

async function decode(payload: Uint8Array): Promise<RootKeys> {
  const document = read(ROOT, payload, MAX_ENVELOPE_LENGTH, SHAPE) as RootDocument;
  const roles = [document.root, document.manifests, document.lists] as const;
  const [root, manifests, lists] = await Promise.all([roleOf(roles[0]), roleOf(roles[1]), roleOf(roles[2])]);
  const [key, ...witnesses] = await Promise.all([logKeyOf(document.log.key), ...document.log.witnesses.map(logKeyOf)]);

  if (document.version === 0) refuseField(ROOT, "version", "1 or more");
  if (!/^[a-z0-9._-]{1,64}$/.test(document.product)) {
    refuseField(ROOT, "product", "1 to 64 of a to z, 0 to 9, '.', '_' and '-'");
  }
  if (!key.isLog) refuseField(ROOT, "log.key", "a key of type 1 (Ed25519)");
  if (witnesses.length > MAX_WITNESSES || !witnesses.every((witness) => witness.isWitness)) {
    refuseField(ROOT, "log.witnesses", "at most 16 keys of type 4 (cosignature/v1)");
  }
  // By key, not by name: a witness under two names counts once.
  if ([key, ...witnesses].some((a, index, all) => all.slice(index + 1).some((b) => a.isSameKey(b)))) {
    refuseField(ROOT, "log.witnesses", "distinct keys, and none the log's own");
  }
  if (document.log.witness_threshold > witnesses.length) {
    refuseField(ROOT, "log.witness_threshold", "at most the number of witnesses");
  }
  return { document, root, manifests, lists, log: { key, witnesses } };
}

function roleOf({ threshold, keys }: RootRole): Promise<Role> {
  return readValue(
    ROOT,
    Promise.all(keys.map(keyFromBase64)).then((keys) => new Role(threshold, keys)),
  );
}

async function logKeyOf(text: string): Promise<VerifierKey> {
  return (await VerifierKey.parse(text)) ?? refuseJson(ROOT, "expected a verifier key (NAME+ID+BASE64, Ed25519)");
}
