import type { ErrorCode } from "./codes.js";

/**
 * Something was refused. {@link Ok2cryError.code} is stable and meant for machines: the same codes as every other client of
 * ok2cry has (`docs/attestation.md`, `docs/releases.md`, `docs/errors.md`). The message is a sentence that names the field and
 * the rule, for people; it holds no secret.
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

/** Whether something was refused for what it is, and not because the platform failed while it was looked at. */
export function isRefusal(error: unknown): error is Ok2cryError {
  return error instanceof Ok2cryError && error.code !== "crypto_failed";
}

/** Throws: the one way in which this package refuses. */
export function refuse(code: ErrorCode, message: string, options?: ErrorOptions): never {
  throw new Ok2cryError(code, message, options);
}
