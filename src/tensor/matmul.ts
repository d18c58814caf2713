/** Matrix products: plain, batched, and grouped over experts. */
import { isFloat } from "./dtype.ts";
import { add, cast } from "./elementwise.ts";
import { makeTensor, type Tensor } from "./graph.ts";
import { expand, reshape, squeeze, transpose, unsqueeze } from "./movement.ts";
import { broadcastShapes, sizeOf } from "./shape.ts";

function sameFloats(op: string, a: Tensor, b: Tensor): void {
  if (!isFloat(a.dtype) || !isFloat(b.dtype)) {
    throw new TypeError(`${op}: ${a} and ${b} must be f32 or f16`);
  }
  if (a.dtype !== b.dtype) {
    throw new TypeError(`${op}: ${a} and ${b} differ in type; convert one with cast()`);
  }
}

/** Batch dimensions that a kernel can step through on its own; more are made one. */
const MOST_BATCH_DIMENSIONS = 3;

/**
 * Matrix product with the rules of NumPy and PyTorch: the last two dimensions are multiplied, the
 * others broadcast; a vector is a row on the left and a column on the right.
 *
 * @returns shape `[..., M, N]` of `[..., M, K]` and `[..., K, N]`, of their type; f16 is summed in f32
 * @throws {RangeError} with both shapes if they do not fit. @throws {TypeError} unless both are f32 or
 * both f16.
 */
export function matmul(a: Tensor, b: Tensor): Tensor {
  sameFloats("matmul", a, b);
  if (a.rank === 0 || b.rank === 0) throw new RangeError(`matmul: ${a} or ${b} is a scalar`);
  if (a.rank === 1) return squeeze(matmul(unsqueeze(a, 0), b), b.rank === 1 ? 0 : -2);
  if (b.rank === 1) return squeeze(matmul(a, unsqueeze(b, 1)), -1);
  const [m, k] = a.shape.slice(-2), [k2, n] = b.shape.slice(-2);
  if (k !== k2) {
    throw new RangeError(
      `matmul: ${a} times ${b}: inner sizes ${k} and ${k2} differ (transpose one of them?)`,
    );
  }
  // A matrix on the right serves every row on the left: one tall product instead of a batch.
  if (b.rank === 2 && a.rank > 2) {
    const rows = sizeOf(a.shape.slice(0, -1));
    return reshape(matmul(reshape(a, [rows, k]), b), [...a.shape.slice(0, -1), n]);
  }
  const batch = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2), "matmul batch");
  if (batch.length > MOST_BATCH_DIMENSIONS) {
    const count = sizeOf(batch);
    const flat = (x: Tensor, r: number, c: number): Tensor =>
      reshape(expand(x, [...batch, r, c]), [count, r, c]);
    return reshape(matmul(flat(a, m, k), flat(b, k, n)), [...batch, m, n]);
  }
  return makeTensor(
    "matmul",
    [expand(a, [...batch, m, k]), expand(b, [...batch, k, n])],
    {},
    [...batch, m, n],
    a.dtype,
  );
}

/**
 * Fully connected layer x Wᵀ + b.
 *
 * @param x `[..., in]` @param weight `[out, in]` (PyTorch's layout) @param bias `[out]`; both are
 * converted to the type of `x`, so that f32 parameters serve f16 activations
 * @returns `[..., out]` of the type of `x`
 */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  if (weight.rank !== 2 || x.shape.at(-1) !== weight.shape[1]) {
    throw new RangeError(`linear: input ${x} does not fit weight ${weight} of [out, in]`);
  }
  if (bias && (bias.rank !== 1 || bias.shape[0] !== weight.shape[0])) {
    throw new RangeError(`linear: bias ${bias} does not fit weight ${weight}`);
  }
  const y = matmul(x, transpose(cast(weight, x.dtype)));
  return bias ? add(y, cast(bias, x.dtype)) : y;
}

/** Where the rows of each group lie in a sorted, padded row list: what {@linkcode sortByGroup} makes. */
export interface Groups {
  /** Number of groups (experts). */
  readonly count: number;
  /** Rows of one tile, a multiple of 16 for a product; every group starts at a multiple of it. */
  readonly tile: number;
  /** `[rows / tile]` i32: the group a tile belongs to. */
  readonly tileGroup: Tensor;
  /** `[count + 1]` i32: first padded row of each group, and the end. */
  readonly offsets: Tensor;
}

/**
 * Grouped matrix product: row r of `x` is multiplied with the matrix of its group.
 *
 * @param x `[rows, K]`, sorted by group as `groups` says (padding rows may hold anything finite)
 * @param weight `[groups, N, K]` (each matrix as `[out, in]`), or `[groups, K, N]` with `transposed`
 * @returns `[rows, N]`; rows of padding are computed with the group's matrix like any other.
 */
export function groupedMatmul(
  x: Tensor,
  weight: Tensor,
  groups: Groups,
  options: { transposed?: boolean } = {},
): Tensor {
  sameFloats("groupedMatmul", x, weight);
  const transposed = options.transposed ?? false;
  const k = weight.shape[transposed ? 1 : 2], n = weight.shape[transposed ? 2 : 1];
  if (x.rank !== 2 || weight.rank !== 3 || x.shape[1] !== k || weight.shape[0] !== groups.count) {
    throw new RangeError(
      `groupedMatmul: rows ${x} do not fit weights ${weight} of ${groups.count} groups ` +
        `(want [${groups.count}, ${transposed ? "K, N" : "N, K"}] with K = ${x.shape[1]})`,
    );
  }
  if (x.shape[0] !== groups.tileGroup.size * groups.tile) {
    throw new RangeError(
      `groupedMatmul: ${x.shape[0]} rows, but the groups hold ` +
        `${groups.tileGroup.size} tiles of ${groups.tile}`,
    );
  }
  if (groups.tile % 16 !== 0) {
    throw new RangeError(`groupedMatmul: tiles of ${groups.tile} rows; want a multiple of 16`);
  }
  return makeTensor(
    "grouped_matmul",
    [x, weight, groups.tileGroup, groups.offsets],
    { transposed, tile: groups.tile, groups: groups.count },
    [x.shape[0], n],
    x.dtype,
  );
}

/**
 * For each group the product aᵀ b over its rows: the weight gradient of {@linkcode groupedMatmul}.
 * An empty group gives exact zeros. Padding rows must be zero in `a` or `b`.
 *
 * @param a `[rows, N]` @param b `[rows, K]` @returns `[groups, N, K]`
 */
export function groupedOuter(a: Tensor, b: Tensor, groups: Groups): Tensor {
  sameFloats("groupedOuter", a, b);
  if (a.rank !== 2 || b.rank !== 2 || a.shape[0] !== b.shape[0]) {
    throw new RangeError(`groupedOuter: ${a} and ${b} must have the same rows`);
  }
  return makeTensor(
    "grouped_outer",
    [a, b, groups.tileGroup, groups.offsets],
    { tile: groups.tile, groups: groups.count },
    [groups.count, a.shape[1], b.shape[1]],
    a.dtype,
  );
}
