// A log's Merkle tree (RFC 6962 §2.1, SHA-256), read from its tiles (c2sp.org/tlog-tiles).
//
// Instead of a proof, the root is computed from the entry and from the hashes that a proof would hold.
// Indices go up to 2^48, beyond JavaScript's 32-bit operators.

import { type Bytes, concat, copy } from "../bytes.js";
import { refuse } from "../error.js";
import { sha256 } from "../webcrypto.js";

/** Levels of the tree in a tile. */
const HEIGHT = 8;
/** Hashes in a full tile. */
const WIDTH = 256;
const HASH_LENGTH = 32;

/**
 * Returns the bytes of a tile by its path below the log's address (`tile/0/x001/234.p/56`), if it has them.
 * It is not trusted: the root computed from tiles is compared with a signed one.
 */
export type TileSource = (path: string) => Promise<Uint8Array | undefined>;

/** A log of at most 2^48 entries. */
export class Tiles {
  readonly #source: TileSource;
  readonly #size: number;
  /** The rows computed from each tile, by its path. */
  readonly #rows = new Map<string, Promise<Bytes[]>>();

  constructor(source: TileSource, size: number) {
    this.#source = source;
    this.#size = size;
  }

  /**
   * The tree's root if `entry` is at `index`, which must be below the size. Equal to the log's root, it
   * proves inclusion (RFC 6962 §2.1.1).
   *
   * @throws {Ok2cryError} `tile_missing`, `tile_length`.
   */
  async rootWith(entry: Uint8Array, index: number): Promise<Bytes> {
    const leaf = await sha256(Uint8Array.of(0), entry);
    const rootOf = async (begin: number, end: number): Promise<Bytes> => {
      if (end - begin === 1) return leaf;
      const middle = begin + split(end - begin);
      if (index < middle) {
        const right = await this.#range(middle, end);
        return nodeHash(await rootOf(begin, middle), right);
      }
      return nodeHash(await this.#range(begin, middle), await rootOf(middle, end));
    };
    return rootOf(0, this.#size);
  }

  /**
   * The roots of the first `oldSize` entries and of all entries, from the same hashes. `oldRoot` is one of
   * them where it covers a whole subtree. Equal to the two known roots, they prove that the log only grew
   * (RFC 6962 §2.1.2).
   *
   * @param oldSize At least 1, and less than the size.
   * @throws {Ok2cryError} `tile_missing`, `tile_length`.
   */
  async rootsSince(oldSize: number, oldRoot: Bytes): Promise<[old: Bytes, now: Bytes]> {
    const rootsOf = async (begin: number, end: number): Promise<[old: Bytes, now: Bytes]> => {
      if (end === oldSize) {
        const hash = begin === 0 ? oldRoot : await this.#range(begin, end);
        return [hash, hash];
      }
      const middle = begin + split(end - begin);
      if (oldSize <= middle) {
        const right = await this.#range(middle, end);
        const [old, now] = await rootsOf(begin, middle);
        return [old, await nodeHash(now, right)];
      }
      const left = await this.#range(begin, middle);
      const [old, now] = await rootsOf(middle, end);
      return [await nodeHash(left, old), await nodeHash(left, now)];
    };
    return rootsOf(0, this.#size);
  }

  /**
   * The tree hash of the entries from `begin` to `end`, at least one. `begin` must be the start of such a
   * subtree.
   */
  async #range(begin: number, end: number): Promise<Bytes> {
    const count = end - begin;
    const height = Math.round(Math.log2(count));
    if (2 ** height === count) return this.#node(height, begin / count);
    const middle = begin + split(count);
    return nodeHash(await this.#range(begin, middle), await this.#range(middle, end));
  }

  /** The hash of the `number`th whole subtree of `2^height` entries. */
  async #node(height: number, number: number): Promise<Bytes> {
    const [level, above] = [Math.floor(height / HEIGHT), height % HEIGHT];
    // The number of such nodes in a full tile.
    const nodes = WIDTH / 2 ** above;
    const rows = await this.#tile(level, Math.floor(number / nodes));
    const at = (number % nodes) * HASH_LENGTH;
    return (rows[above] ?? new Uint8Array()).subarray(at, at + HASH_LENGTH);
  }

  /** The rows of a tile: its hashes, and above them those of all whole nodes within the tile. */
  #tile(level: number, number: number): Promise<Bytes[]> {
    const width = Math.min(Math.floor(this.#size / WIDTH ** level) - number * WIDTH, WIDTH);
    const path = tilePath(level, number, width);
    const rows = this.#rows.get(path) ?? this.#read(path, width * HASH_LENGTH);
    this.#rows.set(path, rows);
    return rows;
  }

  async #read(path: string, length: number): Promise<Bytes[]> {
    const tile = (await this.#source(path)) ?? refuse("tile_missing", `log: ${path} is missing`);
    if (tile.length !== length) refuse("tile_length", `log: ${path} has ${tile.length} bytes, expected ${length}`);
    let row = copy(tile);
    const rows = [row];
    while (row.length > HASH_LENGTH) {
      const nodes: Promise<Bytes>[] = [];
      for (let at = 2 * HASH_LENGTH; at <= row.length; at += 2 * HASH_LENGTH) {
        nodes.push(nodeHash(row.subarray(at - 2 * HASH_LENGTH, at - HASH_LENGTH), row.subarray(at - HASH_LENGTH, at)));
      }
      row = concat(...(await Promise.all(nodes)));
      rows.push(row);
    }
    return rows;
  }
}

/**
 * The path of a tile below the log's address: `tile/0/x001/234.p/56`. `width` is its number of hashes, 1 to
 * 256.
 */
export function tilePath(level: number, number: number, width: number): string {
  let path = String(number % 1000).padStart(3, "0");
  for (let above = Math.floor(number / 1000); above > 0; above = Math.floor(above / 1000)) {
    path = `x${String(above % 1000).padStart(3, "0")}/${path}`;
  }
  return `tile/${level}/${path}${width < WIDTH ? `.p/${width}` : ""}`;
}

function nodeHash(left: Uint8Array, right: Uint8Array): Promise<Bytes> {
  return sha256(Uint8Array.of(1), left, right);
}

/** The largest power of two below `count`, which is 2 or more: where a tree is split. */
function split(count: number): number {
  let half = 1;
  while (half * 2 < count) half *= 2;
  return half;
}
