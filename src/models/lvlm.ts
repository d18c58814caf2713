/**
 * The vision-language model, all of it: vision transformer, two-layer connector, decoder language
 * model with a feed-forward layer of any variant (paper section 2.2 and figure 2).
 */
import {
  applyLinear,
  applyMlp,
  applyNorm,
  type Attention,
  type AttentionUse,
  type KeyValues,
  type Linear,
  makeAttention,
  makeLinear,
  makeMlp,
  makeNorm,
  type Mlp,
  type Norm,
  normal,
  parameters,
  selfAttention,
} from "../nn/mod.ts";
import {
  applyFeedForward,
  dense,
  type FeedForward,
  IMAGE,
  makeFeedForward,
  type Routing,
  TEXT,
} from "../moe/mod.ts";
import {
  add,
  cast,
  cat,
  checkpoint,
  equal,
  expand,
  greaterEqual,
  iota,
  lessEqual,
  logicalAnd,
  logicalOr,
  mul,
  narrow,
  notEqual,
  pad,
  type Random,
  reshape,
  squeeze,
  sum,
  take,
  type Tensor,
  unsqueeze,
  where,
} from "../tensor/mod.ts";
import type { LanguageConfig, LvlmConfig } from "./config.ts";
import { applyVision, makeVision, type Vision } from "./encoder.ts";
import { rotary } from "./rope.ts";

/** One block of the language model. */
export interface LanguageBlock {
  /** Norm before attention. */
  norm1: Norm;
  /** Causal self-attention with rotary embedding. */
  attention: Attention;
  /** Norm before the feed-forward layer. */
  norm2: Norm;
  /** Dense or mixture of experts. */
  ffn: FeedForward;
}

/** The language model. */
export interface Language {
  /** `[vocabulary, D]` */
  embedding: Tensor;
  /** The blocks. */
  blocks: LanguageBlock[];
  /** Last norm. */
  norm: Norm;
  /** Tokens to logits, `[vocabulary, D]`. */
  head: Linear;
}

/** A vision-language model: a plain tree of parameters. */
export interface Lvlm {
  /** How it was built. */
  config: LvlmConfig;
  /** Vision encoder. */
  vision: Vision;
  /** From vision tokens to language tokens. */
  connector: Mlp;
  /** Language model. */
  language: Language;
}

/** A new dense language model with random weights. */
export function makeLanguage(random: Random, c: LanguageConfig): Language {
  return {
    embedding: normal(random, [c.vocabulary, c.width], 0.5),
    blocks: Array.from({ length: c.layers }, () => ({
      norm1: makeNorm(c.width),
      attention: makeAttention(random, c.width, c.heads, {
        outputStd: 1 / Math.sqrt(c.width * 2 * c.layers),
      }),
      norm2: makeNorm(c.width),
      ffn: makeFeedForward(random, dense(), {
        width: c.width,
        hidden: c.hidden,
        outputStd: 1 / Math.sqrt(c.hidden * 2 * c.layers),
      }),
    })),
    norm: makeNorm(c.width),
    head: makeLinear(random, c.width, c.vocabulary),
  };
}

/** A new model, dense so far, with random weights; {@linkcode upcycle} gives it its experts. */
export function makeLvlm(random: Random, config: LvlmConfig): Lvlm {
  const model: Lvlm = {
    config,
    vision: makeVision(random.fork("vision"), config.vision),
    connector: makeMlp(
      random.fork("connector"),
      config.vision.width,
      config.language.width,
      config.language.width,
    ),
    language: makeLanguage(random.fork("language"), config.language),
  };
  parameters(model); // names them by path, for error messages
  return model;
}

/** The layers of a model that hold experts by now, 0-based. */
export function modelMixtures(model: Lvlm): number[] {
  return model.language.blocks.flatMap((b, i) => b.ffn.table.experts.length > 1 ? [i] : []);
}

/** What the language model is given besides the tokens: see `Batch` of the data module. */
export interface LanguageInputs {
  /** `[B, T]` i32; image slots hold the image token. */
  tokens: Tensor;
  /** `[B, T]` i32 */
  positions: Tensor;
  /** `[B, T]` i32: 0 image, 1.. texts that see the image and themselves only, -1 padding. */
  segments: Tensor;
  /** `[B, T]` i32: 1 image, 0 text; more where the pool table has more modalities. */
  modality: Tensor;
  /** `[B, T]` i32: 0 padding. */
  valid: Tensor;
  /** `[mixture layers, B × T, D]` factors on router inputs, in training only. */
  routerJitter?: Tensor;
  /** `[mixture layers, B × T, columns]` noise on router outputs, in training only. */
  routerNoise?: Tensor;
}

