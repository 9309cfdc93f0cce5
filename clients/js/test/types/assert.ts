// Compares types exactly: `any` equals itself alone, and readonly fields differ from others.

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Compiles where `Actual` is `Expected`: `is<Expected, Actual>(true)`. */
export declare function is<Expected, Actual>(same: Same<Expected, Actual>): void;
