// Reference values: the measurements of a release, as one set.

import { copy, equal, fromHex, isBytes } from "../bytes.js";
import { PCR_COUNT, PCR_LENGTH } from "../codes.js";
import { refuse } from "../error.js";
import { strictJson } from "../json.js";

/**
 * The PCRs of one release, as one set: PCR0 at least; better PCR0, 1 and 2, and PCR8 of a signed image. A
 * document matches the whole set, or does not match it.
 */
export class Measurements {
  readonly #pcrs = new Map<number, Uint8Array>();

  /**
   * @param pcrs Index and value, 48 bytes.
   * @throws {Ok2cryError} `measurements_empty`, `measurements_without_pcr0`, `measurements_zero`,
   *   `measurements_index`, `measurements_duplicate`; `measurements_invalid` for a value of another length.
   */
  constructor(pcrs: Iterable<readonly [index: number, value: Uint8Array]>) {
    for (const [index, value] of pcrs) {
      if (!Number.isInteger(index) || index < 0 || index >= PCR_COUNT) {
        refuse("measurements_index", `measurements: index ${index} is above 31`);
      }
      if (!isBytes(value) || value.length !== PCR_LENGTH) {
        refuse("measurements_invalid", `measurements: PCR${index} must be ${PCR_LENGTH} bytes`);
      }
      if (index <= 2 && isZero(value)) {
        refuse("measurements_zero", `measurements: PCR${index} is zero, as in debug mode`);
      }
      if (this.#pcrs.has(index)) refuse("measurements_duplicate", `measurements: PCR${index} appears twice`);
      this.#pcrs.set(index, copy(value));
    }
    if (this.#pcrs.size === 0) refuse("measurements_empty", "measurements: at least PCR0 is needed");
    if (!this.#pcrs.has(0)) refuse("measurements_without_pcr0", "measurements: PCR0, the image, is missing");
    Object.freeze(this);
  }

  /**
   * Reads what `nitro-cli build-enclave` and `describe-eif` print:
   * `{"Measurements": {"HashAlgorithm": "Sha384 …", "PCR0": …}}`, or the inner object alone. Drops a byte
   * order mark. Refuses duplicate names.
   *
   * @throws {Ok2cryError} `measurements_invalid`, or as the constructor.
   */
  static fromNitroCliJson(text: string): Measurements {
    const invalid = (why: string): never => refuse("measurements_invalid", `invalid measurements: ${why}`);
    if (typeof text !== "string") throw new TypeError("measurements must be a string");
    let json = strictJson(text.replace(/^\ufeff/, ""), invalid);
    if (isObject(json) && Object.hasOwn(json, "Measurements")) {
      const beside = Object.keys(json).find((name) => name === "HashAlgorithm" || PCR_NAME.test(name));
      if (beside !== undefined) return invalid(`${beside} is beside Measurements, not in it`);
      json = json["Measurements"];
    }
    if (!isObject(json)) return invalid("it is not an object");
    const pcrs: [number, Uint8Array][] = [];
    for (const [name, value] of Object.entries(json)) {
      const shown = JSON.stringify(name.slice(0, 32));
      if (typeof value !== "string") return invalid(`${shown} is not a string`);
      if (name === "HashAlgorithm") {
        if (value !== "Sha384" && value !== "Sha384 { ... }") return invalid('HashAlgorithm must be "Sha384 { ... }"');
        continue;
      }
      const index = PCR_NAME.exec(name)?.[1];
      const bytes = value.length === 2 * PCR_LENGTH ? fromHex(value.toLowerCase()) : undefined;
      if (index === undefined) return invalid(`${shown} is not a PCR`);
      if (bytes === undefined) return invalid(`${name} must be ${2 * PCR_LENGTH} hexadecimal digits`);
      pcrs.push([Number(index), bytes]);
    }
    // By ascending index, as in Rust: which rule is reported does not hang on the order in the file.
    return new Measurements(pcrs.sort(([a], [b]) => a - b));
  }

  /** Index and value, by ascending index. The values are copies. */
  *[Symbol.iterator](): Generator<readonly [index: number, value: Uint8Array]> {
    for (const [index, value] of [...this.#pcrs].sort(([a], [b]) => a - b)) yield [index, copy(value)];
  }

  /** The indices at which a document's PCRs differ. An absent PCR differs. */
  differing(pcrs: ReadonlyMap<number, Uint8Array>): number[] {
    return [...this].filter(([index, value]) => !equal(pcrs.get(index) ?? new Uint8Array(), value)).map(([index]) => index);
  }
}

/** `PCR0` to `PCR99`, each in its one spelling. */
const PCR_NAME = /^PCR(0|[1-9]\d?)$/;

/** Whether a register is all zeros, as in debug mode. */
export function isZero(value: Uint8Array): boolean {
  return value.every((byte) => byte === 0);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
