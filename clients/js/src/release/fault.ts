// Refusals that release documents share.

import { refuse } from "../error.js";

/** Refuses a field that breaks its rule. */
export function refuseField(what: string, field: string, rule: string): never {
  return refuse("release_field_invalid", `${what}: ${field} must be ${rule}`);
}
