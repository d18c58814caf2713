/** Limits on the tokens of an expert (GShard, Lepikhin et al. 2021; Switch, Fedus et al. 2022). */
import {
  add,
  cast,
  cat,
  equal,
  expand,
  floor,
  greater,
  greaterEqual,
  iota,
  less,
  logicalAnd,
  logicalOr,
  mul,
  narrow,
  permute,
  reshape,
  sortByGroup,
  squeeze,
  sub,
  sum,
  take,
  type Tensor,
  unsqueeze,
  where,
} from "../tensor/mod.ts";
import { type PoolTable, routersOf } from "./table.ts";

/** Tokens with their modality, and which of them count. */
export interface Tokens {
  /** The layer's table. */
  table: PoolTable;
  /** `[T]` i32 */
  modality: Tensor;
  /** `[T]` i32, 0 for padding. */
  valid?: Tensor;
}

/** Tokens of the given modalities that count, `[T]` bool. */
export function tokensOf({ modality, valid }: Tokens, modalities: readonly number[]): Tensor {
  const mine = modalities.map((m) => equal(modality, m)).reduce((a, b) => logicalOr(a, b));
  return valid ? logicalAnd(mine, greaterEqual(valid, 1)) : mine;
}

/**
 * Most tokens that an expert takes from each router, ⌈capacity · k·T/n⌉, `[routers]` f32. Counts the
 * tokens on the device, so that padding and the mix of modalities do not matter.
 */
export function capacities(tokens: Tokens, capacity: number): Tensor {
  const { table } = tokens;
  const limits = routersOf(table).map(({ experts, modalities }) => {
    const count = sum(cast(tokensOf(tokens, modalities), "f32"));
    const share = mul(count, capacity * table.topK / experts.length);
    // Rounded up, except for what is above a whole number by rounding only.
    return reshape(floor(add(share, 1 - 1e-3)), [1]);
  });
  return cat(limits, 0);
}

/** The choices of a layer, to be cut to a capacity. */
export interface Choices extends Tokens {
  /** `[T, k]` i32: the joined routers' column of each choice; negative ones have no limit. */
  queue: Tensor;
  /** `[T, k]` */
  weights: Tensor;
  /** In even shares. */
  capacity: number;
  /** What a full expert leaves out. */
  drop: "position" | "weight";
}

/**
 * Which choices an expert has room for, `[T, k]` bool. The room is for each router's tokens apart, so
 * that one modality cannot crowd the other out of a shared expert. Weights of the choices that are
 * left stay as they were: what a token loses goes to the residual stream.
 */
export function keepWithinCapacity(choices: Choices): Tensor {
  const { table, valid, queue, weights, capacity, drop } = choices;
  const [tokens, k] = queue.shape, n = tokens * k;
  const counts = valid
    ? where(expand(unsqueeze(greaterEqual(valid, 1), 1), [tokens, k]), queue, -1)
    : queue;
  const sizes = routersOf(table).map(({ experts }) => experts.length);
  const columns = sizes.reduce((a, b) => a + b, 0);
  const each = capacities(choices, capacity);
  const limits = cat(
    sizes.map((size, r) => expand(narrow(each, 0, r, 1), [size])),
    0,
  );
  // First choices of all tokens, then second ones.
  const slotMajor = (x: Tensor): Tensor => reshape(permute(x, [1, 0]), [n]);
  const lines = slotMajor(counts);
  const ahead = drop === "position"
    ? aheadByPosition(lines, columns)
    : aheadByWeight(lines, slotMajor(weights));
  const kept = logicalOr(less(lines, 0), less(ahead, take(limits, lines)));
  return permute(reshape(kept, [k, tokens]), [1, 0]);
}

/** For each item the number of earlier items in its line, f32: the stable sort knows. */
function aheadByPosition(lines: Tensor, count: number): Tensor {
  const { position, offsets } = sortByGroup(lines, count, 1);
  return cast(sub(position, take(offsets, lines)), "f32");
}

/**
 * For each item the number of items in its line that weigh more (of equal ones, earlier ones), f32.
 * Compares all pairs: n² comparisons, none of them in memory.
 */
function aheadByWeight(lines: Tensor, weights: Tensor): Tensor {
  return squeeze(countBefore(unsqueeze(weights, 1), unsqueeze(lines, 1)), 1);
}

/**
 * For every element the number of elements in its column that come before it: those of the same line
 * that are larger, or equal and earlier.
 *
 * @param value `[n, columns]` @param line `[n, 1]` i32; negative ones come before nobody
 * @returns `[n, columns]` f32
 */
export function countBefore(value: Tensor, line: Tensor): Tensor {
  const [n, columns] = value.shape, shape = [n, n, columns];
  const mine = (x: Tensor): Tensor => expand(unsqueeze(x, 1), shape);
  const other = (x: Tensor): Tensor => expand(unsqueeze(x, 0), shape);
  const earlier = less(iota(shape, 1), iota(shape, 0));
  const ahead = logicalOr(
    greater(other(value), mine(value)),
    logicalAnd(equal(other(value), mine(value)), earlier),
  );
  const rival = logicalAnd(equal(other(line), mine(line)), greaterEqual(other(line), 0));
  return sum(cast(logicalAnd(rival, ahead), "f32"), { axes: 1 });
}
