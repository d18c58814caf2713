/**
 * Reductions over axes. Elementwise work in front of one and behind it joins its kernel.
 *
 * Those of f16 tensors are reductions in f32 between two casts, which cost nothing inside a kernel:
 * a sum of 4,096 ones would stop at 2,048 in f16. Results are f16 again.
 */
import { cast, div, mul, sqrt, square, sub } from "./elementwise.ts";
import { isFloat } from "./dtype.ts";
import { makeTensor, makeTensors, type Tensor } from "./graph.ts";
import { expand, pad, reshape } from "./movement.ts";
import { normalizeAxes, type Shape, sizeOf } from "./shape.ts";

/** Which axes, and whether they stay as size 1. */
export interface ReduceOptions {
  /** Axes to reduce; all by default. */
  axes?: number | readonly number[];
  /** Keep the reduced axes with size 1. */
  keepDims?: boolean;
}

/** The shape with the reduced axes as size 1. */
function keptShape(shape: Shape, axes: readonly number[]): number[] {
  return shape.map((d, i) => axes.includes(i) ? 1 : d);
}

function reduce(op: string, x: Tensor, options: ReduceOptions): Tensor {
  const axes = normalizeAxes(options.axes, x.rank, op);
  let y = x;
  if (axes.length > 0) {
    y = makeTensor(op, [x], { axes }, x.shape.filter((_, i) => !axes.includes(i)), x.dtype);
  }
  return options.keepDims ? reshape(y, keptShape(x.shape, axes)) : y;
}

/** A function of f32 tensors for f16 ones, too. */
function inF32<O>(x: Tensor, options: O, f: (x: Tensor, options: O) => Tensor): Tensor {
  return x.dtype === "f16" ? cast(f(cast(x, "f32"), options), "f16") : f(x, options);
}

function float(op: string, x: Tensor): void {
  if (!isFloat(x.dtype)) {
    throw new TypeError(`${op}: ${x} must be f32 or f16; convert it with cast()`);
  }
}

function numeric(op: string, x: Tensor): void {
  if (x.dtype === "bool") throw new TypeError(`${op}: ${x} is bool; convert it with cast()`);
}

/** Longest sum over everything that one kernel makes. */
const LONGEST = 8192;

/** Sum over axes. */
export function sum(x: Tensor, options: ReduceOptions = {}): Tensor {
  if (x.dtype === "f16") return inF32(x, options, sum);
  numeric("sum", x);
  const axes = normalizeAxes(options.axes, x.rank, "sum");
  if (axes.length < x.rank || x.size <= LONGEST) return reduce("sum", x, options);
  // In two levels, with rows of about the square root: parallel, and each level a short tree.
  const width = 2 ** Math.ceil(Math.log2(Math.sqrt(x.size)));
  const rows = Math.ceil(x.size / width);
  const whole = pad(reshape(x, [x.size]), [0], [rows * width - x.size]);
  const total = reduce("sum", reduce("sum", reshape(whole, [rows, width]), { axes: 1 }), {});
  return options.keepDims ? reshape(total, x.shape.map(() => 1)) : total;
}

/** Product over axes. */
export function prod(x: Tensor, options: ReduceOptions = {}): Tensor {
  if (x.dtype === "f16") return inF32(x, options, prod);
  numeric("prod", x);
  return reduce("prod", x, options);
}

/** Largest element over axes; equal largest elements share the gradient. */
export function max(x: Tensor, options: ReduceOptions = {}): Tensor {
  if (x.dtype === "f16") return inF32(x, options, max);
  numeric("max", x);
  notEmpty("max", x, options);
  return reduce("max", x, options);
}

/** Smallest element over axes; equal smallest elements share the gradient. */
export function min(x: Tensor, options: ReduceOptions = {}): Tensor {
  if (x.dtype === "f16") return inF32(x, options, min);
  numeric("min", x);
  notEmpty("min", x, options);
  return reduce("min", x, options);
}

function notEmpty(op: string, x: Tensor, options: ReduceOptions): void {
  const axes = normalizeAxes(options.axes, x.rank, op);
  if (axes.some((a) => x.shape[a] === 0)) {
    throw new RangeError(`${op}: ${x} has no elements along axes [${axes}]`);
  }
}

