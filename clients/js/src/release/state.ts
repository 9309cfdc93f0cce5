// What a client keeps between checks.

import { utf8 } from "../bytes.js";
import { MAX_RELEASE_STATE_LENGTH } from "../codes.js";
import { type Checkpoint, parseCheckpoint } from "../tlog/checkpoint.js";
import { Note } from "../tlog/note.js";
import { hex, nullable, object, read, refuseJson, type Shape, shaped, text, whole } from "./json.js";

/** The most pin sets that are remembered. */
const MAX_MEMORIES = 32;
const MEMORY = "memory";

const ENTRY = {
  root_version: whole,
  root_sha384: nullable(hex(48)),
  list_version: whole,
  list_sha384: nullable(hex(48)),
  checkpoint: nullable(text),
  latest_ms: nullable(whole),
} as const;
/** As memories were written for one pin set alone. */
const { latest_ms: _, ...BEFORE } = { ...ENTRY, pinned_sha384: nullable(hex(48)) } as const;

/** What is remembered of what was followed from one pin set: which keys, and how many of them must sign. Digests are hexadecimal. */
export interface Remembered {
  readonly root_version: number;
  /** Of its payload. */
  readonly root_sha384: string | null;
  readonly list_version: number;
  readonly list_sha384: string | null;
  /** With the signatures of the log and its witnesses: beside another it is the evidence of a fork. */
  readonly checkpoint: string | null;
  /** The latest time, in Unix milliseconds, at which a list was in force: a clock that is set back makes no list younger. */
  readonly latest_ms: number | null;
}

/** What is needed of `localStorage`. */
export interface StorageLike {
  getItem(name: string): string | null;
  setItem(name: string, text: string): void;
}

/** What a client remembers that has seen nothing yet. */
const NOTHING: Remembered = {
  root_version: 0,
  root_sha384: null,
  list_version: 0,
  list_sha384: null,
  checkpoint: null,
  latest_ms: null,
};

type Memories = ReadonlyMap<string, Remembered>;

/**
 * What a client keeps between checks, so that nobody can take it back in time or show it another log. A client that keeps
 * nothing has the list's age and the pinned key to go by. In a page {@link ReleaseState.keptIn} keeps it; elsewhere store
 * {@link ReleaseState.encode} after every check, **also one that refused**: that everything was revoked is remembered too. Some 2 kB
 * for each set of keys that is pinned, in the same format in all of ok2cry's clients. Clients that pin other keys share it without
 * harm: each has an entry of its own, of 32 at most.
 */
export class ReleaseState {
  #memories: Memories = new Map();
  #storage: StorageLike | undefined;
  #name = "";
  /** What the storage held when it was last looked at. */
  #stored: string | null = null;

  constructor() {
    Object.freeze(this);
  }

  /**
   * A memory that is kept in a page's storage, and shared by its windows. Where there is no storage, or something in it that is no
   * memory, it begins anew and lasts as long as the page.
   *
   * @param storage Such as `() => localStorage`: where a page may not have one, asking for it throws.
   * @param name What it is called there.
   */
  static keptIn(storage: () => StorageLike, name = "ok2cry releases"): ReleaseState {
    const memory = new ReleaseState();
    try {
      memory.#storage = storage();
      memory.#name = name;
    } catch {
      // Then it is not kept.
    }
    return memory;
  }

  /** @internal What is remembered for a pin set (hexadecimal, SHA-384), now. */
  remembered(pinned: string): Remembered {
    this.#load();
    return this.#memories.get(pinned) ?? NOTHING;
  }

  /**
   * @internal Replaces what is remembered for a pin set, unless another check, here or in another window, came first: then it answers
   * `false`, and the caller is to begin again.
   */
  async replace(pinned: string, before: Remembered, after: Remembered): Promise<boolean> {
    // Without a wait between reading and writing, so that nothing comes between them within this process.
    const swap = () => {
      if (JSON.stringify(this.remembered(pinned)) !== JSON.stringify(before)) return false;
      this.#store(bounded(new Map(this.#memories).set(pinned, after), pinned));
      return true;
    };
    // And a lock, so that nothing does in another.
    const locks = this.#storage && globalThis.navigator?.locks;
    return locks ? locks.request(`ok2cry ${this.#name}`, swap).catch(swap) : swap();
  }

