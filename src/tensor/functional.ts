/**
 * Neural-network functions composed of the basic operations. Of f16 operands, norms, softmax and
 * losses are computed in f32 all the same, from the first rounding to the last.
 */
import { classLoss } from "./class_loss.ts";
import {
  add,
  cast,
  div,
  maximum,
  mul,
  neg,
  notEqual,
  rsqrt,
  square,
  sub,
  where,
} from "./elementwise.ts";
import { makeTensor, type Tensor } from "./graph.ts";
import { cat, expand, unsqueeze } from "./movement.ts";
import { logSoftmax, mean, sum } from "./reduce.ts";

const float32 = (x: Tensor | undefined): Tensor | undefined => x && cast(x, "f32");

/**
 * Root-mean-square normalisation x / √(mean(x²) + ε) · w over the last dimension (Zhang and Sennrich
 * 2019; as in LLaMA).
 *
 * @param x `[..., D]` @param weight `[D]`, f32 or of the type of `x` @returns of the type of `x`
 */
export function rmsNorm(x: Tensor, weight?: Tensor, epsilon = 1e-6): Tensor {
  if (x.dtype === "f16") return cast(rmsNorm(cast(x, "f32"), float32(weight), epsilon), "f16");
  const scale = rsqrt(add(mean(square(x), { axes: -1, keepDims: true }), epsilon));
  const y = mul(x, scale);
  return weight ? mul(y, weight) : y;
}

/**
 * Layer normalisation over the last dimension, or the last `dimensions` (Ba et al. 2016).
 *
 * @param x `[..., D]` @param weight `[D]`, f32 or of the type of `x` @param bias likewise
 * @returns of the type of `x`
 */
export function layerNorm(
  x: Tensor,
  weight?: Tensor,
  bias?: Tensor,
  epsilon = 1e-5,
  dimensions = 1,
): Tensor {
  if (x.dtype === "f16") {
    const y = layerNorm(cast(x, "f32"), float32(weight), float32(bias), epsilon, dimensions);
    return cast(y, "f16");
  }
  const axes = Array.from({ length: dimensions }, (_, i) => i - dimensions);
  const centred = sub(x, mean(x, { axes, keepDims: true }));
  const scale = rsqrt(add(mean(square(centred), { axes, keepDims: true }), epsilon));
  let y = mul(centred, scale);
  if (weight) y = mul(y, weight);
  return bias ? add(y, bias) : y;
}

/** Options of {@linkcode crossEntropy}. */
export interface CrossEntropyOptions {
  /** Targets with this number count nothing. Default -100. */
  ignoreIndex?: number;
  /** Share of the target spread evenly over all classes (Szegedy et al. 2016). Default 0. */
  labelSmoothing?: number;
  /** `mean` over the targets that count (0 if there is none), `sum`, or one value each. */
  reduction?: "mean" | "sum" | "none";
}

/**
 * Cross-entropy of logits against class numbers, as torch.nn.functional.cross_entropy.
 *
 * @param logits `[N, C]` f32 or f16 @param targets `[N]` i32
 * @returns a scalar, or `[N]` for reduction "none"; f32
 * @throws {RangeError} if the shapes do not fit, or there are no classes. @throws {TypeError} if the
 * targets are not i32.
 */
export function crossEntropy(
  logits: Tensor,
  targets: Tensor,
  options: CrossEntropyOptions = {},
): Tensor {
  const { ignoreIndex = -100, labelSmoothing = 0, reduction = "mean" } = options;
  if (logits.rank !== 2 || targets.rank !== 1 || logits.shape[0] !== targets.shape[0]) {
    throw new RangeError(
      `crossEntropy: logits ${logits} and targets ${targets} must be [N, C] and [N]`,
    );
  }
  if (targets.dtype !== "i32") throw new TypeError(`crossEntropy: targets ${targets} must be i32`);
  const counts = notEqual(targets, ignoreIndex);
  const x = cast(logits, "f32");
  if (x.shape[1] === 0) throw new RangeError(`crossEntropy: logits ${logits} have no classes`);
  let loss = classLoss(x, where(counts, targets, 0));
  if (labelSmoothing > 0) {
    const even = neg(mean(logSoftmax(x), { axes: 1 }));
    loss = add(mul(loss, 1 - labelSmoothing), mul(even, labelSmoothing));
  }
  loss = where(counts, loss, 0);
  if (reduction === "none") return loss;
  const total = sum(loss);
  return reduction === "sum" ? total : div(total, maximum(sum(cast(counts, "f32")), 1));
}

/**
 * Angles of rotary position embedding (Su et al. 2021), in the layout of LLaMA: position times
 * frequency, the frequencies repeated for the second half of the head.
 *
 * @param frequencies `[D / 2]` in radians a position @param positions `[...]` i32 or f32
 * @returns angles `[..., D]`; their cosines and sines go into {@linkcode applyRotary}
 */
export function rotaryAngles(frequencies: Tensor, positions: Tensor): Tensor {
  const p = expand(unsqueeze(cast(positions, "f32"), positions.rank), [
    ...positions.shape,
    frequencies.size,
  ]);
  const half = mul(p, frequencies);
  return cat([half, half], -1);
}

/**
 * Applies rotary position embedding, rotating the two halves of each head (LLaMA's rotate_half).
 *
 * @param x `[B, H, T, D]` @param cos `[B, T, D]` or `[T, D]` @param sin likewise; f32 even
 * where `x` is f16 @returns of the type of `x`
 */
export function applyRotary(x: Tensor, cos: Tensor, sin: Tensor): Tensor {
  const half = x.shape.at(-1)! / 2;
  if (!Number.isInteger(half)) throw new RangeError(`applyRotary: head size of ${x} must be even`);
  const rotated = makeTensor("rotate_half", [x], {}, x.shape, x.dtype); // of halves a, b: -b, a
  const c = cos.rank === 3 ? unsqueeze(cos, 1) : cos, s = sin.rank === 3 ? unsqueeze(sin, 1) : sin;
  const turn = (part: Tensor, by: Tensor) => mul(cast(part, by.dtype), by);
  return cast(add(turn(x, c), turn(rotated, s)), x.dtype);
}
