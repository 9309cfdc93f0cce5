// The main job against a running enclave: fetch, verify, seal, open, read. And the refusals that every
// runtime must give.

import { outcome } from "../conformance/attestation.mjs";

const PURPOSE = "card-pin";
const ID = "A".repeat(32);
/** Generous for a busy machine, where the time limit is not under test. */
const TIMEOUT_MS = 120_000;

/**
 * @param {object} lib The client.
 * @param {{ url: string, rootPem: string, measurements: string, odd: string, long: string }} service A
 *   service with a mock NSM; `odd` is the base of services that misbehave, `long` the path of one with too
 *   long a body.
 * @param {{ fetch?: typeof fetch }} options As the client's calls take them.
 * @returns {Promise<{name: string, expected: unknown, found: unknown}[]>}
 */
export async function job(lib, service, options) {
  const bytes = (text) => new TextEncoder().encode(text);
  const base = new URL(service.url);
  const callOptions = { timeoutMs: TIMEOUT_MS, ...options };
  const trust = new lib.Trust(
    lib.TrustAnchor.fromPem(service.rootPem),
    lib.Policy.of(lib.Measurements.fromNitroCliJson(service.measurements)),
  );
  const recipient = await lib.RecipientKey.fromPem(await (await lib.RecipientKey.generate({ extractable: true })).toPem());
  const wanted = { purpose: PURPOSE, ttlMs: 60_000, recipient: recipient.publicKey };
  const outcomes = [];
  const is = async (name, expected, call) =>
    outcomes.push({ name, expected: JSON.stringify(expected), found: JSON.stringify(await outcome(call)) });
  const refused = (name, code, call) => is(name, `refused ${code}`, call);
  const refusal = async (call) => {
    const error = await call().catch((error) => error);
    return [error instanceof lib.ServiceError, error.code, error.status, error.retryAfterMs];
  };

  await is("the environment has what is needed", undefined, () => lib.checkEnvironment());
  const key = await lib.fetchKey(base, trust, wanted, callOptions);
  const aad = bytes("order 17");
  const message = lib.SealedMessage.parse(JSON.stringify(await key.seal({ plaintext: lib.pad(bytes("4931")), aad })));
  const answer = await lib.openMessage(base, message, callOptions);
  const seen = new lib.ReplaySet();
  const open = (expected, by = trust) => recipient.open(answer, expected, by, seen);
  const expected = { purpose: PURPOSE, aad };
  const aws = new lib.Trust(lib.TrustAnchor.awsNitro(), lib.Policy.insecureWithoutPcrs());
  await refused("a reply of an enclave that is not trusted", "root_not_trusted", () => open(expected, aws));
  await refused("a reply for another order", "aad_mismatch", () => open({ ...expected, aad: bytes("order 18") }));
  await is("the PIN arrives", "4931", async () => new TextDecoder().decode(lib.unpad((await open(expected)).plaintext)));
  await refused("the same again", "reply_replayed", () => open(expected));
  await refused("a second message to one key", "key_sealed", () => key.seal({ plaintext: bytes("4931"), aad }));
  await is("the key was used", "used", () => lib.keyState(base, key.keyId, callOptions));
  const other = await lib.fetchKey(service.url, trust, wanted, callOptions);
  await is("a key is destroyed", "destroyed", () => lib.destroyKey(base, other.keyId, callOptions));
  await refused("keys of an enclave that is not trusted", "root_not_trusted", () => lib.fetchKey(base, aws, wanted, callOptions));
  const nonce = crypto.getRandomValues(new Uint8Array(32));
  const statement = await lib.fetchStatement(base, nonce, callOptions);
  await is("a statement answers its nonce", key.instance, async () => (await trust.verifyStatement(nonce, statement)).instance);
  await is("a purpose that there is not", [true, "purpose_unknown", 400], () =>
    refusal(() => lib.fetchKey(base, trust, { ...wanted, purpose: "no-such-purpose" }, callOptions)).then((found) =>
      found.slice(0, 3),
    ),
  );

  const ask = (path, more) => lib.keyState(`${service.odd}/${path}`, ID, { ...callOptions, ...more });
  await is("a proxy that is overloaded", [true, "transport_failed", 503, 7000], () => refusal(() => ask("busy")));
  await refused("a body that is too long", "transport_failed", () => ask(service.long));
  await refused("a service that does not answer", "transport_failed", () => ask("silent", { timeoutMs: 100 }));
  await is("a call that its caller ends", "AbortError", async () => {
    const stop = new AbortController();
    const call = ask("silent", { signal: stop.signal });
    stop.abort();
    return call.catch((error) => error.name);
  });
  await refused("a redirect", "transport_failed", () => ask("redirect"));
  return outcomes;
}
