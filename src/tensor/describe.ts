/** Tensors in numbers: the statistics of their values. */
import { bytesPerElement, type DType, type HostData } from "./dtype.ts";
import type { Tensor } from "./graph.ts";
import type { Shape } from "./shape.ts";

/** How many of the finite values lie in each part of their range. */
export interface Histogram {
  /** Lower end of the first part, upper end of the last. */
  readonly range: readonly [number, number];
  /** Values in each part; the parts are equally wide. */
  readonly counts: readonly number[];
}

/** A tensor's type and shape and the statistics of its values. */
export interface TensorDescription {
  /** The tensor's name, if it has one. */
  readonly name: string | undefined;
  /** Element type. */
  readonly dtype: DType;
  /** Sizes. */
  readonly shape: Shape;
  /** Bytes of its values. */
  readonly bytes: number;
  /** Values in row-major order. */
  readonly values: HostData;
  /** Number of values that are not a number. */
  readonly nan: number;
  /** Number of infinite values. */
  readonly infinite: number;
  /** Number of zeros. */
  readonly zeros: number;
  /** Smallest finite value; NaN if there is none, as for the following. */
  readonly min: number;
  /** Largest finite value. */
  readonly max: number;
  /** Mean of the finite values. */
  readonly mean: number;
  /** Standard deviation of the finite values, as of a whole population. */
  readonly std: number;
  /** The distribution of the finite values. */
  readonly histogram: Histogram;
}

/** Parts of a histogram. */
const BINS = 24;

/**
 * Describes a tensor's values, computing them first when needed.
 *
 * @throws {Error} if they have to be computed or read and no session is open.
 *
 * @example
 * ```ts
 * import { describe, tensor } from "@moiie/lab/tensor";
 * const { mean, nan } = await describe(tensor([1, 2, NaN]));
 * console.log(mean, nan); // 1.5 1
 * ```
 */
export async function describe(t: Tensor): Promise<TensorDescription> {
  const values = t.host?.slice() ?? await t.data();
  const { name, dtype, shape } = t;
  const bytes = values.length * bytesPerElement(dtype);
  return { name, dtype, shape, bytes, values, ...statistics(values) };
}

type Statistics = Omit<TensorDescription, "name" | "dtype" | "shape" | "bytes" | "values">;

/** Statistics in float64; the deviations are summed in a second pass, which loses no digits. */
function statistics(values: HostData): Statistics {
  let nan = 0, infinite = 0, zeros = 0, sum = 0;
  let min = Infinity, max = -Infinity;
  for (const value of values) {
    if (Number.isNaN(value)) nan++;
    else if (!Number.isFinite(value)) infinite++;
    else {
      if (value === 0) zeros++;
      if (value < min) min = value;
      if (value > max) max = value;
      sum += value;
    }
  }
  const finite = values.length - nan - infinite;
  const mean = sum / finite; // 0 / 0 is NaN, as it should be
  if (finite === 0) min = max = NaN;

  const counts = new Array<number>(BINS).fill(0);
  const width = (max - min) / BINS;
  let squares = 0;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    squares += (value - mean) ** 2;
    counts[width > 0 ? Math.min(BINS - 1, Math.floor((value - min) / width)) : 0]++;
  }
  const std = Math.sqrt(squares / finite);
  return { nan, infinite, zeros, min, max, mean, std, histogram: { range: [min, max], counts } };
}
