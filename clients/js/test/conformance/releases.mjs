// Judges tests/vectors/v1/releases.json. For Node and browsers: no imports.

/**
 * @param {{enclave_root: string, cases: object[], appraisals: object[]}} vectors The file.
 * @param {object} lib The client's halves for attestation and releases.
 * @returns {Promise<{name: string, expected: string, found: string}[]>} Verdicts are JSON: `{"accepted":…}` or `{"refused":…}`.
 */
export async function run(vectors, lib) {
  const judged = [];
  for (const { name, expected, ...given } of vectors.cases) {
    const found = await verdict(lib, async () => {
      const accepted = await check(vectors, lib, given);
      return accepted.releases.map((release) => release.version);
    });
    judged.push({ name, expected: JSON.stringify(expected), found });
  }
  for (const { case: index, document, pcrs, now_ms: nowMs, expected } of vectors.appraisals) {
    const given = vectors.cases[index];
    const found = await verdict(lib, async () => {
      const accepted = await check(vectors, lib, given);
      const verifier = new lib.Verifier(lib.TrustAnchor.fromDer(bytes(vectors.enclave_root)));
      const genuine = await verifier.verifyHistorical(bytes(document));
      const { release } = accepted.policy().appraise(genuine, { nowMs });
      return accepted.releases[release].version;
    });
    const enclave = pcrs.map((pcr) => pcr.slice(0, 2)).join(" ");
    judged.push({ name: `${given.name}: an enclave with ${enclave} at ${nowMs}`, expected: JSON.stringify(expected), found });
  }
  return judged;
}

/** The key that a case pins, with its limits. */
export async function keyOf(lib, { pinned, max_list_age_ms: maxListAgeMs, minimum_version: minimumVersion }) {
  const key = await lib.ReleaseKey.fromPems(pinned.threshold, pinned.keys.map(pem));
  return key.withMaxListAgeMs(maxListAgeMs).withMinimumVersion(minimumVersion);
}

/** The root certificate of a case: AWS's, or that of the vectors' enclaves. */
export async function anchorOf(vectors, lib, { attestation_root: held }) {
  for (const anchor of [lib.TrustAnchor.awsNitro(), lib.TrustAnchor.fromDer(bytes(vectors.enclave_root))]) {
    if (lib.toHex(await anchor.fingerprint()) === held) return anchor;
  }
  throw new Error(`no anchor is ${held}`);
}

async function check(vectors, lib, given) {
  const key = await keyOf(lib, given);
  const after = given.memory_then ?? { text: "", count: 0 };
  const memory = JSON.stringify(given.memory) + after.text.repeat(after.count);
  const state = given.memory ? lib.ReleaseState.decode(memory) : new lib.ReleaseState();
  const anchor = await anchorOf(vectors, lib, given);
  const time = { nowMs: given.now_ms };
  const before = state.encode();
  try {
    const { text = "", count = 0 } = given.bundle_then ?? {};
    const bundle = lib.Bundle.decode(given.bundle + text.repeat(count));
    const accepted = await key.check(bundle, anchor, state, time);
    if (!state.checkpoint) throw new Error("nothing is remembered");
    return accepted;
  } catch (error) {
    // Except after a list that leaves nothing: the list before it must not return.
    if ((state.encode() === before) === (error.code === "no_release_accepted")) throw new Error("the saved state is wrong");
    throw error;
  }
}

/** Any error that is not a refusal is a defect. */
async function verdict(lib, decide) {
  try {
    return JSON.stringify({ accepted: await decide() });
  } catch (error) {
    return error instanceof lib.Ok2cryError ? JSON.stringify({ refused: error.code }) : `${error}\n${error.stack}`;
  }
}

function bytes(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

function pem(base64) {
  const lines = base64.match(/.{1,64}/g).join("\n");
  return `-----BEGIN PUBLIC KEY-----\n${lines}\n-----END PUBLIC KEY-----\n`;
}
