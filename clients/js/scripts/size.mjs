// The client's size in a page: minified and gzipped, whole and in parts. Exits with 1 above the limit.

import { gzipSync } from "node:zlib";
import { build } from "esbuild";

/** The limit for the whole client, in bytes. */
export const LIMIT = 34 * 1024;

const parts = {
  everything: `export * from "./index.js"`,
  "a page: releases, fetchKey, seal, pad": `export { fetchKey, fetchReleases, pad, ReleaseKey, ReleaseState, Trust, TrustAnchor } from "./index.js"`,
  "a page that pins measurements: fetchKey, seal": `export { fetchKey, Measurements, Policy, Trust, TrustAnchor } from "./index.js"`,
  "documents of any enclave: verifyDocument": `export { Measurements, Policy, TrustAnchor, Verifier, verifyDocument } from "./attestation/index.js"`,
  "releases alone": `export { Bundle, ReleaseKey, ReleaseState } from "./release/index.js"`,
  "of which the library hpke": `export { AEAD_AES_256_GCM, CipherSuite, KDF_HKDF_SHA384, KEM_DHKEM_P384_HKDF_SHA384 } from "hpke"`,
};

export async function sizes() {
  const found = {};
  for (const [name, contents] of Object.entries(parts)) {
    const result = await build({
      stdin: { contents, resolveDir: new URL("../dist", import.meta.url).pathname },
      bundle: true,
      minify: true,
      format: "esm",
      target: "es2022",
      legalComments: "none",
      write: false,
    });
    const bytes = result.outputFiles[0].contents;
    found[name] = { minified: bytes.length, gzipped: gzipSync(bytes, { level: 9 }).length };
  }
  return found;
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const found = await sizes();
  console.log("| part | minified, bytes | and gzipped |\n|---|---:|---:|");
  for (const [name, { minified, gzipped }] of Object.entries(found)) console.log(`| ${name} | ${minified} | ${gzipped} |`);
  if (found.everything.gzipped > LIMIT) process.exit(1);
}
