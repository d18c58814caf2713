/** Repeating, rolling and taking apart: compositions of the movement operations. */
import { greaterEqual, iota, sub, where } from "./elementwise.ts";
import type { Tensor } from "./graph.ts";
import { cat, expand, narrow, reshape, split, squeeze } from "./movement.ts";
import { normalizeAxis, type Shape } from "./shape.ts";

/**
 * The whole tensor repeated `counts[i]` times along dimension i, as `torch.Tensor.repeat`.
 *
 * @throws {RangeError} if there are not as many counts as dimensions.
 */
export function repeat(x: Tensor, counts: readonly number[]): Tensor {
  if (counts.length !== x.rank || counts.some((n) => !Number.isInteger(n) || n < 0)) {
    throw new RangeError(`repeat: counts [${counts}] do not fit ${x}`);
  }
  const apart = reshape(x, x.shape.flatMap((d) => [1, d]));
  const repeated = expand(apart, x.shape.flatMap((d, i) => [counts[i], d]));
  return reshape(repeated, x.shape.map((d, i) => d * counts[i]));
}

/** Every element repeated `count` times in place along an axis, as `torch.repeat_interleave`. */
export function repeatInterleave(x: Tensor, count: number, axis = -1): Tensor {
  const a = normalizeAxis(axis, x.rank, "repeatInterleave");
  if (!Number.isInteger(count) || count < 0) {
    throw new RangeError(`repeatInterleave: count ${count} of ${x} must be a whole number`);
  }
  const before = x.shape.slice(0, a + 1), after = x.shape.slice(a + 1);
  const apart = expand(reshape(x, [...before, 1, ...after]), [...before, count, ...after]);
  return reshape(apart, [...x.shape.slice(0, a), x.shape[a] * count, ...after]);
}

/** Elements moved `by` places along an axis, those that fall off the end put in front. */
export function roll(x: Tensor, by: number, axis = -1): Tensor {
  const a = normalizeAxis(axis, x.rank, "roll"), size = x.shape[a];
  if (!Number.isInteger(by)) throw new RangeError(`roll: ${by} places are no whole number`);
  const shift = size === 0 ? 0 : ((by % size) + size) % size;
  if (shift === 0) return x;
  return cat([narrow(x, a, size - shift, shift), narrow(x, a, 0, size - shift)], a);
}

/** At most `parts` parts of equal size along an axis, the last one smaller if need be. */
export function chunk(x: Tensor, parts: number, axis = 0): Tensor[] {
  const a = normalizeAxis(axis, x.rank, "chunk"), size = x.shape[a];
  if (!Number.isInteger(parts) || parts < 1) {
    throw new RangeError(`chunk: ${parts} parts of ${x}; want at least 1`);
  }
  const each = Math.max(1, Math.ceil(size / parts));
  const count = Math.max(1, Math.ceil(size / each));
  return split(x, Array.from({ length: count }, (_, i) => Math.min(each, size - i * each)), a);
}

/** The slices along an axis, without the axis. */
export function unbind(x: Tensor, axis = 0): Tensor[] {
  const a = normalizeAxis(axis, x.rank, "unbind");
  return Array.from({ length: x.shape[a] }, (_, i) => squeeze(narrow(x, a, i, 1), a));
}

/** Column minus row of every element of the last two dimensions. */
function diagonalOf(x: Tensor, op: string): Tensor {
  if (x.rank < 2) throw new RangeError(`${op}: ${x} has no rows and columns`);
  const matrix: Shape = x.shape.slice(-2);
  return sub(iota(matrix, 1), iota(matrix, 0));
}

/** The lower triangle of each matrix: zero right of the given diagonal (0 is the main one). */
export function tril(x: Tensor, diagonal = 0): Tensor {
  return where(greaterEqual(diagonal, diagonalOf(x, "tril")), x, 0);
}

/** The upper triangle of each matrix: zero left of the given diagonal (0 is the main one). */
export function triu(x: Tensor, diagonal = 0): Tensor {
  return where(greaterEqual(diagonalOf(x, "triu"), diagonal), x, 0);
}
