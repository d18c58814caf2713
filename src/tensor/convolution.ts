/** Convolution and pooling over pictures `[B, C, H, W]`, as matrix products and sums. */
import { add } from "./elementwise.ts";
import type { Tensor } from "./graph.ts";
import { matmul } from "./matmul.ts";
import { pad, permute, reshape, slice, stack } from "./movement.ts";
import { mean } from "./reduce.ts";

/** One number for both directions, or one for rows and one for columns. */
export type Pair = number | readonly [number, number];

const both = (p: Pair): readonly [number, number] => typeof p === "number" ? [p, p] : p;

/** Options of {@linkcode conv2d}. */
export interface ConvolutionOptions {
  /** Step between positions. Default 1. */
  stride?: Pair;
  /** Zeros around the picture. Default 0. */
  padding?: Pair;
}

/**
 * Two-dimensional convolution (cross-correlation, as everywhere in deep learning). Where the stride
 * is the kernel's size, as in a patch embedding, the patches are a mere view of the picture.
 *
 * @param x `[B, C, H, W]` @param weight `[O, C, kh, kw]` @param bias `[O]`
 * @returns `[B, O, H', W']`; rows and columns that no whole kernel covers are left out
 * @throws {RangeError} if the sizes do not fit.
 */
export function conv2d(
  x: Tensor,
  weight: Tensor,
  bias?: Tensor,
  options: ConvolutionOptions = {},
): Tensor {
  const [sy, sx] = both(options.stride ?? 1), [py, px] = both(options.padding ?? 0);
  const [out, channels, kh, kw] = weight.shape;
  if (x.rank !== 4 || weight.rank !== 4 || x.shape[1] !== channels) {
    throw new RangeError(`conv2d: ${x} and weight ${weight} must be [B, C, H, W], [O, C, kh, kw]`);
  }
  if (bias && (bias.rank !== 1 || bias.shape[0] !== out)) {
    throw new RangeError(`conv2d: bias ${bias} does not fit weight ${weight}`);
  }
  const whole = pad(x, [0, 0, py, px], [0, 0, py, px]);
  const [batch, , height, width] = whole.shape;
  const rows = Math.floor((height - kh) / sy) + 1, columns = Math.floor((width - kw) / sx) + 1;
  if (!(rows >= 1 && columns >= 1)) {
    throw new RangeError(`conv2d: kernel ${kh} x ${kw} is larger than the picture ${whole}`);
  }
  // [B, rows, columns, C, kh, kw]: what the kernel sees at each position
  const seen = sy === kh && sx === kw
    ? permute(patches(whole, kh, kw), [0, 2, 4, 1, 3, 5])
    : permute(windows(whole, [kh, kw], [sy, sx], [rows, columns]), [0, 3, 4, 2, 1, 5]);
  const inner = channels * kh * kw;
  const y = matmul(
    reshape(seen, [batch * rows * columns, inner]),
    permute(reshape(weight, [out, inner]), [1, 0]),
  );
  const shifted = bias ? add(y, bias) : y;
  return permute(reshape(shifted, [batch, rows, columns, out]), [0, 3, 1, 2]);
}

/** Patches side by side, `[B, C, rows, kh, columns, kw]`: a view. */
function patches(x: Tensor, kh: number, kw: number): Tensor {
  const [batch, channels, height, width] = x.shape;
  const rows = Math.floor(height / kh), columns = Math.floor(width / kw);
  const used = slice(x, undefined, undefined, { end: rows * kh }, { end: columns * kw });
  return reshape(used, [batch, channels, rows, kh, columns, kw]);
}

/** The picture as each place of the kernel sees it, `[B, kh, C, rows, columns, kw]`. */
function windows(
  x: Tensor,
  [kh, kw]: readonly number[],
  [sy, sx]: readonly number[],
  [rows, columns]: readonly number[],
): Tensor {
  const at = (dy: number, dx: number) =>
    slice(
      x,
      undefined,
      undefined,
      { start: dy, end: dy + (rows - 1) * sy + 1, step: sy },
      { start: dx, end: dx + (columns - 1) * sx + 1, step: sx },
    );
  const range = (n: number) => Array.from({ length: n }, (_, i) => i);
  return stack(range(kh).map((dy) => stack(range(kw).map((dx) => at(dy, dx)), 4)), 1);
}

/**
 * Mean of `size` × `size` squares side by side; rows and columns that fill no square are left out.
 *
 * @param x `[B, C, H, W]` @returns `[B, C, ⌊H / size⌋, ⌊W / size⌋]`
 */
export function avgPool2d(x: Tensor, size: Pair): Tensor {
  const [kh, kw] = both(size);
  if (x.rank !== 4 || !(x.shape[2] >= kh && x.shape[3] >= kw)) {
    throw new RangeError(`avgPool2d: ${x} holds no square of ${kh} x ${kw}`);
  }
  return mean(patches(x, kh, kw), { axes: [3, 5] });
}
