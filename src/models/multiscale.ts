/**
 * Features of a picture at several sizes (S², Shi et al. 2024, arXiv 2403.13043), as the function
 * `forward` of github.com/bfshi/scaling_on_scales, `s2wrapper/core.py`.
 */
import { cat, interpolate, narrow, permute, reshape, type Tensor } from "../tensor/mod.ts";

/** How pictures are cut. */
export interface MultiscaleOptions {
  /** Heights and widths at which a picture is looked at, the first decides the number of tokens. */
  sizes: readonly number[];
  /** Largest piece that the tower is given. */
  split: number;
}

/**
 * Looks at pictures at several sizes: each is cut into pieces of the tower's size, the tower's features
 * are put together again, shrunk to those of the first size, and joined.
 *
 * @param pixels `[B, C, H, W]` @param features of pieces `[N, C, split, split]`, `[N, n², D]`
 * @returns `[B, n² of the first size, sizes × D]`
 * @throws {RangeError} if there are no sizes, or pieces of the largest size do not tile one.
 */
export function multiscaleFeatures(
  pixels: Tensor,
  options: MultiscaleOptions,
  features: (pieces: Tensor) => Tensor,
): Tensor {
  const { sizes, split } = options, batch = pixels.shape[0];
  if (sizes.length === 0) throw new RangeError("multiscale features: give at least one size");
  const maps = sizes.map((size) => {
    const cuts = Math.ceil(size / split);
    if (!(size > 0) || size % cuts !== 0) {
      throw new RangeError(`multiscale features: ${cuts} pieces do not tile ${size} pixels`);
    }
    const picture = interpolate(pixels, [size, size], "bicubic");
    return joinPieces(toMap(features(cutPieces(picture, cuts))), cuts, batch);
  });
  const [rows, columns] = maps[0].shape.slice(-2);
  const same = maps.map((map) =>
    map.shape[2] === rows && map.shape[3] === columns
      ? map
      : interpolate(map, [rows, columns], "area")
  );
  const joined = cat(same, 1);
  return permute(reshape(joined, [batch, joined.shape[1], rows * columns]), [0, 2, 1]);
}

/** `[B, C, H, W]` to the pieces of every picture, row by row, `[cuts² × B, C, H/cuts, W/cuts]`. */
function cutPieces(x: Tensor, cuts: number): Tensor {
  const height = x.shape[2] / cuts, width = x.shape[3] / cuts;
  const pieces = Array.from({ length: cuts * cuts }, (_, i) => {
    const row = narrow(x, 2, Math.floor(i / cuts) * height, height);
    return narrow(row, 3, (i % cuts) * width, width);
  });
  return pieces.length === 1 ? pieces[0] : cat(pieces, 0);
}

/** `[N, n², D]` tokens to maps `[N, D, n, n]`. */
function toMap(x: Tensor): Tensor {
  const [count, tokens, width] = x.shape, n = Math.round(Math.sqrt(tokens));
  if (n * n !== tokens) {
    throw new RangeError(`multiscale features: ${tokens} tokens of a piece are no square`);
  }
  return permute(reshape(x, [count, n, n, width]), [0, 3, 1, 2]);
}

/** The inverse of {@linkcode cutPieces}. */
function joinPieces(x: Tensor, cuts: number, batch: number): Tensor {
  if (cuts === 1) return x;
  const piece = (i: number) => narrow(x, 0, i * batch, batch);
  const rows = Array.from(
    { length: cuts },
    (_, r) => cat(Array.from({ length: cuts }, (_, c) => piece(r * cuts + c)), 3),
  );
  return cat(rows, 2);
}
