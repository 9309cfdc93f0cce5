// Judges tests/vectors/attestation and real documents. For Node and browsers: no imports.

/**
 * @param {object} lib The client's attestation half.
 * @param {{root: string, cases: object[]}} file One of the files of tests/vectors/attestation.
 * @returns {Promise<{name: string, expected: string, found: string}[]>}
 */
export async function attestationVectors(lib, file) {
  const outcomes = [];
  const warm = new Map();
  // One verifier caches nothing. Another sees all cases of its root, in order and backwards.
  for (const testCase of [...file.cases, ...file.cases.toReversed()]) {
    const root = testCase.root ?? file.root;
    const options = { insecureAllowDebug: testCase.allow_debug };
    const anchor = lib.TrustAnchor.fromDer(base64(root));
    const key = `${root} ${testCase.allow_debug}`;
    if (!warm.has(key)) warm.set(key, new lib.Verifier(anchor, options));
    for (const verifier of [new lib.Verifier(anchor, { ...options, signatureCache: 0 }), warm.get(key)]) {
      outcomes.push({ name: testCase.name, expected: expected(testCase.expected), found: await judge(lib, verifier, testCase) });
    }
  }
  return outcomes;
}

/**
 * @param {object} lib The client's attestation half.
 * @param {{file: string, at_ms: number, verdict_at_own_timestamp: string, bytes: string}[]} entries The manifest of real
 *   documents, with the documents in base64.
 * @returns {Promise<{name: string, expected: string, found: string}[]>}
 */
export async function realDocuments(lib, entries) {
  const outcomes = [];
  const warm = new lib.Verifier(lib.TrustAnchor.awsNitro());
  const cold = new lib.Verifier(lib.TrustAnchor.awsNitro(), { signatureCache: 0 });
  const debug = new lib.Verifier(lib.TrustAnchor.awsNitro(), { insecureAllowDebug: true });
  for (const entry of entries) {
    const name = entry.file;
    const bytes = base64(entry.bytes);
    const time = { nowMs: entry.at_ms, leewayMs: 0 };
    const refusal = REFUSALS[entry.verdict_at_own_timestamp];
    const accepted = `accepted ${entry.module_id} ${entry.at_ms} 5 0`;
    const appraised = async (verifier, appraiser) => {
      const document = await verifier(bytes);
      const release = appraiser?.appraise(document, time).release;
      return `accepted ${document.moduleId} ${document.timestampMs} ${document.chain.length} ${release ?? "-"}`;
    };
    const pcrs = [0, 1, 2, 8].filter((index) => entry[`pcr${index}`]).map((index) => [index, lib.fromHex(entry[`pcr${index}`])]);
    const policy = refusal === undefined ? lib.Policy.of(new lib.Measurements(pcrs)) : undefined;
    for (const verifier of [warm, cold]) {
      for (const verify of [(b) => verifier.verify(b, time), (b) => verifier.verifyHistorical(b)]) {
        outcomes.push({
          name,
          expected: refusal === undefined ? accepted : `refused ${refusal}`,
          found: await outcome(() => appraised(verify, policy)),
        });
      }
    }
    if (refusal === "debug_mode") {
      const found = await outcome(() => appraised((b) => debug.verify(b, time)));
      outcomes.push({ name, expected: accepted.replace(/0$/, "-"), found });
    }
    if (refusal === undefined || refusal === "debug_mode") {
      const day = 24 * 3_600_000;
      for (const [nowMs, code] of [
        [entry.at_ms + day, "expired"],
        [entry.at_ms - day, "not_yet_valid"],
      ]) {
        const found = await outcome(() => appraised((b) => warm.verify(b, { nowMs })));
        outcomes.push({ name: `${name} at another time`, expected: `refused ${code}`, found });
      }
    }
  }
  return outcomes;
}

const REFUSALS = {
  accept: undefined,
  "accept only where debug mode is allowed: PCR0-2 are zero": "debug_mode",
  "reject: COSE signature does not verify": "document_signature_invalid",
  "reject: chain does not end at the AWS root": "root_not_trusted",
};

async function judge(lib, verifier, testCase) {
  const time = { nowMs: testCase.now_ms, leewayMs: testCase.leeway_ms };
  const { releases = [], max_age_ms, nonce, user_data } = testCase.policy ?? {};
  return outcome(async () => {
    let policy = lib.Policy.insecureWithoutPcrs();
    if (releases.length > 0) policy = lib.Policy.of(...releases.map((release) => measurements(lib, release)));
    if (max_age_ms !== undefined) policy = policy.withMaxAgeMs(max_age_ms);
    if (nonce !== undefined) policy = policy.withNonce(lib.fromHex(nonce));
    if (user_data !== undefined) policy = policy.withUserData(lib.fromHex(user_data));
    const { document } = await lib.verifyDocument(documentOf(testCase), verifier, policy, time);
    const hex = (bytes) => (bytes === undefined ? null : lib.toHex(bytes));
    return accepted({
      module_id: document.moduleId,
      timestamp_ms: document.timestampMs,
      pcrs: Object.fromEntries([...document.pcrs].map(([index, value]) => [index, lib.toHex(value)])),
      public_key: hex(document.publicKey),
      user_data: hex(document.userData),
      nonce: hex(document.nonce),
      chain_len: document.chain.length,
    });
  });
}

function expected({ verdict, code, ...claims }) {
  return verdict === "refused" ? `refused ${code}` : accepted(claims);
}

/** In one order, independent of the vectors' order. */
function accepted(claims) {
  return `accepted ${JSON.stringify(Object.entries(claims).sort(([a], [b]) => (a < b ? -1 : 1)))}`;
}

/** The outcome of a call. An error that is not a refusal is a defect, and is shown as one. */
export async function outcome(call) {
  try {
    return await call();
  } catch (error) {
    return error?.name === "Ok2cryError" ? `refused ${error.code}` : `failed ${error?.stack ?? error}`;
  }
}

function measurements(lib, release) {
  return new lib.Measurements(Object.entries(release).map(([index, value]) => [Number(index), lib.fromHex(value)]));
}

/** The bytes of a case. */
export function documentOf(testCase) {
  const { byte = 0, count = 0 } = testCase.then ?? {};
  const begun = base64(testCase.document);
  const bytes = new Uint8Array(begun.length + count).fill(byte, begun.length);
  bytes.set(begun);
  return bytes;
}

export function base64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
