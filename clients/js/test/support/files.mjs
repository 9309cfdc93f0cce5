// The vectors and the real documents.

import { readdirSync, readFileSync } from "node:fs";

const top = new URL("../../../../", import.meta.url);

export function vectors(path) {
  return JSON.parse(readFileSync(new URL(`tests/vectors/${path}`, top), "utf8"));
}

export function attestationFiles() {
  const names = readdirSync(new URL("tests/vectors/attestation/", top)).filter((name) => name.endsWith(".json"));
  return names.map((name) => [name, vectors(`attestation/${name}`)]);
}

/**
 * The manifest of the real documents with their bytes; undefined if they are missing. In CI they must be
 * there.
 */
export function realDocumentEntries() {
  const folder = new URL("../shared/attestation-documents/", top);
  let manifest;
  try {
    manifest = readFileSync(new URL("manifest.json", folder), "utf8");
  } catch (error) {
    if (process.env.CI === "true") throw error;
    console.log("SKIPPED: ../shared/attestation-documents is not there");
    return undefined;
  }
  return JSON.parse(manifest).map((entry) => ({ ...entry, bytes: readFileSync(new URL(entry.file, folder)).toString("base64") }));
}

/** Vectors of whole answers. */
export function answerFiles() {
  return Object.fromEntries(["issue", "replies", "statements", "trust"].map((name) => [name, vectors(`v1/${name}.json`)]));
}
