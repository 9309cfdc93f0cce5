// Judges tests/vectors/v1/issue.json, replies.json, statements.json and trust.json. For Node and browsers: no
// imports.

import { keyPair } from "./keys.mjs";

/**
 * @param {object} lib The client.
 * @param {Record<string, object>} files By name: issue, replies, statements, trust.
 * @returns {Promise<{name: string, expected: string, found: string}[]>}
 */
export async function answerVectors(lib, files) {
  const outcomes = [];
  const judges = [issued, replied, stated];
  for (const [at, file] of [files.issue, files.replies, files.statements].entries()) {
    const warm = new Map();
    for (const testCase of file.cases) {
      // This client does not request delivery to the caller.
      if (testCase.request?.recipient === "caller") continue;
      const accepted = JSON.stringify([testCase.attestation_root, testCase.releases]) + (testCase.max_age_ms ?? "");
      if (!warm.has(accepted)) warm.set(accepted, trustOf(lib, file, testCase));
      for (const trust of [trustOf(lib, file, testCase), warm.get(accepted)]) {
        outcomes.push(
          ...(await judges[at](lib, file, testCase, trust)).map(([expected, found]) => ({
            name: `${["issue", "reply", "statement"][at]}: ${testCase.name}`,
            expected: JSON.stringify(expected),
            found,
          })),
        );
      }
    }
  }
  const { anchors, measurements, policies, recipients, measurement_files: measurementFiles } = files.trust;
  for (const { name, der, pem, expected } of anchors) {
    const found = await verdict(lib, async () => {
      const anchor = pem === undefined ? lib.TrustAnchor.fromDer(lib.fromHex(der)) : lib.TrustAnchor.fromPem(pem);
      return lib.toHex(await anchor.fingerprint());
    });
    outcomes.push({ name: `anchor: ${name}`, expected: JSON.stringify(expected), found });
  }
  const of = (pcrs) => new lib.Measurements(pcrs.map(([index, value]) => [index, lib.fromHex(value)]));
  for (const { name, pcrs, expected } of measurements) {
    const found = await verdict(lib, async () => of(pcrs) && true);
    outcomes.push({ name: `measurements: ${name}`, expected: JSON.stringify(expected), found });
  }
  for (const { name, releases, expected } of policies) {
    const found = await verdict(lib, async () => lib.Policy.of(...releases.map(of)) && true);
    outcomes.push({ name: `policy: ${name}`, expected: JSON.stringify(expected), found });
  }
  for (const { name, text, expected } of recipients) {
    const found = await verdict(lib, async () => lib.toHex(await lib.publicKeyFromText(text)));
    outcomes.push({ name: `recipient: ${name}`, expected: JSON.stringify(expected), found });
  }
  for (const { name, text, expected } of measurementFiles) {
    const found = await verdict(lib, async () =>
      [...lib.Measurements.fromNitroCliJson(text)].map(([index, value]) => [index, lib.toHex(value)]),
    );
    outcomes.push({ name: `measurement file: ${name}`, expected: JSON.stringify(expected), found });
  }
  return outcomes;
}

async function issued(lib, file, { request, now_ms: nowMs, expected, seal, ...body }, trust) {
  const { nonce, purpose, ttl, recipient, count } = request;
  const own = await withNonce(lib.fromHex(nonce), () =>
    lib.KeyRequest.create({ purpose, ttlMs: ttl, recipient: lib.fromHex(recipient), count }),
  );
  let keys = [];
  const found = await verdict(lib, async () => {
    keys = await own.verify(bodyOf(lib, body), trust, { nowMs, leewayMs: file.leeway_ms });
    return keys.map((key) => ({
      key_id: key.keyId,
      instance_id: key.instance,
      public_key: lib.toHex(pointOf(lib, key.toJwk())),
      issued_at: key.issuedAtMs,
      expires_at: key.expiresAtMs,
      descriptor_hash: lib.toHex(key.descriptorHash),
    }));
  });
  const outcomes = [[expected, found]];
  if (seal !== undefined && keys.length > 0) {
    const sealed = await verdict(lib, async () => {
      const message = await keys[0].seal(
        { plaintext: lib.fromHex(seal.plaintext), aad: lib.fromHex(seal.aad) },
        { nowMs: seal.now_ms },
      );
      return message.ciphertext.length === seal.plaintext.length / 2 + 16;
    });
    outcomes.push([seal.expected, sealed]);
  }
  return outcomes;
}