/** Number of elements a reduction runs over. */
function reducedCount(x: Tensor, options: ReduceOptions, op: string): number {
  return sizeOf(normalizeAxes(options.axes, x.rank, op).map((a) => x.shape[a]));
}

/**
 * Arithmetic mean over axes.
 *
 * @throws {TypeError} if `x` is not f32 or f16.
 */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor {
  float("mean", x);
  if (x.dtype === "f16") return inF32(x, options, mean);
  return mul(sum(x, options), 1 / reducedCount(x, options, "mean"));
}

/**
 * Variance over axes.
 *
 * @param options `correction` is subtracted from the count: 1 (default) for the unbiased estimate,
 * 0 for the biased one.
 */
export function variance(
  x: Tensor,
  options: ReduceOptions & { correction?: number } = {},
): Tensor {
  if (x.dtype === "f16") return inF32(x, options, variance);
  const axes = normalizeAxes(options.axes, x.rank, "variance");
  const centred = sub(x, mean(x, { axes, keepDims: true }));
  const count = reducedCount(x, options, "variance") - (options.correction ?? 1);
  return div(sum(square(centred), { axes, keepDims: options.keepDims }), count);
}

/** Square root of the {@linkcode variance}. */
export function standardDeviation(
  x: Tensor,
  options: ReduceOptions & { correction?: number } = {},
): Tensor {
  if (x.dtype === "f16") return inF32(x, options, standardDeviation);
  return sqrt(variance(x, options));
}

/** Euclidean norm √Σ x² over axes. */
export function norm(x: Tensor, options: ReduceOptions = {}): Tensor {
  if (x.dtype === "f16") return inF32(x, options, norm);
  return sqrt(sum(square(x), options));
}

/**
 * log Σ e^x over axes, without overflow. Rows that are all -∞ give -∞.
 */
export function logSumExp(x: Tensor, options: ReduceOptions = {}): Tensor {
  float("logSumExp", x);
  if (x.dtype === "f16") return inF32(x, options, logSumExp);
  notEmpty("logSumExp", x, options);
  const axes = normalizeAxes(options.axes, x.rank, "logSumExp");
  const kept = keptShape(x.shape, axes);
  const y = makeTensor(
    "logsumexp",
    [x],
    { axes },
    x.shape.filter((_, i) => !axes.includes(i)),
    x.dtype,
  );
  return options.keepDims ? reshape(y, kept) : y;
}

/**
 * Largest element and Σ e^(x - largest) along an axis, spread over it again: what softmax and its
 * logarithm are made of. Kept apart so that large inputs lose no digits.
 */
function softmaxParts(x: Tensor, axis: number, op: string): Tensor[] {
  float(op, x);
  const [a] = normalizeAxes(axis, x.rank, op);
  notEmpty(op, x, { axes: a });
  const shape = x.shape.filter((_, i) => i !== a);
  const parts = makeTensors("softmax_stats", [x], { axes: [a] }, [[shape, "f32"], [shape, "f32"]]);
  return parts.map((t) => expand(reshape(t, keptShape(x.shape, [a])), x.shape));
}

/** e^x / Σ e^x along one axis. */
export function softmax(x: Tensor, axis = -1): Tensor {
  if (x.dtype === "f16") return inF32(x, axis, softmax);
  const parts = softmaxParts(x, axis, "softmax");
  return makeTensor(
    "softmax",
    [x, ...parts],
    { axis: axis < 0 ? axis + x.rank : axis },
    x.shape,
    "f32",
  );
}

/** Logarithm of {@linkcode softmax}. */
export function logSoftmax(x: Tensor, axis = -1): Tensor {
  if (x.dtype === "f16") return inF32(x, axis, logSoftmax);
  const parts = softmaxParts(x, axis, "logSoftmax");
  return makeTensor(
    "log_softmax",
    [x, ...parts],
    { axis: axis < 0 ? axis + x.rank : axis },
    x.shape,
    "f32",
  );
}
