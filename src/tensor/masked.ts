/** Working on the elements that a mask or a list of positions names. */
import { cast, greater, ones, sub, where } from "./elementwise.ts";
import { type Tensor, tensor } from "./graph.ts";
import { scatterAdd, take } from "./indexing.ts";
import { reshape } from "./movement.ts";
import { cumsum } from "./cumulative.ts";
import { formatShape, normalizeAxis, rowMajor, sameShape } from "./shape.ts";

/**
 * Positions of the true elements of a mask. How many there are decides the shape, so the mask is
 * computed and read back here, and the result is a leaf: unfit for compiled functions.
 *
 * @returns `[count, rank]` i32, in row-major order
 * @throws {TypeError} if `mask` is not bool.
 */
export async function nonzero(mask: Tensor): Promise<Tensor> {
  const flat = await positions("nonzero", mask);
  const strides = rowMajor(mask.shape);
  const coordinates = flat.flatMap((at) =>
    mask.shape.map((d, i) => Math.floor(at / strides[i]) % d)
  );
  return tensor(Int32Array.from(coordinates), { shape: [flat.length, mask.rank] });
}

async function positions(op: string, mask: Tensor): Promise<number[]> {
  if (mask.dtype !== "bool") throw new TypeError(`${op}: ${mask} must be bool`);
  const values = await mask.data();
  const found: number[] = [];
  values.forEach((v, at) => v !== 0 && found.push(at));
  return found;
}

/**
 * The elements where the mask is true, in row-major order; a mask of fewer dimensions selects along
 * the leading ones. Reads the mask back, as {@linkcode nonzero}.
 *
 * @returns `[count, ...dimensions that the mask does not have]`
 * @throws {RangeError} if the mask does not have the leading sizes of `x`.
 */
export async function maskedSelect(x: Tensor, mask: Tensor): Promise<Tensor> {
  const rest = x.shape.slice(mask.rank);
  if (!sameShape(mask.shape, x.shape.slice(0, mask.rank))) {
    throw new RangeError(`maskedSelect: mask ${mask} does not fit the leading sizes of ${x}`);
  }
  const found = await positions("maskedSelect", mask);
  return take(reshape(x, [mask.size, ...rest]), tensor(Int32Array.from(found)));
}

/**
 * `x` with the elements under the mask replaced by those of `source`, one after the other in
 * row-major order. `source` must hold as many as the mask has true elements.
 *
 * @param x any shape @param mask bool of the same shape @param source `[n]`
 * @throws {RangeError} if the shapes do not fit. @throws {TypeError} if `mask` is not bool.
 */
export function maskedScatter(x: Tensor, mask: Tensor, source: Tensor): Tensor {
  if (mask.dtype !== "bool") throw new TypeError(`maskedScatter: ${mask} must be bool`);
  if (!sameShape(mask.shape, x.shape) || source.rank !== 1) {
    throw new RangeError(`maskedScatter: mask ${mask} or source ${source} does not fit ${x}`);
  }
  const count = cumsum(cast(reshape(mask, [mask.size]), "i32"));
  return where(mask, reshape(take(source, sub(count, 1)), x.shape), x);
}

/**
 * `x` with elements along an axis replaced: `out[i, index[i, j]] = source[i, j]` for axis 1 (PyTorch
 * `scatter`). Each position may be named once only.
 *
 * @throws {RangeError} if index and source differ in shape, or do not fit `x` along another axis.
 */
export function scatter(x: Tensor, index: Tensor, source: Tensor, axis = -1): Tensor {
  const a = normalizeAxis(axis, x.rank, "scatter"), size = x.shape[a];
  const fits = sameShape(index.shape, source.shape) && index.rank === x.rank &&
    index.shape.every((d, i) => i === a || d === x.shape[i]);
  if (!fits) {
    throw new RangeError(
      `scatter axis ${a}: index ${index} and source ${formatShape(source.shape)} do not fit ${x}`,
    );
  }
  const named = greater(scatterAdd(ones(index.shape), index, size, a), 0);
  return where(named, scatterAdd(source, index, size, a), x);
}
