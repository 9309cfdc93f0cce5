// The types of the public API. Compiled, never run.

import * as lib from "@ok2cry/client";
import type * as attestation from "@ok2cry/client/attestation";
import { is } from "./assert.js";

declare const bytes: Uint8Array;
declare const time: lib.CheckTime;
declare const trust: lib.Trust;

// Codes are a union, so a switch over them is checked.
is<lib.ErrorCode, lib.Ok2cryError["code"]>(true);
is<lib.ErrorCode, lib.ServiceError["code"]>(true);
is<lib.ErrorCode, lib.AttestationCode | lib.ClientCode | lib.ServiceCode | lib.JavaScriptCode>(true);
is<false, string extends lib.ErrorCode ? true : false>(true);
const code: lib.ErrorCode = "key_expired";

// Limits are the registry's.
is<4096, typeof lib.MAX_PLAINTEXT>(true);
is<1024, typeof lib.MAX_AAD>(true);
is<100, typeof lib.MAX_COUNT>(true);
is<typeof lib.DEFAULT_SIGNATURE_CACHE, typeof attestation.DEFAULT_SIGNATURE_CACHE>(true);

// Both entry points have the same classes.
is<typeof lib.Verifier, typeof attestation.Verifier>(true);
is<typeof lib.Ok2cryError, typeof attestation.Ok2cryError>(true);

// Documents.
const verifier = new lib.Verifier(lib.TrustAnchor.awsNitro(), { signatureCache: 0, insecureAllowDebug: false });
const policy = lib.Policy.of(new lib.Measurements([[0, bytes]]))
  .withNonce(bytes)
  .withUserData(bytes)
  .withMaxAgeMs(1);
is<lib.Policy, typeof policy>(true);
is<Promise<lib.VerifiedDocument>, ReturnType<typeof verifier.verify>>(true);
is<Promise<lib.VerifiedDocument>, ReturnType<typeof verifier.verifyHistorical>>(true);
is<lib.AcceptedDocument, ReturnType<typeof policy.appraise>>(true);
is<Promise<lib.AcceptedDocument>, ReturnType<typeof lib.verifyDocument>>(true);
is<Uint8Array | undefined, lib.VerifiedDocument["publicKey"]>(true);
is<number | undefined, lib.AcceptedDocument["release"]>(true);

// Releases.
const releaseKey = (await lib.ReleaseKey.fromPems(2, ["", ""])).withMaxListAgeMs(1).withMinimumVersion("1.0.0");
is<lib.ReleaseKey, typeof releaseKey>(true);
const state = lib.ReleaseState.keptIn(() => ({ getItem: () => null, setItem: () => {} }), "name");
is<lib.ReleaseState, typeof state>(true);
is<string, ReturnType<typeof state.encode>>(true);
const releases = await releaseKey.check(lib.Bundle.decode(""), lib.TrustAnchor.awsNitro(), state, time);
is<lib.AcceptedReleases, typeof releases>(true);
is<lib.ReleaseList, typeof releases.list>(true);
is<lib.RootDocument, typeof releases.root>(true);
is<readonly lib.BundleEntry[], lib.Bundle["roots"]>(true);
is<lib.Policy, ReturnType<typeof releases.policy>>(true);
is<lib.Trust, ReturnType<typeof lib.Trust.fromReleases>>(true);

// The sender.
const request = await lib.KeyRequest.create({ purpose: "card-pin", ttlMs: 1, recipient: bytes, count: 2 });
is<Promise<lib.VerifiedKey[]>, ReturnType<typeof request.verify>>(true);
is<Promise<lib.VerifiedKey>, ReturnType<typeof request.verifyOne>>(true);
const key = await lib.fetchKey({ href: "https://keys.example" }, trust, { purpose: "card-pin", ttlMs: 1, recipient: bytes });
is<lib.VerifiedKey, typeof key>(true);
const message = await key.seal({ plaintext: bytes, aad: bytes }, time);
is<lib.SealedMessage, typeof message>(true);
is<lib.SealedMessageJson, ReturnType<typeof message.toJSON>>(true);

// The recipient.
const guard: lib.ReplayGuard = {
  insert: async ({ descriptorHash, forgetAtMs, nowMs }) => descriptorHash !== "" && forgetAtMs > nowMs,
};
const recipient = await lib.RecipientKey.generate({ extractable: true });
const opened = await recipient.open("{}", { purpose: "card-pin", aad: bytes }, trust, guard, time);
is<lib.OpenedReply, typeof opened>(true);
is<boolean, ReturnType<lib.ReplaySet["insert"]>>(true);
is<"live" | "used" | "expired" | "destroyed" | "unknown", lib.KeyState>(true);

export { code };
