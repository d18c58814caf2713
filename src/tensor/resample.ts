/** Changing the size of pictures and of grids of position embeddings. */
import { type Tensor, tensor } from "./graph.ts";
import { matmul } from "./matmul.ts";
import { transpose } from "./movement.ts";

/** How new elements are made: as the modes of torch.nn.functional.interpolate. */
export type ResampleMode = "nearest" | "bilinear" | "bicubic" | "area";

/**
 * Pictures in another size, without antialiasing, as `torch.nn.functional.interpolate` with
 * `align_corners=False`. Every mode is linear in the picture and separable, so it is one product
 * with a matrix from the left for the rows and one from the right for the columns.
 *
 * @param x `[..., H, W]` @param size new height and width
 * @throws {RangeError} if a size is not positive.
 */
export function interpolate(
  x: Tensor,
  size: readonly [number, number],
  mode: ResampleMode,
): Tensor {
  const [h, w] = x.shape.slice(-2);
  if (x.rank < 2 || ![h, w, ...size].every((n) => Number.isInteger(n) && n > 0)) {
    throw new RangeError(`interpolate: ${x} to ${size[0]} x ${size[1]}`);
  }
  const rows = tensor(resampleMatrix(h, size[0], mode), { shape: [size[0], h] });
  const columns = tensor(resampleMatrix(w, size[1], mode), { shape: [size[1], w] });
  return matmul(matmul(rows, x), transpose(columns));
}

/** Weights of the old elements in each new one. */
type Weights = (at: number, from: number, to: number) => readonly (readonly [number, number])[];

/** Cubic convolution (Keys 1981) with a = -0.75, at distance d. */
function cubic(d: number): number {
  const a = -0.75, t = Math.abs(d);
  if (t <= 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  if (t < 2) return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a;
  return 0;
}

/** Position of a new element's centre among the old ones. */
const centre = (at: number, from: number, to: number): number => (at + 0.5) * from / to - 0.5;

const WEIGHTS: Readonly<Record<ResampleMode, Weights>> = {
  nearest: (at, from, to) => {
    // In float32 like torch: it decides which one is taken where the quotient is a whole number.
    const place = Math.floor(Math.fround(at * Math.fround(from / to)));
    return [[Math.min(place, from - 1), 1]];
  },
  bilinear: (at, from, to) => {
    const place = Math.max(0, centre(at, from, to));
    const first = Math.min(Math.floor(place), from - 1), part = place - first;
    return [[first, 1 - part], [Math.min(first + 1, from - 1), part]];
  },
  bicubic: (at, from, to) => {
    const place = centre(at, from, to), first = Math.floor(place);
    return [-1, 0, 1, 2].map((i) => [
      Math.min(Math.max(first + i, 0), from - 1),
      cubic(place - first - i),
    ]);
  },
  area: (at, from, to) => {
    const start = Math.floor(at * from / to), end = Math.ceil((at + 1) * from / to);
    return Array.from({ length: end - start }, (_, i) => [start + i, 1 / (end - start)]);
  },
};

/** `[to, from]`: row i holds the weights of new element i. */
function resampleMatrix(from: number, to: number, mode: ResampleMode): Float32Array {
  const matrix = new Float64Array(to * from);
  for (let i = 0; i < to; i++) {
    for (const [j, weight] of WEIGHTS[mode](i, from, to)) matrix[i * from + j] += weight;
  }
  return Float32Array.from(matrix);
}
