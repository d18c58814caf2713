/**
 * A key-value cache: what attention needs of the positions that a language model has seen, so that a
 * step of generation computes one position. Its capacity is fixed: memory is taken once, and where
 * the next position goes is data, so one plan serves every step.
 */
import type { KeyValues } from "../nn/mod.ts";
import {
  bytesPerElement,
  type DType,
  equal,
  evaluate,
  expand,
  full,
  greaterEqual,
  iota,
  less,
  logicalAnd,
  makeEffect,
  reshape,
  sub,
  type Tensor,
  unsqueeze,
  where,
  zeros,
} from "../tensor/mod.ts";
import type { LanguageConfig } from "./config.ts";
import type { Past } from "./lvlm.ts";

/** Keys and values of up to `capacity` positions in every block. */
export interface KvCache {
  /** Rows. */
  readonly batch: number;
  /** Most positions of a row, padding among them. */
  readonly capacity: number;
  /** For every block, `[B, key heads, capacity, head size]`. */
  readonly layers: readonly KeyValues[];
  /** `[B, capacity]` i32: the position of what lies in a place, -1 for padding. */
  readonly positions: Tensor;
}

/** Sizes of a cache. */
export interface KvCacheOptions {
  /** Most positions of a row, padding among them. */
  capacity: number;
  /** Rows. Default 1. */
  batch?: number;
  /** Element type of keys and values: that of the embeddings. Default f32. */
  dtype?: DType;
}

function cacheShape(c: LanguageConfig, { capacity, batch = 1 }: KvCacheOptions): number[] {
  if (!(Number.isInteger(capacity) && capacity > 0 && Number.isInteger(batch) && batch > 0)) {
    throw new RangeError(
      `cache of ${batch} rows and ${capacity} positions: both must be positive whole numbers`,
    );
  }
  return [batch, c.keyHeads ?? c.heads, capacity, c.headSize ?? c.width / c.heads];
}

/** Bytes of the keys and values of a cache. @throws {RangeError} if a size makes no sense. */
export function kvCacheBytes(config: LanguageConfig, options: KvCacheOptions): number {
  const elements = cacheShape(config, options).reduce((product, n) => product * n);
  return 2 * config.layers * elements * bytesPerElement(options.dtype ?? "f32");
}

/**
 * Takes the memory of a cache, all of it.
 *
 * @throws {RangeError} if a size makes no sense, or a block's keys are larger than the device can
 * bind. @throws {Error} if the device has not that much memory.
 */
export async function makeKvCache(
  config: LanguageConfig,
  options: KvCacheOptions,
): Promise<KvCache> {
  const shape = cacheShape(config, options), { capacity, batch = 1, dtype } = options;
  const blank = () => {
    const t = zeros(shape, dtype ?? "f32");
    t.owner = "cache";
    return t;
  };
  const layers = Array.from(
    { length: config.layers },
    () => ({ keys: blank(), values: blank() }),
  );
  const positions = full([batch, capacity], -1, "i32");
  // Zeros, for what was in the memory may be no number, and a weight of 0 would not silence it.
  await evaluate(positions, ...layers.flatMap(({ keys, values }) => [keys, values]));
  return { batch, capacity, layers, positions };
}

/** Gives the memory back. */
export function disposeKvCache({ layers, positions }: KvCache): void {
  for (const t of [positions, ...layers.flatMap(({ keys, values }) => [keys, values])]) {
    t.dispose();
  }
}

/**
 * What new positions see of a cache.
 *
 * @param start `[1]` i32: how many places are taken
 * @param positions `[B, T]` i32 of the new positions
 * @param window a position sees this many, itself the last. Default all before it.
 */
export function pastOf(cache: KvCache, start: Tensor, positions: Tensor, window?: number): Past {
  const [b, t] = positions.shape, shape = [b, t, cache.capacity];
  const taken = less(iota(shape, 2), expand(reshape(start, [1, 1, 1]), shape));
  const position = expand(unsqueeze(cache.positions, 1), shape);
  let mask = logicalAnd(taken, greaterEqual(position, 0));
  if (window !== undefined) {
    const first = expand(unsqueeze(sub(positions, window - 1), 2), shape);
    mask = logicalAnd(mask, greaterEqual(position, first));
  }
  return { layers: cache.layers, mask: unsqueeze(mask, 1) };
}

/**
 * Writes new positions into a cache, once everything that reads it is done. The tensors it gives hold
 * nothing; they have to be among the results that are asked for.
 *
 * @param start `[1]` i32: the first place that is written
 * @param present keys and values of the new positions, `[B, key heads, T, head size]`
 * @param positions `[B, T]` i32 @param valid `[B, T]` i32, 0 for padding
 */
export function cacheWrites(
  cache: KvCache,
  start: Tensor,
  present: readonly KeyValues[],
  positions: Tensor,
  valid: Tensor,
): Tensor[] {
  const write = (to: Tensor, from: Tensor, axis: number) =>
    makeEffect("assign_rows", [to, from, start], { axis });
  return [
    write(cache.positions, where(equal(valid, 0), -1, positions), 1),
    ...cache.layers.flatMap(({ keys, values }, i) => [
      write(keys, present[i].keys, 2),
      write(values, present[i].values, 2),
    ]),
  ];
}
