// The time of a check, as a value. No check reads a clock of its own.

import { DEFAULT_LEEWAY_MS } from "./codes.js";
import { own } from "./own.js";

/** A time, and how far its clock may be behind. */
export interface CheckTime {
  /** Unix milliseconds. */
  readonly nowMs: number;
  /**
   * How far the clock may be behind, in milliseconds; {@link DEFAULT_LEEWAY_MS} by default. It extends
   * nothing else.
   */
  readonly leewayMs?: number;
}

/** A clock: Unix milliseconds. */
export type Clock = () => number;

/** Now, by this machine's clock. */
export function systemTime(): CheckTime {
  return { nowMs: Date.now() };
}

// Below, NaN is both too early and too late: a time that cannot be compared is refused.

/** How far an instant is in the future, if that is beyond the leeway. */
export function beyondLeeway(time: CheckTime, instantMs: number): number | undefined {
  const { nowMs, leewayMs = DEFAULT_LEEWAY_MS } = own(time);
  const byMs = instantMs - nowMs;
  return byMs <= leewayMs ? undefined : byMs;
}

/** How long ago an instant was, if it is past. */
export function past(time: CheckTime, instantMs: number): number | undefined {
  const byMs = own(time).nowMs - instantMs;
  return byMs <= 0 ? undefined : byMs;
}

/**
 * Returns a number that can be compared. Throws a `TypeError` otherwise: `undefined` or a string would be no
 * limit.
 */
export function requireNumber(what: string, value: number): number {
  if (typeof value !== "number" || Number.isNaN(value)) throw new TypeError(`${what} must be a number`);
  return value;
}

/** A duration for people. */
export function formatDuration(ms: number): string {
  if (ms < 2_000) return `${ms} ms`;
  if (ms < 120_000) return `${Math.floor(ms / 1_000)} s`;
  if (ms < 7_200_000) return `${Math.floor(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${Math.floor(ms / 3_600_000)} h`;
  return `${Math.floor(ms / 86_400_000)} days`;
}
