/**
 * The own, enumerable properties of an object, without a prototype. Options, policies and messages are read
 * through this, so that a property of `Object.prototype` changes nothing. Each getter is called once.
 */
export function own<T extends object>(given: T | undefined): T {
  return { __proto__: null, ...given } as unknown as T;
}
