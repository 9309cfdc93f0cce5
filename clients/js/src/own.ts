/**
 * What an object of a caller holds itself, enumerable, on no prototype. Options, policies and messages are read through this, so
 * that a property which other code has put on `Object.prototype` decides nothing. Each getter is asked once.
 */
export function own<T extends object>(given: T | undefined): T {
  return { __proto__: null, ...given } as unknown as T;
}
