/**
 * Encoders: transformers that turn pieces of an input, such as the patches of a picture or the frames of
 * a sound, into tokens (Dosovitskiy et al. 2021). Every piece sees every other.
 */
import {
  applyAttention,
  applyLinear,
  applyMlp,
  applyNorm,
  type Attention,
  type Linear,
  makeAttention,
  makeLinear,
  makeMlp,
  makeNorm,
  type Mlp,
  type Norm,
  normal,
} from "../nn/mod.ts";
import { add, cast, permute, type Random, reshape, type Tensor } from "../tensor/mod.ts";
import { imageTokens, type VisionConfig } from "./config.ts";

/** One block of an encoder. */
export interface VisionBlock {
  /** Norm before attention. */
  norm1: Norm;
  /** Self-attention, every token sees every token. */
  attention: Attention;
  /** Norm before the MLP. */
  norm2: Norm;
  /** GELU MLP. */
  mlp: Mlp;
}

/** An encoder; of pictures if nothing else is said. */
export interface Vision {
  /** Pieces to tokens, `[W, inputs]`; of pictures 3 p² numbers a patch. */
  patches: Linear;
  /** `[pieces, W]` */
  position: Tensor;
  /** The blocks. */
  blocks: VisionBlock[];
  /** Last norm. */
  norm: Norm;
}

/** Sizes of an encoder. */
export interface EncoderConfig extends Omit<VisionConfig, "imageSize" | "patch"> {
  /** Numbers of each piece. */
  inputs: number;
  /** Pieces of an input, one token each. */
  tokens: number;
}

/** A new encoder with random weights. */
export function makeEncoder(random: Random, c: EncoderConfig): Vision {
  const outputStd = 1 / Math.sqrt(c.width * 2 * c.layers);
  return {
    patches: makeLinear(random, c.inputs, c.width, { bias: true }),
    position: normal(random, [c.tokens, c.width], 0.02),
    blocks: Array.from({ length: c.layers }, () => ({
      norm1: makeNorm(c.width, { bias: true }),
      attention: makeAttention(random, c.width, c.heads, { bias: true, outputStd }),
      norm2: makeNorm(c.width, { bias: true }),
      mlp: makeMlp(random, c.width, c.hidden, c.width, {
        outputStd: 1 / Math.sqrt(c.hidden * 2 * c.layers),
      }),
    })),
    norm: makeNorm(c.width, { bias: true }),
  };
}

/**
 * Tokens of inputs in pieces.
 *
 * @param pieces `[B, tokens, inputs]` @returns `[B, tokens, width]`
 * @throws {RangeError} if the pieces do not fit the encoder.
 */
export function applyEncoder(
  model: Vision,
  { heads }: Pick<EncoderConfig, "heads">,
  pieces: Tensor,
): Tensor {
  const [tokens] = model.position.shape, [, inputs] = model.patches.weight.shape;
  if (pieces.rank !== 3 || pieces.shape[1] !== tokens || pieces.shape[2] !== inputs) {
    throw new RangeError(`encoder: pieces ${pieces} must be [B, ${tokens}, ${inputs}]`);
  }
  let x = applyLinear(model.patches, pieces);
  x = add(x, cast(model.position, x.dtype));
  for (const block of model.blocks) {
    const h = applyNorm(block.norm1, x, 1e-6);
    x = add(x, applyAttention(block.attention, h, { heads }));
    x = add(x, applyMlp(block.mlp, applyNorm(block.norm2, x, 1e-6)));
  }
  return applyNorm(model.norm, x, 1e-6);
}

/** The encoder that looks at pictures as a vision configuration says. */
export function visionEncoder({ imageSize, patch, ...sizes }: VisionConfig): EncoderConfig {
  return { ...sizes, inputs: 3 * patch ** 2, tokens: imageTokens({ imageSize, patch }) };
}

/** A new vision encoder with random weights. */
export function makeVision(random: Random, c: VisionConfig): Vision {
  return makeEncoder(random, visionEncoder(c));
}

/**
 * Patches of pictures, row by row: a convolution whose stride is its kernel begins so.
 *
 * @param pixels `[B, C, H, W]` @param patch side of a patch @returns `[B, patches, C p²]`
 */
export function cutPatches(pixels: Tensor, patch: number): Tensor {
  const [b, channels, height, width] = pixels.shape;
  const rows = height / patch, columns = width / patch;
  // [B, C, n, p, n, p] -> [B, n, n, C, p, p]
  const split = reshape(pixels, [b, channels, rows, patch, columns, patch]);
  return reshape(
    permute(split, [0, 2, 4, 1, 3, 5]),
    [b, rows * columns, channels * patch ** 2],
  );
}

/** Vision tokens of pictures. @param pixels `[B, 3, H, W]` @returns `[B, patches, width]` */
export function applyVision(model: Vision, c: VisionConfig, pixels: Tensor): Tensor {
  const [, channels, height, width] = pixels.shape;
  if (pixels.rank !== 4 || channels !== 3 || height !== c.imageSize || width !== c.imageSize) {
    throw new RangeError(`vision: pixels ${pixels} must be [B, 3, ${c.imageSize}, ${c.imageSize}]`);
  }
  return applyEncoder(model, c, cutPatches(pixels, c.patch));
}
