// A development enclave with its parent, a client that accepts it, and a recipient.

import * as lib from "../../dist/index.js";
import { startService } from "./service.mjs";

/** Starts the service, and makes the rest for it. `service.stop` ends it. */
export async function startFixture() {
  const service = await startService();
  const policy = lib.Policy.of(lib.Measurements.fromNitroCliJson(service.measurements));
  const trust = new lib.Trust(lib.TrustAnchor.fromPem(service.rootPem), policy);
  const recipient = await lib.RecipientKey.generate({ extractable: true });
  const wanted = (more = {}) => ({ purpose: "card-pin", ttlMs: 60_000, recipient: recipient.publicKey, ...more });
  return { service, trust, recipient, wanted };
}
