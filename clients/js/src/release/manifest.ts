// The manifest of one release: an in-toto statement about an image, with its measurements.

import { TrustAnchor } from "../attestation/anchor.js";
import { Measurements } from "../attestation/measurements.js";
import { fromHex, toHex } from "../bytes.js";
import { MAX_ENVELOPE_LENGTH } from "../codes.js";
import { refuse } from "../error.js";
import type { Envelope } from "./envelope.js";
import { refuseField } from "./fault.js";
import { hex, nullable, object, optional, read, text, texts, version, whole } from "./json.js";
import { refuseProduct } from "./list.js";
import type { RootKeys } from "./root.js";

/** The payload type of in-toto statements. */
const PAYLOAD_TYPE = "application/vnd.in-toto+json";
const STATEMENT_TYPE = "https://in-toto.io/Statement/v1";
const PREDICATE_TYPE = "https://github.com/ok2cry/ok2cry/blob/main/docs/releases.md#manifest-v1";
/** Its name in errors. */
export const MANIFEST = "manifest";
/** What `nitro-cli` prints before the registers. */
const HASH_ALGORITHM = "Sha384 { ... }";

const SHAPE = {
  _type: text,
  subject: [{ name: text, digest: { sha256: hex(32), sha384: hex(48) } }],
  predicateType: text,
  predicate: {
    version,
    created_at: whole,
    source: { repository: text, commit: hex(20) },
    Measurements: texts,
    attestation_root: hex(32),
    development: nullable(text),
    sbom_sha256: nullable(hex(32)),
    build: optional(object),
  },
} as const;

/**
 * An in-toto statement (github.com/in-toto/attestation, spec/v1/statement.md) about an image: its
 * measurements, and what it was built from. Digests are lower-case hexadecimal.
 */
export interface Manifest {
  readonly _type: string;
  /** The image: exactly one. */
  readonly subject: readonly {
    /** The product, as the root document names it. */
    readonly name: string;
    /** Digests of the file. */
    readonly digest: { readonly sha256: string; readonly sha384: string };
  }[];
  readonly predicateType: string;
  /** What the statement says about the image. */
  readonly predicate: {
    /** The release's version, three numbers. */
    readonly version: string;
    /** When the manifest was made, in Unix milliseconds. */
    readonly created_at: number;
    /** What it was built from: a repository's address, and a commit's SHA-1 as git names it. */
    readonly source: { readonly repository: string; readonly commit: string };
    /** The registers exactly as `nitro-cli` prints them. */
    readonly Measurements: { readonly [name: string]: string };
    /** SHA-256 of the root certificate (DER) under which the image attests. */
    readonly attestation_root: string;
    /** The checks that a development image omits. Absent from production images. */
    readonly development?: string | null;
    /** SHA-256 of the bill of materials, a CycloneDX document in JSON. */
    readonly sbom_sha256?: string | null;
    /** How it was built, for people and for rebuilds. Not used here. */
    readonly build?: { readonly [name: string]: unknown };
  };
}

/**
 * Reads a manifest that the manifest keys of `root` signed, for the product of `root`. Returns its
 * measurements too, as one set.
 *
 * @throws {Ok2cryError} As {@link Envelope.verify}, and `release_json_invalid`, `release_field_invalid`,
 *   `manifest_pcr_missing`, `manifest_subject_mismatch`, `manifest_attestation_root_mismatch`,
 *   `manifest_for_development`; `measurements_zero` for registers of a debug image.
 */
export async function verifyManifest(
  envelope: Envelope,
  root: RootKeys,
): Promise<[manifest: Manifest, measurements: Measurements]> {
  const manifest = decode(await envelope.verify(MANIFEST, PAYLOAD_TYPE, root.manifests));
  const measurements = measurementsOf(manifest);
  const { product, attestation_root: attestationRoot } = root.document;
  const name = manifest.subject[0]?.name ?? "";
  if (name !== product) refuseProduct(name);
  if (manifest.predicate.attestation_root !== attestationRoot) {
    refuse("manifest_attestation_root_mismatch", "manifest: its image attests under another root (a mock's?)");
  }
  const isForDevelopment = typeof manifest.predicate.development === "string";
  if (isForDevelopment && attestationRoot === toHex(await TrustAnchor.awsNitro().fingerprint())) {
    refuse("manifest_for_development", "manifest: its image is for development only");
  }
  return [manifest, measurements];
}

function decode(payload: Uint8Array): Manifest {
  const manifest = read(MANIFEST, payload, MAX_ENVELOPE_LENGTH, SHAPE) as Manifest;
  if (manifest._type !== STATEMENT_TYPE) refuseField(MANIFEST, "_type", STATEMENT_TYPE);
  if (manifest.predicateType !== PREDICATE_TYPE) refuseField(MANIFEST, "predicateType", PREDICATE_TYPE);
  if (manifest.subject.length !== 1) refuseField(MANIFEST, "subject", "exactly one image");
  return manifest;
}

/** The registers: PCR0, 1 and 2, and PCR8 of a signed image. */
function measurementsOf({ predicate }: Manifest): Measurements {
  const refused = (rule: string): never => refuseField(MANIFEST, "Measurements", rule);
  const { HashAlgorithm: algorithm, ...registers } = predicate.Measurements;
  const pcrs = new Map<number, Uint8Array>();
  for (const [name, value] of Object.entries(registers)) {
    const [, index] = /^PCR([0128])$/.exec(name) ?? refused("HashAlgorithm, PCR0, PCR1, PCR2 and at most PCR8");
    const bytes = value.length === 96 ? fromHex(value) : undefined;
    pcrs.set(Number(index), bytes ?? refused("96 lower-case hexadecimal digits each"));
  }
  if (algorithm !== HASH_ALGORITHM) refused(`under the HashAlgorithm "${HASH_ALGORITHM}"`);
  for (const index of [0, 1, 2]) {
    if (!pcrs.has(index)) refuse("manifest_pcr_missing", `manifest: its measurements lack PCR${index}`);
  }
  return new Measurements(pcrs);
}
