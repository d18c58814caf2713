/** Operations that move or repeat elements without computing: they cost index arithmetic only. */
import { makeTensor, type Tensor } from "./graph.ts";
import {
  formatShape,
  normalizeAxis,
  resolveReshape,
  sameShape,
  type Shape,
  sizeOf,
} from "./shape.ts";

/** The same elements in another shape; one size may be -1. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const to = resolveReshape(x.shape, shape);
  return sameShape(to, x.shape) ? x : makeTensor("reshape", [x], {}, to, x.dtype);
}

/**
 * Reorders the dimensions: output dimension i is input dimension `axes[i]`.
 *
 * @throws {RangeError} if `axes` is not a permutation.
 */
export function permute(x: Tensor, axes: readonly number[]): Tensor {
  const order = axes.map((a) => normalizeAxis(a, x.rank, "permute"));
  if (order.length !== x.rank || new Set(order).size !== x.rank) {
    throw new RangeError(`permute: [${axes}] is not a permutation of the axes of ${x}`);
  }
  if (order.every((a, i) => a === i)) return x;
  return makeTensor("permute", [x], { axes: order }, order.map((a) => x.shape[a]), x.dtype);
}

/** Swaps two dimensions, by default the last two. */
export function transpose(x: Tensor, a = -2, b = -1): Tensor {
  const axes = x.shape.map((_, i) => i);
  const i = normalizeAxis(a, x.rank, "transpose"), j = normalizeAxis(b, x.rank, "transpose");
  [axes[i], axes[j]] = [axes[j], axes[i]];
  return permute(x, axes);
}

/**
 * Repeats dimensions of size 1 (and adds leading ones) until the shape is `shape`.
 *
 * @throws {RangeError} if a size other than 1 would change.
 */
export function expand(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const lead = shape.length - x.rank;
  const fits = lead >= 0 && x.shape.every((d, i) => d === shape[lead + i] || d === 1);
  if (!fits) {
    throw new RangeError(`expand: ${x} does not broadcast to ${formatShape(shape)}`);
  }
  const base = lead > 0 ? reshape(x, [...new Array(lead).fill(1), ...x.shape]) : x;
  return makeTensor("expand", [base], {}, [...shape], x.dtype);
}

/** One part of a dimension: `start` (may be negative), `end` (exclusive, may be negative), `step` > 0. */
export interface Range {
  /** First element; negative counts from the end. Default 0. */
  start?: number;
  /** End, exclusive; negative counts from the end. Default the size. */
  end?: number;
  /** Distance between elements, at least 1. Default 1. */
  step?: number;
}

/**
 * Part of a tensor, one {@linkcode Range} for each leading dimension; dimensions not named stay
 * whole.
 *
 * @throws {RangeError} if a range leaves the dimension.
 */
export function slice(x: Tensor, ...ranges: (Range | undefined)[]): Tensor {
  if (ranges.length > x.rank) {
    throw new RangeError(`slice: ${ranges.length} ranges for ${x}`);
  }
  const starts: number[] = [], steps: number[] = [], shape: number[] = [];
  x.shape.forEach((size, i) => {
    const { start = 0, end = size, step = 1 } = ranges[i] ?? {};
    const from = start < 0 ? start + size : start;
    const to = end < 0 ? end + size : end;
    if (!(from >= 0 && from <= to && to <= size && step >= 1 && Number.isInteger(step))) {
      throw new RangeError(
        `slice: ${start}:${end}:${step} leaves dimension ${i} of ${x}`,
      );
    }
    starts.push(from);
    steps.push(step);
    shape.push(Math.ceil((to - from) / step));
  });
  if (sameShape(shape, x.shape)) return x;
  return makeTensor("slice", [x], { starts, steps }, shape, x.dtype);
}

/** Elements `start` to `start + length` of one axis. */
export function narrow(x: Tensor, axis: number, start: number, length: number): Tensor {
  const a = normalizeAxis(axis, x.rank, "narrow");
  return slice(x, ...x.shape.map((_, i) => i === a ? { start, end: start + length } : undefined));
}

/**
 * Splits one axis into parts of the given sizes.
 *
 * @throws {RangeError} if the sizes do not add up.
 */
