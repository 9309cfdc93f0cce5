// Signed notes (c2sp.org/signed-note), with cosignatures (c2sp.org/tlog-cosignature).

import { type Bytes, equal, fromBase64, toHex, utf8 } from "../bytes.js";
import { MAX_NOTE_LENGTH } from "../codes.js";
import { refuse } from "../error.js";
import { shown } from "../text.js";
import { isKeyName, type VerifierKey } from "./verifier-key.js";

/** The most signatures of a note. The specification asks for at least 16. */
const MAX_SIGNATURES = 64;

interface NoteSignature {
  /** The line, with its newline. */
  readonly line: string;
  readonly name: string;
  /** 4 bytes. */
  readonly id: Bytes;
  readonly signature: Bytes;
}

/** A note whose signatures are not verified. */
export class Note {
  /** The text, with its final newline. */
  readonly unverifiedText: string;
  readonly #signatures: readonly NoteSignature[];

  private constructor(text: string, signatures: readonly NoteSignature[]) {
    this.unverifiedText = text;
    this.#signatures = signatures;
  }

  /**
   * Reads a note of at most 65,536 bytes.
   *
   * @throws {Ok2cryError} `note_invalid`.
   */
  static parse(note: string): Note {
    const refused = (rule: string): never => refuse("note_invalid", `signed note: ${rule}`);
    if (utf8(note).length > MAX_NOTE_LENGTH) refused("it has more than 65536 bytes");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: any but the newline are what is refused.
    if (/[\0-\x09\x0b-\x1f\x7f]/.test(note)) refused("it holds control characters");
    const end = note.lastIndexOf("\n\n");
    if (end < 0) refused("it has no empty line before its signatures");
    const lines = note.slice(end + 2);
    if (!lines.endsWith("\n")) refused("it must end with a signature line");
    const signatures = lines.slice(0, -1).split("\n").map(parseSignature);
    if (!signatures.every((signature) => signature !== undefined)) {
      return refused("a signature line is not a dash (U+2014), NAME and BASE64");
    }
    if (signatures.length > MAX_SIGNATURES) refused("it has more than 64 signatures");
    return new Note(note.slice(0, end + 1), signatures);
  }

  /** The note with the signatures of these keys alone. */
  withOnly(keys: readonly VerifierKey[]): string {
    const known = this.#signatures.filter((signature) => keys.some((by) => isNamed(signature, by)));
    return `${this.unverifiedText}\n${known.map(({ line }) => line).join("")}`;
  }

  /**
   * Whether a log's key signed. A signature under the key's name that does not verify refuses the whole note.
   *
   * @throws {Ok2cryError} `checkpoint_signature_invalid`.
   */
  async isSignedBy(key: VerifierKey): Promise<boolean> {
    let isSigned = false;
    for (const { signature } of this.#signatures.filter((signature) => isNamed(signature, key))) {
      if (!(await key.verify(this.unverifiedText, signature))) refuseSignature(key);
      isSigned = true;
    }
    return isSigned;
  }

  /**
   * When a witness's key cosigned, in Unix seconds: the latest time, if there are several.
   *
   * @throws {Ok2cryError} `checkpoint_signature_invalid`.
   */
  async cosignedAt(key: VerifierKey): Promise<bigint | undefined> {
    let latest: bigint | undefined;
    for (const { signature } of this.#signatures.filter((signature) => isNamed(signature, key))) {
      if (signature.length !== 72) refuseSignature(key);
      const time = BigInt(`0x${toHex(signature.subarray(0, 8))}`);
      const message = `cosignature/v1\ntime ${time}\n${this.unverifiedText}`;
      if (!(await key.verify(message, signature.subarray(8)))) refuseSignature(key);
      if (latest === undefined || time > latest) latest = time;
    }
    return latest;
  }
}

function parseSignature(line: string): NoteSignature | undefined {
  const [, name = "", encoded = ""] = /^\u2014 ([^ ]*) (.*)$/su.exec(line) ?? [];
  const bytes = fromBase64(encoded);
  if (!isKeyName(name) || bytes === undefined || bytes.length < 5) return undefined;
  return { line: `${line}\n`, name, id: bytes.subarray(0, 4), signature: bytes.subarray(4) };
}

function isNamed(signature: NoteSignature, key: VerifierKey): boolean {
  return signature.name === key.name && equal(signature.id, key.id);
}

function refuseSignature(key: VerifierKey): never {
  return refuse("checkpoint_signature_invalid", `checkpoint: the signature of ${shown(key.name)} does not verify`);
}
