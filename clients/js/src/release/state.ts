// What a client saves between checks of releases.

import { utf8 } from "../bytes.js";
import { MAX_RELEASE_STATE_LENGTH } from "../codes.js";
import { type Checkpoint, parseCheckpoint } from "../tlog/checkpoint.js";
import { Note } from "../tlog/note.js";
import { hex, nullable, object, read, refuseJson, type Shape, shaped, text, whole } from "./json.js";

/** The most pin sets that have an entry. */
const MAX_ENTRIES = 32;
const STATE = "release state";

const ENTRY = {
  root_version: whole,
  root_sha384: nullable(hex(48)),
  list_version: whole,
  list_sha384: nullable(hex(48)),
  checkpoint: nullable(text),
  latest_ms: nullable(whole),
} as const;
/** The entry of an older format, which held one pin set. */
const { latest_ms: _, ...OLD_ENTRY } = { ...ENTRY, pinned_sha384: nullable(hex(48)) } as const;

/** What was seen under one pin set, which is the pinned keys and their threshold. Digests are hexadecimal. */
export interface StateEntry {
  readonly root_version: number;
  /** Of the document's payload. */
  readonly root_sha384: string | null;
  readonly list_version: number;
  readonly list_sha384: string | null;
  /** With the signatures of the log and its witnesses, so that two checkpoints are evidence of a fork. */
  readonly checkpoint: string | null;
  /**
   * The latest time at which a list was in force, in Unix milliseconds. A clock that is set back makes no
   * list younger.
   */
  readonly latest_ms: number | null;
}

/** The used part of `localStorage`. */
export interface StorageLike {
  getItem(name: string): string | null;
  setItem(name: string, text: string): void;
}

/** The entry of a client that has seen nothing. */
const EMPTY_ENTRY: StateEntry = {
  root_version: 0,
  root_sha384: null,
  list_version: 0,
  list_sha384: null,
  checkpoint: null,
  latest_ms: null,
};

type Entries = ReadonlyMap<string, StateEntry>;

/**
 * What a client saves between checks, so that a host can neither roll it back nor show it another log.
 * Without it, the list's age and the pinned keys are the only limits.
 *
 * A page stores it with {@link ReleaseState.keptIn}. Other callers store {@link ReleaseState.encode} after
 * every check, **also after a refusal**: a revocation of everything is saved too. All clients of ok2cry use
 * the same format. An entry has about 2 kB. Each pin set has an entry of its own, of 32 at most, so clients
 * that pin other keys can share it.
 */
export class ReleaseState {
  #entries: Entries = new Map();
  #storage: StorageLike | undefined;
  #name = "";
  /** The storage's text at the last read or write. */
  #stored: string | null = null;

  constructor() {
    Object.freeze(this);
  }

  /**
   * A state in a page's storage, which its windows share. If there is no storage, or its content is not a
   * state, the state starts empty and ends with the page.
   *
   * @param storage Such as `() => localStorage`. In some pages the access throws.
   * @param name The item's name in the storage.
   */
  static keptIn(storage: () => StorageLike, name = "ok2cry releases"): ReleaseState {
    const state = new ReleaseState();
    try {
      state.#storage = storage();
      state.#name = name;
    } catch {
      // The state is not stored.
    }
    return state;
  }

  /** @internal The entry of a pin set (SHA-384, hexadecimal), now. */
  entry(pinned: string): StateEntry {
    this.#load();
    return this.#entries.get(pinned) ?? EMPTY_ENTRY;
  }

  /**
   * @internal Replaces the entry of a pin set, and returns `true`. Returns `false` if another check, in this
   * window or another, wrote first: the caller must check again.
   */
  async replace(pinned: string, before: StateEntry, after: StateEntry): Promise<boolean> {
    // Synchronous, so that no other check of this process comes between read and write.
    const swap = () => {
      if (JSON.stringify(this.entry(pinned)) !== JSON.stringify(before)) return false;
      this.#store(evict(new Map(this.#entries).set(pinned, after), pinned));
      return true;
    };
    // The lock excludes other windows.
    const locks = this.#storage && globalThis.navigator?.locks;
    return locks ? locks.request(`ok2cry ${this.#name}`, swap).catch(swap) : swap();
  }

