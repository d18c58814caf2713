/**
 * Published vision transformers: CLIP's (Radford et al. 2021) and SigLIP's (Zhai et al. 2023), as in
 * Hugging Face transformers 4.45, `models/clip/modeling_clip.py`, `models/siglip/modeling_siglip.py`.
 */
import {
  applyLinear,
  applyMlp,
  applyNorm,
  type Linear,
  type Mlp,
  type Norm,
  selfAttention,
} from "../nn/mod.ts";
import {
  add,
  attention,
  cast,
  cat,
  expand,
  gelu,
  geluTanh,
  narrow,
  permute,
  quickGelu,
  relu,
  reshape,
  silu,
  slice,
  type Tensor,
  unknownName,
} from "../tensor/mod.ts";
import type { Vision } from "./encoder.ts";

/** Activations by their published names (`hidden_act`). */
const ACTIVATIONS = {
  gelu,
  gelu_pytorch_tanh: geluTanh,
  gelu_new: geluTanh,
  quick_gelu: quickGelu,
  relu,
  silu,
} as const;

/** An activation by its published name. @throws {RangeError} if it is unknown. */
export function activationNamed(name: string): (x: Tensor) => Tensor {
  if (!Object.hasOwn(ACTIVATIONS, name)) {
    throw unknownName("hidden_act", name, Object.keys(ACTIVATIONS));
  }
  return ACTIVATIONS[name as keyof typeof ACTIVATIONS];
}

/** Sizes of a published vision transformer. */
export interface TowerConfig {
  /** Height and width of the picture in pixels. */
  imageSize: number;
  /** Height and width of a patch in pixels; what is left at the right and below is not looked at. */
  patch: number;
  /** Width of the tokens. */
  width: number;
  /** Number of blocks. */
  layers: number;
  /** Attention heads. */
  heads: number;
  /** Inner width of the MLP. */
  hidden: number;
  /** Published name of the MLP's activation. */
  activation: string;
  /** ε of the norms. */
  epsilon: number;
}

/** One query that looks at all tokens: SigLIP's pooling head. */
export interface AttentionPool {
  /** The query, `[1, 1, D]`. */
  probe: Tensor;
  /** Projections of query, keys and values, `[3D, D]`. */
  qkv: Linear;
  /** `[D, D]` */
  output: Linear;
  /** Norm before the MLP. */
  norm: Norm;
  /** The MLP. */
  mlp: Mlp;
}

/** A published vision transformer: a plain tree of parameters. */
export interface VisionTower extends Vision {
  /** CLIP: a token before the patches, `[D]`, that stands for the picture. */
  classToken?: Tensor;
  /** CLIP: norm before the first block. */
  preNorm?: Norm;
  /** SigLIP: the pooling head. */
  pool?: AttentionPool;
}

/** What a vision transformer gives; T is the number of patches, one more with a class token. */
export interface TowerOutputs {
  /** The embeddings and the result of every block, `[B, T, D]` each; no last norm. */
  hiddenStates: Tensor[];
  /** How much each token looks at each, `[B, heads, T, T]` for every block. */
  attentions: Tensor[];
  /** `[B, T, D]`: CLIP's last block, SigLIP's normalised (`last_hidden_state`). */
  last: Tensor;
  /** `[B, D]`: CLIP's normalised class token, or what SigLIP's head makes of all tokens. */
  pooled?: Tensor;
}

/** Patches to tokens, `[B, patches, D]`, row by row. */
function embedPatches(patches: Linear, c: TowerConfig, pixels: Tensor): Tensor {
  const { patch, imageSize } = c;
  const [b, channels, height, width] = pixels.shape;
  if (
    pixels.rank !== 4 || height !== imageSize || width !== imageSize ||
    channels * patch ** 2 !== patches.weight.shape[1]
  ) {
    throw new RangeError(
      `vision tower: pixels ${pixels} must be [B, ${patches.weight.shape[1] / patch ** 2}, ` +
        `${imageSize}, ${imageSize}]`,
    );
  }
  const n = Math.floor(imageSize / patch), used = n * patch;
  const whole = slice(pixels, undefined, undefined, { end: used }, { end: used });
  // [B, C, n, p, n, p] -> [B, n, n, C, p, p]: a convolution whose stride is its kernel
  const cut = permute(reshape(whole, [b, channels, n, patch, n, patch]), [0, 2, 4, 1, 3, 5]);
  return applyLinear(patches, reshape(cut, [b, n * n, channels * patch ** 2]));
}

