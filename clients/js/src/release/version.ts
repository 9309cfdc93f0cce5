// Versions of releases: `major.minor.patch`, in one spelling, ordered as numbers.

/** Whether this is like `1.20.3`: decimal, without leading zeros, each number below 2^32. */
export function isVersion(version: unknown): version is string {
  if (typeof version !== "string" || !/^(?:0|[1-9]\d{0,9})(?:\.(?:0|[1-9]\d{0,9})){2}$/.test(version)) return false;
  return numbers(version).every((number) => number < 2 ** 32);
}

/** Whether `version` is lower than `other`. */
export function isBelow(version: string, other: string): boolean {
  const [a, b] = [numbers(version), numbers(other)];
  const at = a.findIndex((number, index) => number !== b[index]);
  return at >= 0 && (a[at] ?? 0) < (b[at] ?? 0);
}

function numbers(version: string): number[] {
  return version.split(".").map(Number);
}
