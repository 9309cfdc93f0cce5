// Everything that a client needs of a release log, in one file.

import { type Bytes, fromBase64 } from "../bytes.js";
import { MAX_BUNDLE_LENGTH, MAX_RELEASES } from "../codes.js";
import { refuseField } from "./fault.js";
import { read, text, texts, whole } from "./json.js";

const BUNDLE = "bundle";
/** The most root documents of a bundle: one a month for more than twenty years. */
const MAX_ROOTS = 256;

const ENTRY = { index: whole, envelope: text } as const;
const SHAPE = { roots: [ENTRY], list: ENTRY, manifests: [ENTRY], checkpoint: text, tiles: texts } as const;

/** An entry of the log. */
export interface BundleEntry {
  /** Its index in the log, from 0. */
  readonly index: number;
  /** Its text, byte for byte: an envelope. */
  readonly envelope: string;
}

interface Content {
  readonly roots: readonly BundleEntry[];
  readonly list: BundleEntry;
  readonly manifests: readonly BundleEntry[];
  readonly checkpoint: string;
  readonly tiles: { readonly [path: string]: string };
}

/**
 * The signed documents in force, their places in the log, a checkpoint, and the tiles that prove them. A
 * parent or any static host serves it as `bundle.json`. `ReleaseKey.check` verifies it.
 */
export class Bundle {
  /** Root documents by ascending version, the newest last. */
  readonly roots: readonly BundleEntry[];
  /** The list. */
  readonly list: BundleEntry;
  /** The manifest of every listed release, and no other, in the list's order. */
  readonly manifests: readonly BundleEntry[];
  /** A signed checkpoint of the log. */
  readonly checkpoint: string;
  readonly #tiles: Content["tiles"];

  private constructor(content: Content) {
    this.roots = content.roots;
    this.list = content.list;
    this.manifests = content.manifests;
    this.checkpoint = content.checkpoint;
    this.#tiles = content.tiles;
    Object.freeze(this);
  }

  /**
   * Reads `bundle.json`.
   *
   * @param source Its bytes or its text: at most 4 MiB of UTF-8.
   * @throws {Ok2cryError} `release_document_too_large`, `release_json_invalid`, `release_field_invalid`.
   */
  static decode(source: Uint8Array | string): Bundle {
    const content = read(BUNDLE, source, MAX_BUNDLE_LENGTH, SHAPE) as Content;
    if (content.roots.length > MAX_ROOTS) refuseField(BUNDLE, "roots", "at most 256");
    if (content.manifests.length > MAX_RELEASES) refuseField(BUNDLE, "manifests", "at most 32");
    return new Bundle(content);
  }

  /** The bytes of one of the tiles that prove the inclusion of all entries. */
  tile(path: string): Bytes | undefined {
    return Object.hasOwn(this.#tiles, path) ? fromBase64(this.#tiles[path] ?? "") : undefined;
  }
}