/**
 * Applies a vision transformer.
 *
 * @param pixels `[B, 3, H, W]`, as the model's image processor makes them
 * @param options `layers`: how many blocks to compute, all by default. With fewer, `last` and `pooled`
 * are those of the blocks computed.
 * @throws {RangeError} if the pixels do not fit.
 */
export function applyVisionTower(
  tower: VisionTower,
  c: TowerConfig,
  pixels: Tensor,
  options: { layers?: number } = {},
): TowerOutputs {
  const activation = activationNamed(c.activation);
  let x = embedPatches(tower.patches, c, cast(pixels, tower.patches.weight.dtype));
  if (tower.classToken) {
    x = cat([expand(reshape(tower.classToken, [1, 1, c.width]), [x.shape[0], 1, c.width]), x], 1);
  }
  if (x.shape[1] !== tower.position.shape[0]) {
    throw new RangeError(
      `vision tower: ${x.shape[1]} tokens of the picture, but positions ${tower.position}`,
    );
  }
  x = add(x, tower.position);
  if (tower.preNorm) x = applyNorm(tower.preNorm, x, c.epsilon);
  const hiddenStates = [x], attentions: Tensor[] = [];
  for (const block of tower.blocks.slice(0, options.layers)) {
    const h = applyNorm(block.norm1, x, c.epsilon);
    const { output, probabilities } = selfAttention(block.attention, h, { heads: c.heads });
    x = add(x, output);
    x = add(x, applyMlp(block.mlp, applyNorm(block.norm2, x, c.epsilon), activation));
    hiddenStates.push(x);
    attentions.push(probabilities);
  }
  if (tower.classToken) {
    const first = reshape(narrow(x, 1, 0, 1), [x.shape[0], c.width]);
    return { hiddenStates, attentions, last: x, pooled: applyNorm(tower.norm, first, c.epsilon) };
  }
  const last = applyNorm(tower.norm, x, c.epsilon);
  const pooled = tower.pool && applyPool(tower.pool, c, last, activation);
  return { hiddenStates, attentions, last, ...(pooled && { pooled }) };
}

/** SigLIP's pooling head. @param x `[B, T, D]` @returns `[B, D]` */
function applyPool(
  pool: AttentionPool,
  c: TowerConfig,
  x: Tensor,
  activation: (x: Tensor) => Tensor,
): Tensor {
  const [b, , width] = x.shape, { heads } = c, size = width / heads;
  const { weight, bias } = pool.qkv;
  const projected = (x: Tensor, part: number) => {
    const rows = (t: Tensor) => narrow(t, 0, part * width, width);
    const y = applyLinear({ weight: rows(weight), bias: bias && rows(bias) }, x);
    return permute(reshape(y, [b, x.shape[1], heads, size]), [0, 2, 1, 3]);
  };
  const query = projected(expand(pool.probe, [b, 1, width]), 0);
  const { output } = attention(query, projected(x, 1), projected(x, 2));
  const y = applyLinear(pool.output, reshape(permute(output, [0, 2, 1, 3]), [b, 1, width]));
  const h = add(y, applyMlp(pool.mlp, applyNorm(pool.norm, y, c.epsilon), activation));
  return reshape(h, [b, width]);
}

/** Which features of a vision transformer a language model is given. */
export interface FeatureChoice {
  /** Number of the hidden state, from the end if negative; -2 in LLaVA and the paper. */
  layer: number;
  /** How many tokens to leave out at the beginning: 1 for patches without a class token. */
  skip: number;
}

/**
 * The features of one layer, `[B, T, D]`. Later blocks are not computed.
 *
 * @throws {RangeError} if there is no such layer, or the pixels do not fit.
 */
export function visionFeatures(
  tower: VisionTower,
  c: TowerConfig,
  pixels: Tensor,
  choice: FeatureChoice,
): Tensor {
  const states = tower.blocks.length + 1, { layer } = choice;
  const at = layer < 0 ? states + layer : layer;
  if (!(Number.isInteger(at) && at >= 0 && at < states)) {
    throw new RangeError(`vision features: layer ${layer} of ${states} hidden states`);
  }
  const state = applyVisionTower(tower, c, pixels, { layers: at }).hiddenStates[at];
  const { skip } = choice;
  return skip === 0 ? state : narrow(state, 1, skip, state.shape[1] - skip);
}