  #load(): void {
    try {
      const stored = this.#storage?.getItem(this.#name) ?? null;
      // Another window may have written.
      if (stored !== null && stored !== this.#stored) {
        this.#entries = ReleaseState.decode(stored).#entries;
        this.#stored = stored;
      }
    } catch {
      // Unreadable content was not written by this code.
    }
  }

  #store(entries: Entries): void {
    this.#entries = entries;
    if (this.#storage === undefined) return;
    this.#stored = encode(entries);
    try {
      this.#storage.setItem(this.#name, this.#stored);
    } catch {
      // Full or forbidden: keep the state for the page, and do not read the older text again.
      this.#storage = undefined;
    }
  }

  /**
   * Reads what {@link ReleaseState.encode} wrote, also in the older format of one pin set.
   *
   * @throws {Ok2cryError} `release_document_too_large`, `release_json_invalid`, `note_invalid`,
   *   `checkpoint_invalid`.
   */
  static decode(source: Uint8Array | string): ReleaseState {
    const value = read(STATE, source, MAX_RELEASE_STATE_LENGTH, object) as Readonly<Record<string, unknown>>;
    const state = new ReleaseState();
    state.#entries = Object.hasOwn(value, "memories") ? parseEntries(value) : parseOldEntry(value);
    return state;
  }

  /** The state as JSON. */
  encode(): string {
    this.#load();
    return encode(this.#entries);
  }

  /** The newest accepted checkpoint, with its signatures. Of several pin sets, that of the latest check. */
  get checkpoint(): string | undefined {
    this.#load();
    return oldestFirst(this.#entries).at(-1)?.[1].checkpoint ?? undefined;
  }
}

function parseEntries(value: Readonly<Record<string, unknown>>): Entries {
  const { memories } = shaped(STATE, value, { memories: object }) as { memories: Readonly<Record<string, unknown>> };
  const names = Object.keys(memories).sort();
  if (names.length > MAX_ENTRIES) refuseJson(STATE, "memories must have at most 32 entries");
  const digest = hex(48);
  const found = names.map((name) => {
    const rule = digest(name);
    if (rule !== undefined) refuseJson(STATE, `a name in memories must be ${rule}`);
    return [name, parseEntry(memories[name], ENTRY)] as const;
  });
  for (const [, entry] of found) checkpointOf(entry);
  return new Map(found);
}

/** An older entry without its pin set is ignored. */
function parseOldEntry(value: Readonly<Record<string, unknown>>): Entries {
  const entry = parseEntry(value, OLD_ENTRY);
  checkpointOf(entry);
  const pinned = value["pinned_sha384"];
  return new Map(typeof pinned === "string" ? [[pinned, entry]] : []);
}

/** Absent fields become null. */
function parseEntry(value: unknown, shape: Shape): StateEntry {
  const { root_version, root_sha384, list_version, list_sha384, checkpoint, latest_ms } = shaped(
    STATE,
    value,
    shape,
  ) as StateEntry;
  return {
    root_version,
    root_sha384: root_sha384 ?? null,
    list_version,
    list_sha384: list_sha384 ?? null,
    checkpoint: checkpoint ?? null,
    latest_ms: (shape === ENTRY ? latest_ms : null) ?? null,
  };
}

function encode(entries: Entries): string {
  const sorted = [...entries].sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify({ memories: Object.fromEntries(sorted) });
}

/** Ordered by the time of their last check. */
function oldestFirst(entries: Entries): [pinned: string, entry: StateEntry][] {
  return [...entries].sort(([a, { latest_ms: x }], [b, { latest_ms: y }]) => (x ?? 0) - (y ?? 0) || (a < b ? -1 : 1));
}

/**
 * Deletes the least recently checked entries while there are too many, or too many bytes. Never deletes
 * `kept`.
 */
function evict(entries: Entries, kept: string): Entries {
  const left = new Map(entries);
  for (const [pinned] of oldestFirst(entries)) {
    if (left.size <= MAX_ENTRIES && utf8(encode(left)).length <= MAX_RELEASE_STATE_LENGTH) break;
    if (pinned !== kept) left.delete(pinned);
  }
  return left;
}

/** The newest accepted checkpoint. */
export function checkpointOf({ checkpoint }: StateEntry): Checkpoint | undefined {
  // Its signatures were verified before it was saved.
  return typeof checkpoint === "string" ? parseCheckpoint(Note.parse(checkpoint).unverifiedText) : undefined;
}