export function split(x: Tensor, sizes: readonly number[], axis = 0): Tensor[] {
  const a = normalizeAxis(axis, x.rank, "split");
  const total = sizes.reduce((s, n) => s + n, 0);
  if (total !== x.shape[a]) {
    throw new RangeError(`split: sizes [${sizes}] add up to ${total}, axis ${a} of ${x} does not`);
  }
  let at = 0;
  return sizes.map((n) => narrow(x, a, (at += n) - n, n));
}

/** Adds `before[i]` and `after[i]` elements of `value` around dimension i. */
export function pad(
  x: Tensor,
  before: readonly number[],
  after: readonly number[],
  value = 0,
): Tensor {
  if (before.length !== x.rank || after.length !== x.rank) {
    throw new RangeError(`pad: ${before.length} and ${after.length} paddings for ${x}`);
  }
  if ([...before, ...after].some((n) => !Number.isInteger(n) || n < 0)) {
    throw new RangeError(`pad: paddings [${before}] and [${after}] must be non-negative`);
  }
  const shape = x.shape.map((d, i) => before[i] + d + after[i]);
  if (sameShape(shape, x.shape)) return x;
  return makeTensor("pad", [x], { before: [...before], value }, shape, x.dtype);
}

/** Reverses the order along the given axes. */
export function flip(x: Tensor, axes: readonly number[]): Tensor {
  const list = axes.map((a) => normalizeAxis(a, x.rank, "flip"));
  return list.length === 0 ? x : makeTensor("flip", [x], { axes: list }, x.shape, x.dtype);
}

/** Tensors one kernel joins; more are joined in a tree, since a kernel can bind few buffers. */
const MOST_PARTS = 6;

/**
 * Joins tensors along one axis.
 *
 * @throws {RangeError} if the other sizes differ. @throws {TypeError} if the dtypes differ.
 */
export function cat(parts: readonly Tensor[], axis = 0): Tensor {
  if (parts.length === 0) throw new RangeError("cat: no tensors given");
  const [first] = parts;
  const a = normalizeAxis(axis, first.rank, "cat");
  for (const p of parts) {
    if (p.dtype !== first.dtype) throw new TypeError(`cat: ${first} and ${p} differ in type`);
    if (p.rank !== first.rank || p.shape.some((d, i) => i !== a && d !== first.shape[i])) {
      throw new RangeError(`cat along axis ${a}: ${first} and ${p} differ in another size`);
    }
  }
  if (parts.length === 1) return first;
  if (parts.length > MOST_PARTS) {
    const groups: Tensor[] = [];
    for (let i = 0; i < parts.length; i += MOST_PARTS) {
      groups.push(cat(parts.slice(i, i + MOST_PARTS), a));
    }
    return cat(groups, a);
  }
  const shape = [...first.shape];
  shape[a] = parts.reduce((n, p) => n + p.shape[a], 0);
  return makeTensor("cat", parts, { axis: a }, shape, first.dtype);
}

/** Joins tensors of one shape along a new axis. */
export function stack(parts: readonly Tensor[], axis = 0): Tensor {
  if (parts.length === 0) throw new RangeError("stack: no tensors given");
  const a = normalizeAxis(axis, parts[0].rank + 1, "stack");
  return cat(parts.map((p) => unsqueeze(p, a)), a);
}

/** Adds a dimension of size 1 at `axis`. */
export function unsqueeze(x: Tensor, axis: number): Tensor {
  const a = normalizeAxis(axis, x.rank + 1, "unsqueeze");
  return reshape(x, [...x.shape.slice(0, a), 1, ...x.shape.slice(a)]);
}

/**
 * Removes a dimension of size 1.
 *
 * @throws {RangeError} if its size is not 1.
 */
export function squeeze(x: Tensor, axis: number): Tensor {
  const a = normalizeAxis(axis, x.rank, "squeeze");
  if (x.shape[a] !== 1) throw new RangeError(`squeeze: axis ${a} of ${x} is not of size 1`);
  return reshape(x, x.shape.filter((_, i) => i !== a));
}

/** All dimensions from `axis` on as one. */
export function flattenFrom(x: Tensor, axis = 0): Tensor {
  const a = normalizeAxis(axis, Math.max(1, x.rank), "flatten");
  return reshape(x, [...x.shape.slice(0, a), sizeOf(x.shape.slice(a))]);
}