/** P earlier positions that a language model has seen. */
export interface Past {
  /** For every block, `[B, key heads, P, head size]`. */
  readonly layers: readonly KeyValues[];
  /** True where a new position may see an earlier one, `[B, 1, T, P]`. */
  readonly mask: Tensor;
}

/** Inputs of the whole model. */
export interface LvlmInputs extends LanguageInputs {
  /** `[B, 3, H, W]`, from -1 to 1. */
  pixels: Tensor;
}

/** How a model is applied. */
export interface ApplyOptions {
  /**
   * Compute each block of the language model again for its gradient instead of keeping its
   * intermediate results: about a third more time for far less memory. Default false.
   */
  recompute?: boolean;
  /** Give the hidden states and the attention probabilities too. Default false. */
  hidden?: boolean;
  /** What came before these positions, if it is not computed again: see `KvCache`. Default nothing. */
  past?: Past;
  /** Give the keys and values of every block too, for a cache. Default false. */
  present?: boolean;
  /** Logits of the last position of every row only. Default false. */
  lastLogits?: boolean;
}

/** What a forward pass gives. */
export interface LvlmOutputs {
  /** `[B × T, vocabulary]`, or `[B, vocabulary]` of the last positions. */
  logits: Tensor;
  /** One for each mixture layer. */
  routings: Routing[];
  /** The layers they belong to, 0-based. */
  moeLayers: number[];
  /**
   * If asked for: the embeddings and the result of every block, `[B, T, D]` each; the last one is
   * normalised, as Hugging Face's `hidden_states`.
   */
  hiddenStates?: Tensor[];
  /** If asked for: how much each query looks at each key, `[B, heads, T, T]` for every block. */
  attentions?: Tensor[];
  /** If asked for: keys and values of these positions, for every block. */
  present?: KeyValues[];
}

/**
 * True where a query may see a key, `[B, 1, T, T]`: no later position, and of the row's texts only
 * the own one and the image.
 *
 * @param segments `[B, T]` i32, see `LanguageInputs`
 * @param window the key is one of the last so many positions, the query's own among them. Default any.
 * @param positions `[B, T]` i32, by which a window is measured. Default 0, 1, 2, …
 */
export function packedMask(segments: Tensor, window?: number, positions?: Tensor): Tensor {
  const [b, t] = segments.shape;
  const shape = [b, t, t];
  const query = expand(unsqueeze(segments, 2), shape), key = expand(unsqueeze(segments, 1), shape);
  const mine = logicalOr(equal(key, 0), logicalAnd(equal(key, query), greaterEqual(key, 0)));
  const earlier = lessEqual(iota(shape, 2), iota(shape, 1));
  const seen = logicalAnd(mine, earlier);
  if (window === undefined || window >= t) return unsqueeze(seen, 1);
  const near = positions
    ? greaterEqual(
      expand(unsqueeze(positions, 1), shape),
      expand(unsqueeze(add(positions, 1 - window), 2), shape),
    )
    : greaterEqual(iota(shape, 2), add(iota(shape, 1), 1 - window));
  return unsqueeze(logicalAnd(seen, near), 1);
}

/** What the blocks of one forward pass share. */
export interface BlockUse extends AttentionUse {
  /** ε of the norms. */
  epsilon: number;
  /** `[B × T]` i32, after the rule at the end of an image. */
  modality: Tensor;
  /** `[B × T]` i32: 0 padding. */
  valid: Tensor;
}

/** What the blocks share in a forward pass on embeddings `[B, T, D]`. */
export function blockUse(
  { language: c, visionBoundary }: Pick<LvlmConfig, "language" | "visionBoundary">,
  { shape: [b, t, width] }: Tensor,
  inputs: LanguageInputs,
  past?: Past,
): BlockUse {
  const own = packedMask(inputs.segments, c.slidingWindow, inputs.positions);
  return {
    heads: c.heads,
    keyHeads: c.keyHeads,
    mask: past ? cat([past.mask, own], -1) : own,
    rotary: rotary(
      { base: c.ropeBase, size: c.headSize ?? width / c.heads, scaling: c.ropeScaling },
      inputs.positions,
      inputs.valid,
    ),
    epsilon: c.epsilon,
    modality: reshape(tokenTypes(inputs.modality, visionBoundary), [b * t]),
    valid: reshape(inputs.valid, [b * t]),
  };
}

