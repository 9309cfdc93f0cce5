import type { ErrorCode } from "./codes.js";

/**
 * A refusal. {@link Ok2cryError.code} is stable and for machines; every client of ok2cry has the same codes
 * (`docs/attestation.md`, `docs/releases.md`, `docs/errors.md`). The message is for people. It names the
 * field and the rule, and holds no secret.
 */
export class Ok2cryError extends Error {
  override readonly name = "Ok2cryError";
  /** The stable reason, in `snake_case`. */
  readonly code: ErrorCode;

  /** @internal */
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Whether an error is a refusal of the input, and not a failure of the platform. */
export function isRefusal(error: unknown): error is Ok2cryError {
  return error instanceof Ok2cryError && error.code !== "crypto_failed";
}

/** Throws. All refusals of this package are made here. */
export function refuse(code: ErrorCode, message: string, options?: ErrorOptions): never {
  throw new Ok2cryError(code, message, options);
}