async function replied(lib, file, { recipient = file.recipient, expect, seen = [], now_ms: nowMs, expected, ...body }, trust) {
  const key = await lib.RecipientKey.fromKeyPair(await keyPair(recipient.private_key, recipient.public_key));
  const replays = new lib.ReplaySet();
  for (const descriptorHash of seen) replays.insert({ descriptorHash, forgetAtMs: Number.MAX_SAFE_INTEGER, nowMs });
  let forgetAt = 0;
  const guard = {
    insert(entry) {
      forgetAt = entry.forgetAtMs;
      return replays.insert(entry);
    },
  };
  const until = expected.accepted?.remember_until_ms ?? 0;
  const open = () =>
    verdict(lib, async () => {
      const wanted = { purpose: expect.purpose, aad: lib.fromHex(expect.aad) };
      const time = { nowMs, leewayMs: file.leeway_ms };
      const opened = await key.open(bodyOf(lib, body), wanted, trust, guard, time);
      return {
        plaintext: lib.toHex(opened.plaintext),
        descriptor_hash: lib.toHex(opened.descriptor.hash),
        remember_until_ms: forgetAt >= until ? until : forgetAt,
      };
    });
  // A refusal inserts nothing, and an accepted reply is not accepted again.
  const again = expected.accepted === undefined ? expected : { refused: "reply_replayed" };
  return [
    [expected, await open()],
    [again, await open()],
  ];
}

async function stated(lib, file, { nonce, now_ms: nowMs, expected, ...body }, trust) {
  const found = await verdict(lib, async () => {
    const time = { nowMs, leewayMs: file.leeway_ms };
    const batch = await trust.verifyStatement(lib.fromHex(nonce), lib.parseAttested(bodyOf(lib, body)), time);
    const { size, root } = batch.logHead;
    return {
      instance_id: batch.instance,
      document_ms: batch.document.timestampMs,
      log_size: size,
      log_root: lib.toHex(root),
    };
  });
  return [[expected, found]];
}

function trustOf(
  lib,
  file,
  { attestation_root: root = file.attestation_root, releases = file.releases, max_age_ms: maxReplyAgeMs },
) {
  const sets = releases.map((set) => new lib.Measurements(Object.entries(set).map(([i, pcr]) => [Number(i), lib.fromHex(pcr)])));
  const options = maxReplyAgeMs === undefined ? {} : { maxReplyAgeMs };
  return new lib.Trust(lib.TrustAnchor.fromDer(lib.fromHex(root)), lib.Policy.of(...sets), options);
}

/** The body of the answer. */
function bodyOf(lib, { answer, answer_bytes: bytes, answer_then: then }) {
  if (bytes !== undefined) return lib.fromHex(bytes);
  return new TextEncoder().encode(then === undefined ? answer : answer + then.text.repeat(then.count));
}

/** Makes the call's random bytes this nonce. */
async function withNonce(nonce, call) {
  const original = crypto.getRandomValues;
  Object.defineProperty(crypto, "getRandomValues", {
    configurable: true,
    writable: true,
    value(bytes) {
      bytes.set(nonce.subarray(0, bytes.length));
      return bytes;
    },
  });
  try {
    return await call();
  } finally {
    Object.defineProperty(crypto, "getRandomValues", { configurable: true, writable: true, value: original });
  }
}

function pointOf(lib, { x, y }) {
  return new Uint8Array([4, ...lib.fromBase64Url(x), ...lib.fromBase64Url(y)]);
}

async function verdict(lib, decide) {
  try {
    return JSON.stringify({ accepted: await decide() });
  } catch (error) {
    return error instanceof lib.Ok2cryError ? JSON.stringify({ refused: error.code }) : `${error}\n${error.stack}`;
  }
}