  #load(): void {
    try {
      const stored = this.#storage?.getItem(this.#name) ?? null;
      // Another window may have learned something since.
      if (stored !== null && stored !== this.#stored) {
        this.#memories = ReleaseState.decode(stored).#memories;
        this.#stored = stored;
      }
    } catch {
      // What cannot be read was not written here.
    }
  }

  #store(memories: Memories): void {
    this.#memories = memories;
    if (this.#storage === undefined) return;
    this.#stored = encode(memories);
    try {
      this.#storage.setItem(this.#name, this.#stored);
    } catch {
      // Full, or forbidden: it lasts as long as the page, and what is older there must not come back.
      this.#storage = undefined;
    }
  }

  /**
   * Reads what {@link ReleaseState.encode} wrote, also before there was an entry for each pin set.
   *
   * @throws {Ok2cryError} `release_document_too_large`, `release_json_invalid`, `note_invalid`, `checkpoint_invalid`.
   */
  static decode(source: Uint8Array | string): ReleaseState {
    const value = read(MEMORY, source, MAX_RELEASE_STATE_LENGTH, object) as Readonly<Record<string, unknown>>;
    const memory = new ReleaseState();
    memory.#memories = Object.hasOwn(value, "memories") ? entriesOf(value) : entryOf(value);
    return memory;
  }

  /** The memory as JSON. */
  encode(): string {
    this.#load();
    return encode(this.#memories);
  }

  /** The newest checkpoint that was accepted, with its signatures: of several pin sets, that of the one which was checked last. */
  get checkpoint(): string | undefined {
    this.#load();
    return byTime(this.#memories).at(-1)?.[1].checkpoint ?? undefined;
  }
}

function entriesOf(value: Readonly<Record<string, unknown>>): Memories {
  const { memories } = shaped(MEMORY, value, { memories: object }) as { memories: Readonly<Record<string, unknown>> };
  const names = Object.keys(memories).sort();
  if (names.length > MAX_MEMORIES) refuseJson(MEMORY, "memories must have at most 32 entries");
  const digest = hex(48);
  const found = names.map((name) => {
    const rule = digest(name);
    if (rule !== undefined) refuseJson(MEMORY, `a name in memories must be ${rule}`);
    return [name, remembered(memories[name], ENTRY)] as const;
  });
  for (const [, entry] of found) rememberedCheckpoint(entry);
  return new Map(found);
}

/** Without its pin set it says nothing about any. */
function entryOf(value: Readonly<Record<string, unknown>>): Memories {
  const entry = remembered(value, BEFORE);
  rememberedCheckpoint(entry);
  const pinned = value["pinned_sha384"];
  return new Map(typeof pinned === "string" ? [[pinned, entry]] : []);
}

/** With null for what is left out. */
function remembered(value: unknown, shape: Shape): Remembered {
  const { root_version, root_sha384, list_version, list_sha384, checkpoint, latest_ms } = shaped(
    MEMORY,
    value,
    shape,
  ) as Remembered;
  return {
    root_version,
    root_sha384: root_sha384 ?? null,
    list_version,
    list_sha384: list_sha384 ?? null,
    checkpoint: checkpoint ?? null,
    latest_ms: (shape === ENTRY ? latest_ms : null) ?? null,
  };
}

function encode(memories: Memories): string {
  const sorted = [...memories].sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify({ memories: Object.fromEntries(sorted) });
}

/** The least recently checked first. */
function byTime(memories: Memories): [pinned: string, remembered: Remembered][] {
  return [...memories].sort(([a, { latest_ms: x }], [b, { latest_ms: y }]) => (x ?? 0) - (y ?? 0) || (a < b ? -1 : 1));
}

/** Without the least recently checked entries, where they are too many or too long; the one just written stays. */
function bounded(memories: Memories, kept: string): Memories {
  const left = new Map(memories);
  for (const [pinned] of byTime(memories)) {
    if (left.size <= MAX_MEMORIES && utf8(encode(left)).length <= MAX_RELEASE_STATE_LENGTH) break;
    if (pinned !== kept) left.delete(pinned);
  }
  return left;
}

/** The newest checkpoint that was accepted. */
export function rememberedCheckpoint({ checkpoint }: Remembered): Checkpoint | undefined {
  // Its signatures were verified before it was remembered.
  return typeof checkpoint === "string" ? parseCheckpoint(Note.parse(checkpoint).unverifiedText) : undefined;
}
