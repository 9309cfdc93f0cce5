// Verification compared with raw signatures, on any platform with WebCrypto: no imports.

/**
 * @param {object} lib The client.
 * @param {{base: string, rootPem: string, measurements: string, rounds: number}} setting
 * @returns {Promise<[name: string, medianMs: number][]>} The first row is what the others are measured against.
 */
export async function measure(lib, { base, rootPem, measurements, rounds }) {
  const anchor = lib.TrustAnchor.fromPem(rootPem);
  const policy = lib.Policy.of(lib.Measurements.fromNitroCliJson(measurements));
  const recipient = (await lib.RecipientKey.generate()).publicKey;

  // Requests with their answers. Each answer can be verified once.
  const asked = [];
  for (let count = 0; count < 2 * rounds + 2; count++) {
    const request = await lib.KeyRequest.create({ purpose: "card-pin", ttlMs: 60_000, recipient });
    const init = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(request) };
    asked.push([request, new Uint8Array(await (await fetch(`${base}/v1/keys`, init)).arrayBuffer())]);
  }
  const document = lib.fromBase64Url(JSON.parse(new TextDecoder().decode(asked[0][1])).document);

  const p384 = { name: "ECDSA", namedCurve: "P-384", hash: "SHA-384" };
  const { publicKey, privateKey } = await crypto.subtle.generateKey(p384, false, ["sign", "verify"]);
  const message = crypto.getRandomValues(new Uint8Array(1000));
  const signature = await crypto.subtle.sign(p384, privateKey, message);

  const warm = new lib.Trust(anchor, policy);
  const verifier = new lib.Verifier(anchor);
  const next = async (trust) => {
    const [request, answer] = asked.pop();
    await request.verify(answer, trust);
  };
  const rows = {
    "five raw P-384 verifications, one after the other": async () => {
      for (let count = 0; count < 5; count++) await crypto.subtle.verify(p384, publicKey, signature, message);
    },
    "one key, warm chain": () => next(warm),
    "one key, cold chain": () => next(new lib.Trust(anchor, policy)),
    "one document, warm chain": () => verifier.verify(document),
    "one document, cold chain": () => new lib.Verifier(anchor).verify(document),
  };
  const times = Object.fromEntries(Object.keys(rows).map((name) => [name, []]));
  for (const run of Object.values(rows)) await run();
  // Interleaved, so that other load on the machine affects all rows.
  for (let round = 0; round < rounds; round++) {
    for (const [name, run] of Object.entries(rows)) {
      const begun = performance.now();
      await run();
      times[name].push(performance.now() - begun);
    }
  }
  const median = (all) => all.sort((a, b) => a - b)[all.length >> 1];
  return Object.entries(times).map(([name, all]) => [name, median(all)]);
}
