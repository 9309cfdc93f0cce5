// What a client keeps between checks.

import { type Checkpoint, Note, parseCheckpoint } from "./checkpoint.js";
import { hex, nullable, read, text, whole } from "./json.js";

/** The longest memory that is read, in bytes. */
const MAX_MEMORY_LENGTH = 1 << 17;

const SHAPE = {
  pinned_sha384: nullable(hex(48)),
  root_version: whole,
  root_sha384: nullable(hex(48)),
  list_version: whole,
  list_sha384: nullable(hex(48)),
  checkpoint: nullable(text),
} as const;

/** What is remembered. Digests are hexadecimal. */
export interface Remembered {
  /** Of the keys that all this was followed from, and how many must sign. With others a client begins anew. */
  readonly pinned_sha384?: string | null;
  readonly root_version: number;
  /** Of its payload. */
  readonly root_sha384?: string | null;
  readonly list_version: number;
  readonly list_sha384?: string | null;
  /** With the signatures of the log and its witnesses: beside another it is the evidence of a fork. */
  readonly checkpoint?: string | null;
}

/** What is needed of `localStorage`. */
export interface Storage {
  getItem(name: string): string | null;
  setItem(name: string, text: string): void;
}

/** What a client remembers that has seen nothing yet. */
export const NOTHING: Remembered = { root_version: 0, list_version: 0 };

/**
 * What a client keeps between checks, so that nobody can take it back in time or show it another log. A client that keeps
 * nothing has the list's age and the pinned key to go by. In a page {@link ReleaseMemory.keptIn} keeps it; elsewhere store
 * {@link ReleaseMemory.encode} after every check, **also one that refused**: that everything was revoked is remembered too. Some 2 kB,
 * in the same format in all of ok2cry's clients.
 */
export class ReleaseMemory {
  #remembered: Remembered = NOTHING;
  #storage: Storage | undefined;
  #name = "";
  /** What the storage held when it was last looked at. */
  #stored: string | null = null;

  /**
   * A memory that is kept in a page's storage, and shared by its windows. Where there is no storage, or something in it that is no
   * memory, it begins anew and lasts as long as the page.
   *
   * @param storage Such as `() => localStorage`: where a page may not have one, asking for it throws.
   * @param name What it is called there.
   */
  static keptIn(storage: () => Storage, name = "ok2cry releases"): ReleaseMemory {
    const memory = new ReleaseMemory();
    try {
      memory.#storage = storage();
      memory.#name = name;
    } catch {
      // Then it is not kept.
    }
    return memory;
  }

  /** @internal Immutable: a check replaces it as a whole. */
  get remembered(): Remembered {
    try {
      const stored = this.#storage?.getItem(this.#name) ?? null;
      // Another window may have learned something since.
      if (stored !== null && stored !== this.#stored) {
        this.#remembered = ReleaseMemory.decode(stored).#remembered;
        this.#stored = stored;
      }
    } catch {
      // What cannot be read was not written here.
    }
    return this.#remembered;
  }

  set remembered(remembered: Remembered) {
    this.#remembered = remembered;
    if (this.#storage === undefined) return;
    this.#stored = this.encode();
    try {
      this.#storage.setItem(this.#name, this.#stored);
    } catch {
      // Full, or forbidden: it lasts as long as the page, and what is older there must not come back.
      this.#storage = undefined;
    }
  }

  /**
   * Reads what {@link ReleaseMemory.encode} wrote.
   *
   * @throws {Ok2cryError} `release_document_too_large`, `release_json_invalid`, `note_invalid`, `checkpoint_invalid`.
   */
  static decode(source: Uint8Array | string): ReleaseMemory {
    const memory = new ReleaseMemory();
    memory.#remembered = read("memory", source, MAX_MEMORY_LENGTH, SHAPE) as Remembered;
    rememberedCheckpoint(memory.#remembered);
    return memory;
  }

  /** The memory as JSON. */
  encode(): string {
    const { pinned_sha384, root_version, root_sha384, list_version, list_sha384, checkpoint } = this.#remembered;
    return JSON.stringify({
      pinned_sha384: pinned_sha384 ?? null,
      root_version,
      root_sha384: root_sha384 ?? null,
      list_version,
      list_sha384: list_sha384 ?? null,
      checkpoint: checkpoint ?? null,
    });
  }

  /** The newest checkpoint that was accepted, with its signatures. */
  get checkpoint(): string | undefined {
    return this.remembered.checkpoint ?? undefined;
  }
}

/** The newest checkpoint that was accepted. */
export function rememberedCheckpoint({ checkpoint }: Remembered): Checkpoint | undefined {
  // Its signatures were verified before it was remembered.
  return typeof checkpoint === "string" ? parseCheckpoint(Note.parse(checkpoint).unverifiedText) : undefined;
}
