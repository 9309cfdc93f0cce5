// The clock that checks go by, as a value: nothing below reads a clock of its own.

import { DEFAULT_LEEWAY_MS } from "./codes.js";
import { own } from "./own.js";

/** A point in time, and how far the clock that it was read from may be behind. */
export interface CheckTime {
  /** Unix milliseconds. */
  readonly nowMs: number;
  /** How far the clock may be behind, in milliseconds; {@link DEFAULT_LEEWAY_MS} if left out. It forgives nothing else. */
  readonly leewayMs?: number;
}

/** A clock: Unix milliseconds. */
export type Clock = () => number;

/** Now, by this machine's clock. */
export function systemTime(): CheckTime {
  return { nowMs: Date.now() };
}

// Below, a time that is no number (NaN) is both too early and too late: what cannot be compared is refused.

/** How far in the future an instant lies, if that is beyond the leeway. */
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

/** A number that can be compared, or a `TypeError`: a limit that is `undefined` or a text would be none. */
export function aNumber(what: string, value: number): number {
  if (typeof value !== "number" || Number.isNaN(value)) throw new TypeError(`${what} must be a number`);
  return value;
}

/** A duration as people say it. */
export function span(ms: number): string {
  if (ms < 2_000) return `${ms} ms`;
  if (ms < 120_000) return `${Math.floor(ms / 1_000)} s`;
  if (ms < 7_200_000) return `${Math.floor(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${Math.floor(ms / 3_600_000)} h`;
  return `${Math.floor(ms / 86_400_000)} days`;
}