/** One block of the language model. @param x `[B, T, D]` @returns output `[B, T, D]` */
export function applyBlock(
  block: LanguageBlock,
  x: Tensor,
  use: BlockUse,
  training: { jitter?: Tensor; noise?: Tensor } = {},
): { output: Tensor; probabilities: Tensor; present: KeyValues; routing: Routing | undefined } {
  const [b, t, width] = x.shape;
  const seen = selfAttention(block.attention, applyNorm(block.norm1, x, use.epsilon), use);
  x = add(x, seen.output);
  const rows = reshape(applyNorm(block.norm2, x, use.epsilon), [b * t, width]);
  const { modality, valid } = use;
  const { y, routing } = applyFeedForward(block.ffn, rows, {
    modality,
    valid,
    skipPadding: true,
    ...training,
  });
  return {
    output: add(x, reshape(y, [b, t, width])),
    probabilities: seen.probabilities,
    present: seen.present,
    routing,
  };
}

/**
 * The language model on given embeddings.
 *
 * @param x `[B, T, D]` token embeddings, image tokens in place
 */
export function applyLanguage(
  model: Language,
  config: Pick<LvlmConfig, "language" | "visionBoundary">,
  x: Tensor,
  inputs: LanguageInputs,
  options: ApplyOptions = {},
): LvlmOutputs {
  const { language: c } = config;
  const [b, t, width] = x.shape;
  const { past, recompute = false, hidden = false, lastLogits = false } = options;
  const use = blockUse(config, x, inputs, past);
  const routings: Routing[] = [], layers: number[] = [];
  const hiddenStates = [x], attentions: Tensor[] = [], presents: KeyValues[] = [];
  const keep = (part: (x: Tensor) => Tensor) => recompute ? checkpoint(part) : part;
  model.blocks.forEach((block, i) => {
    x = keep((x) => {
      const noise = (all: Tensor | undefined) =>
        all && squeeze(narrow(all, 0, routings.length, 1), 0);
      const isMixture = block.ffn.routers.length > 0;
      const mine = { ...use, past: past?.layers[i] };
      const { output, probabilities, present, routing } = applyBlock(block, x, mine, {
        jitter: isMixture ? noise(inputs.routerJitter) : undefined,
        noise: isMixture ? noise(inputs.routerNoise) : undefined,
      });
      if (hidden) attentions.push(probabilities);
      if (options.present) presents.push(present);
      if (routing) {
        routings.push(routing);
        layers.push(i);
      }
      return output;
    })(x);
    if (hidden) hiddenStates.push(x);
  });
  const normalised = applyNorm(model.norm, x, c.epsilon);
  const read = lastLogits ? narrow(normalised, 1, t - 1, 1) : normalised;
  const logits = applyLinear(model.head, reshape(read, [b * read.shape[1], width]));
  const outputs = {
    logits,
    routings,
    moeLayers: layers,
    ...(options.present && { present: presents }),
  };
  if (!hidden) return outputs;
  return { ...outputs, hiddenStates: [...hiddenStates.slice(0, -1), normalised], attentions };
}

/** Image tokens by the chosen boundary rule: the published one drops each image's last token. */
export function tokenTypes(modality: Tensor, boundary: LvlmConfig["visionBoundary"]): Tensor {
  if (boundary === "exact") return modality;
  const [, t] = modality.shape;
  const next = pad(narrow(modality, 1, 1, t - 1), [0, 0], [0, 1]);
  const last = logicalAnd(equal(modality, IMAGE), notEqual(next, IMAGE));
  return where(last, TEXT, modality);
}

/** Embeddings with image features in the leading slots. @param image `[B, I, D]` */
export function embed(model: Language, tokens: Tensor, image: Tensor | undefined): Tensor {
  if (!image) return take(model.embedding, tokens);
  const slots = image.shape[1];
  const text = take(model.embedding, narrow(tokens, 1, slots, tokens.shape[1] - slots));
  return cat([image, cast(text, image.dtype)], 1);
}

/** The whole model: pictures and texts to logits. */
export function applyLvlm(
  model: Lvlm,
  inputs: LvlmInputs,
  options: ApplyOptions = {},
): LvlmOutputs {
  const vision = applyVision(model.vision, model.config.vision, inputs.pixels);
  const image = applyMlp(model.connector, vision);
  return applyLanguage(
    model.language,
    model.config,
    embed(model.language, inputs.tokens, image),
    inputs,
    options,
  );
}

/**
 * Stand-in for image tokens in language pretraining: each slot is the sum of the embeddings of the
 * words that lie there. @param words `[B, I, W]` i32, padded with 0 @returns `[B, I, D]`
 */
export function embedWordScenes(model: Language, words: Tensor): Tensor {
  const each = take(model.embedding, words);
  const shown = cast(greaterEqual(words, 1), "f32");
  return sum(mul(each, unsqueeze(shown, 3)), { axes: 2 });
}
