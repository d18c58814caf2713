/** Layers as plain objects of parameters, and the functions that apply them. */
import {
  applyRotary,
  attention,
  gelu,
  layerNorm,
  linear,
  permute,
  type Random,
  reshape,
  rmsNorm,
  slice,
  type Tensor,
} from "../tensor/mod.ts";
import { constant, normal } from "./parameters.ts";

/** Fully connected layer. */
export interface Linear {
  /** `[out, in]` */
  weight: Tensor;
  /** `[out]` */
  bias?: Tensor;
}

/** Options of {@linkcode makeLinear}. */
export interface LinearOptions {
  /** With a bias (of zeros). Default false. */
  bias?: boolean;
  /** Standard deviation of the weights. Default 1/√in. */
  std?: number;
}

/** A new fully connected layer. */
export function makeLinear(
  random: Random,
  inputs: number,
  outputs: number,
  options: LinearOptions = {},
): Linear {
  const weight = normal(random, [outputs, inputs], options.std ?? 1 / Math.sqrt(inputs));
  return options.bias ? { weight, bias: constant([outputs], 0) } : { weight };
}

/** x Wᵀ + b. @param x `[..., in]` @returns `[..., out]` */
export function applyLinear(layer: Linear, x: Tensor): Tensor {
  return linear(x, layer.weight, layer.bias);
}

/** Scale (and shift) of a normalisation; without bias it is an RMS norm. */
export interface Norm {
  /** `[D]` */
  weight: Tensor;
  /** `[D]`, of a layer norm only. */
  bias?: Tensor;
}

/** A new layer norm (with bias) or RMS norm (without). */
export function makeNorm(width: number, options: { bias?: boolean } = {}): Norm {
  const weight = constant([width], 1);
  return options.bias ? { weight, bias: constant([width], 0) } : { weight };
}

/** Layer norm if the layer has a bias, else RMS norm, over the last dimension. */
export function applyNorm(norm: Norm, x: Tensor, epsilon: number): Tensor {
  return norm.bias
    ? layerNorm(x, norm.weight, norm.bias, epsilon)
    : rmsNorm(x, norm.weight, epsilon);
}

/** Multi-head self-attention with the three projections in one matrix (as Phi-3). */
export interface Attention {
  /** `[(heads + 2 keyHeads) × head size, D]`: queries, keys, values. */
  qkv: Linear;
  /** `[D, heads × head size]` */
  output: Linear;
}

/** How an attention layer is used. */
export interface AttentionUse {
  /** Number of query heads. */
  heads: number;
  /** Number of key and value heads; default `heads`. */
  keyHeads?: number;
  /** True where a query may see a key, `[B, 1, T, T]`; everything if missing. */
  mask?: Tensor;
  /** Cosines and sines of the rotary embedding, `[B, T, head size]`; none if missing. */
  rotary?: { cos: Tensor; sin: Tensor };
  /** Keys and values of P earlier positions, seen besides; the mask is `[B, 1, T, P + T]` then. */
  past?: KeyValues;
}

/** What queries look at: keys (rotated, if they are) and values, `[B, key heads, T, head size]`. */
export interface KeyValues {
  /** Keys. */
  keys: Tensor;
  /** Values. */
  values: Tensor;
}

/** A new attention layer. `outputStd` scales the output projection down in deep networks. */
export function makeAttention(
  random: Random,
  width: number,
  heads: number,
  options: { bias?: boolean; keyHeads?: number; outputStd?: number } = {},
): Attention {
  const keyHeads = options.keyHeads ?? heads;
  if (width % heads !== 0 || heads % keyHeads !== 0) {
    throw new RangeError(
      `attention of width ${width}: ${heads} heads must divide it, and ${keyHeads} key heads the heads`,
    );
  }
  const size = width / heads;
  return {
    qkv: makeLinear(random, width, (heads + 2 * keyHeads) * size, { bias: options.bias }),
    output: makeLinear(random, width, width, { bias: options.bias, std: options.outputStd }),
  };
}

/** Self-attention. @param x `[B, T, D]` @returns `[B, T, D]` */
export function applyAttention(layer: Attention, x: Tensor, use: AttentionUse): Tensor {
  return selfAttention(layer, x, use).output;
}

/**
 * Self-attention and how much each query looks at each key. The weights decide the head size, which
 * need not be D / heads.
 *
 * @param x `[B, T, D]` @returns output `[B, T, D]`, probabilities `[B, heads, T, T]`, and the keys and
 * values of these positions, for a cache
 * @throws {RangeError} if the heads do not divide the projections.
 */
export function selfAttention(
  layer: Attention,
  x: Tensor,
  use: AttentionUse,
): { output: Tensor; probabilities: Tensor; present: KeyValues } {
  const [b, t] = x.shape;
  const { heads, keyHeads = heads } = use;
  const size = layer.qkv.weight.shape[0] / (heads + 2 * keyHeads);
  if (!Number.isInteger(size)) {
    throw new RangeError(
      `attention: ${heads} query heads and twice ${keyHeads} key heads do not divide the ` +
        `projections ${layer.qkv.weight}`,
    );
  }
  const all = reshape(applyLinear(layer.qkv, x), [b, t, heads + 2 * keyHeads, size]);
  const part = (from: number, count: number) =>
    permute(slice(all, undefined, undefined, { start: from, end: from + count }), [0, 2, 1, 3]);
  let q = part(0, heads), k = part(heads, keyHeads);
  const v = part(heads + keyHeads, keyHeads);
  if (use.rotary) {
    q = applyRotary(q, use.rotary.cos, use.rotary.sin);
    k = applyRotary(k, use.rotary.cos, use.rotary.sin);
  }
  const { past, mask } = use;
  const keys = past ? [past.keys, k] : k, values = past ? [past.values, v] : v;
  const { output, probabilities } = attention(q, keys, values, { mask });
  const joined = reshape(permute(output, [0, 2, 1, 3]), [b, t, heads * size]);
  const present = { keys: k, values: v };
  return { output: applyLinear(layer.output, joined), probabilities, present };
}

/** Two linear layers with an activation between them. */
export interface Mlp {
  /** Widening layer. */
  up: Linear;
  /** Layer to the output width. */
  down: Linear;
}

/** A new MLP with biases. */
export function makeMlp(
  random: Random,
  inputs: number,
  hidden: number,
  outputs: number,
  options: { outputStd?: number } = {},
): Mlp {
  return {
    up: makeLinear(random, inputs, hidden, { bias: true }),
    down: makeLinear(random, hidden, outputs, { bias: true, std: options.outputStd }),
  };
}

/**
 * down(activation(up(x))).
 *
 * @param x `[..., in]` @param activation default GELU @returns `[..., out]`
 */
export function applyMlp(
  layer: Mlp,
  x: Tensor,
  activation: (x: Tensor) => Tensor = gelu,
): Tensor {
  return applyLinear(layer.down, activation(applyLinear(layer.up, x)));
}
