/** All gradients of a step in one flat tensor, with their norm. */
import {
  add,
  div,
  isFinite,
  minimum,
  pack,
  reshape,
  sqrt,
  square,
  sum,
  type Tensor,
  tensor,
  where,
} from "../tensor/mod.ts";

/**
 * Factor that brings gradients of a larger norm down to `most` and leaves others alone:
 * min(1, most / (norm + 1e-6)), as torch.nn.utils.clip_grad_norm_.
 */
export function clipFactor(norm: Tensor, most: number): Tensor {
  return minimum(div(most, add(norm, 1e-6)), 1);
}

/** Gradients as an optimizer's kernel takes them. */
export interface PackedGradients {
  /** All of them, in the layout of the flat parameters. */
  packed: Tensor;
  /** Norm of all of them together, a scalar. */
  gradientNorm: Tensor;
  /** `[1]` factor to multiply them with, 1 without a limit; negative to leave the update out. */
  scale: Tensor;
  /** Bool scalar, of a scaled loss: every gradient is finite. */
  finite?: Tensor;
}

/**
 * Packs gradients and measures them.
 *
 * @param clipNorm largest norm to leave alone; none if missing
 * @param lossScale scalar that the loss was multiplied with: gradients are divided by it, and one that
 * is infinite or NaN leaves the update out; none if missing
 */
export function packGradients(
  grads: readonly Tensor[],
  clipNorm: number | undefined,
  lossScale?: Tensor,
): PackedGradients {
  const packed = pack(grads);
  const norm = sqrt(sum(square(packed)));
  if (lossScale) {
    const finite = isFinite(norm), gradientNorm = div(norm, lossScale);
    const factor = clipNorm === undefined ? 1 : clipFactor(gradientNorm, clipNorm);
    const scale = reshape(where(finite, div(factor, lossScale), -1), [1]);
    return { packed, gradientNorm, scale, finite };
  }
  const gradientNorm = norm;
  const scale = clipNorm === undefined
    ? tensor([1])
    : reshape(clipFactor(gradientNorm, clipNorm), [1]);
  return { packed, gradientNorm, scale };
}
