/**
 * Published language models by their own names of weights: Llama, Phi-3, Mixtral (Hugging Face
 * transformers 4.45, `modeling_llama.py`, `modeling_phi3.py`, `modeling_mixtral.py`), and the paper authors' mixture on
 * Phi-3. They become this library's language model, so that all of its tools work on them.
 */
import {
  checkTable,
  dense,
  type FeedForward,
  IMAGE,
  type PoolTable,
  TEXT,
  vanillaMoe,
} from "../moe/mod.ts";
import type { Linear } from "../nn/mod.ts";
import { cat, equal, full, iota, stack, type Tensor, where, zeros } from "../tensor/mod.ts";
import type { LvlmConfig } from "./config.ts";
import {
  applyLanguage,
  type ApplyOptions,
  embed,
  type Language,
  type LanguageBlock,
  type LanguageInputs,
  type LvlmOutputs,
} from "./lvlm.ts";
import {
  LANGUAGE_TYPES,
  languageConfig,
  numberOf,
  type PublishedConfig,
  sizeIn,
  withDefaults,
} from "./published_config.ts";

/** Tensors by their published names. */
export type Weights = ReadonlyMap<string, Tensor>;

/** A published language model. */
export interface PublishedLanguage {
  /** Sizes, and how tokens are typed. */
  readonly config: Pick<LvlmConfig, "language" | "visionBoundary">;
  /** The weights. Matrices that are published in parts are joined. */
  readonly language: Language;
  /** Coefficients of the balancing losses in its loss, by router; empty for a dense model. */
  readonly coefficients: readonly number[];
}

/** A tensor by name. @throws {RangeError} if there is none. */
export function weightOf(weights: Weights, name: string): Tensor {
  const t = weights.get(name);
  if (!t) throw new RangeError(`the weights lack "${name}"`);
  return t;
}

/** Several linear layers as one, their outputs one after the other. */
export function joinedLinear(weights: Weights, names: readonly string[]): Linear {
  const weight = names.map((name) => weightOf(weights, `${name}.weight`));
  const biases = names.map((name) => weights.get(`${name}.bias`));
  const bias = biases.filter((b) => b !== undefined);
  if (bias.length !== 0 && bias.length !== names.length) {
    throw new RangeError(`of ${names.join(", ")} only ${bias.length} have a bias`);
  }
  if (names.length === 1) {
    return bias.length ? { weight: weight[0], bias: bias[0] } : { weight: weight[0] };
  }
  return bias.length ? { weight: cat(weight), bias: cat(bias) } : { weight: cat(weight) };
}

/**
 * A language model made of published weights.
 *
 * @param config its `config.json` @param prefix of all names, such as `language_model.`
 * @throws {RangeError} if a tensor is missing or misshapen, or the configuration asks for something
 * that {@linkcode languageConfig} refuses. @throws {SyntaxError} if the configuration is malformed.
 */
export function publishedLanguage(
  config: PublishedConfig,
  weights: Weights,
  prefix = "",
): PublishedLanguage {
  const language = languageConfig(config), c = withDefaults(config, LANGUAGE_TYPES);
  const get = (name: string) => weightOf(weights, `${prefix}${name}`);
  const embedding = get("model.embed_tokens.weight");
  const { vocabulary, width } = language;
  if (embedding.shape.join() !== [vocabulary, width].join()) {
    throw new RangeError(
      `model.embed_tokens.weight is ${embedding}, config.json says [${vocabulary}, ${width}]`,
    );
  }
  const head = c.tie_word_embeddings ? undefined : weights.get(`${prefix}lm_head.weight`);
  return {
    coefficients: coefficientsOf(c),
    config: { visionBoundary: "shifted", language },
    language: {
      embedding,
      blocks: Array.from(
        { length: language.layers },
        (_, i) => publishedBlock(c, weights, `${prefix}model.layers.${i}`),
      ),
      norm: { weight: get("model.norm.weight") },
      head: { weight: head ?? embedding },
    },
  };
}

/** A block made of published weights. @param layer its prefix, such as `model.layers.0` */
export function publishedBlock(
  config: PublishedConfig,
  weights: Weights,
  layer: string,
): LanguageBlock {
  return {
    norm1: { weight: weightOf(weights, `${layer}.input_layernorm.weight`) },
    attention: attentionOf(weights, `${layer}.self_attn`),
    norm2: { weight: weightOf(weights, `${layer}.post_attention_layernorm.weight`) },
    ffn: feedForward(config, weights, layer),
  };
}

/**
 * Of Mixtral, or of the authors' text and image routers; 0 where the published code leaves the loss
 * out, which is where it does not keep the router's outputs.
 */
function coefficientsOf(c: PublishedConfig): number[] {
  const coefficient = (router: string) =>
    c[`output_${router}router_logits`] === false ? 0 : numberOf(c, `${router}router_aux_loss_coef`);
  if (c.vis_router_aux_loss_coef !== undefined) return ["lan_", "vis_"].map(coefficient);
  return c.router_aux_loss_coef === undefined ? [] : [coefficient("")];
}

/** The projections in one matrix, as Phi-3 has them. */
function attentionOf(weights: Weights, prefix: string) {
  const fused = weights.has(`${prefix}.qkv_proj.weight`);
  const names = fused ? ["qkv_proj"] : ["q_proj", "k_proj", "v_proj"];
  return {
    qkv: joinedLinear(weights, names.map((name) => `${prefix}.${name}`)),
    output: joinedLinear(weights, [`${prefix}.o_proj`]),
  };
}

/** Dense, Mixtral's experts, or the authors' with a router for each modality. */
function feedForward(c: PublishedConfig, weights: Weights, layer: string): FeedForward {
  const sparse = `${layer}.block_sparse_moe`, mlp = `${layer}.mlp`;
  const names = ["gate_proj", "up_proj", "down_proj"];
  const router = weights.get(`${sparse}.gate.weight`),
    image = weights.get(`${mlp}.gate_vis.weight`);
  if (router) {
    const experts = expertsOf(weights, `${sparse}.experts`, ["w1", "w3", "w2"]);
    const topK = sizeIn(c, "num_experts_per_tok");
    return { table: vanillaMoe({ experts: count(experts), topK }), routers: [router], ...experts };
  }
  const experts = expertsOf(weights, `${mlp}.experts`, names, image ? undefined : mlp);
  if (!image) return { table: dense(), routers: [], ...experts };
  const text = weightOf(weights, `${mlp}.gate.weight`);
  const topK = sizeIn(c, "num_experts_per_tok");
  const table = authorsTable(count(experts), text.shape[0], image.shape[0], topK);
  return { table, routers: [text, image], ...experts };
}

/** SwiGLU networks; stacked along a first axis where there are several. */
type Experts = Pick<FeedForward, "gateUp" | "down">;

/** Number of stacked experts. */
const count = ({ down }: Experts): number => down.shape[0];

/**
 * The experts of a layer, stacked: as they are if they were joined before (see `joinedTensors()`),
 * else `prefix.0`, `prefix.1`, … as far as there are any, or the only one.
 *
 * @param names of the gate, up and down projections @param only prefix of the only expert
 */
function expertsOf(
  weights: Weights,
  prefix: string,
  names: readonly string[],
  only?: string,
): Experts {
  const gateUp = weights.get(`${prefix}.gate_up_proj`);
  if (gateUp) return { gateUp, down: weightOf(weights, `${prefix}.down_proj`) };
  const found: Experts[] = [];
  if (only) found.push(expert(weights, only, names));
  while (!only && weights.has(`${prefix}.${found.length}.${names[2]}.weight`)) {
    found.push(expert(weights, `${prefix}.${found.length}`, names));
  }
  if (found.length === 0) throw new RangeError(`the weights lack "${prefix}.0.${names[2]}.weight"`);
  return { gateUp: stack(found.map((e) => e.gateUp)), down: stack(found.map((e) => e.down)) };
}

function expert(weights: Weights, prefix: string, names: readonly string[]): Experts {
  const [gate, up, down] = names.map((name) => `${prefix}.${name}.weight`);
  return {
    gateUp: weights.get(`${prefix}.gate_up_proj.weight`) ??
      cat([weightOf(weights, gate), weightOf(weights, up)]),
    down: weightOf(weights, down),
  };
}

/** The authors' order of experts: vision, shared, language; the pools are their ends. */
function authorsTable(count: number, text: number, image: number, topK: number): PoolTable {
  const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
  const vision = range(0, image), language = range(count - text, count);
  const counts = { vision: 0, shared: 0, language: 0 };
  return checkTable({
    variant: "moiie",
    experts: range(0, count).map((e) => {
      const shared = vision.includes(e) && language.includes(e);
      const group = shared ? "shared" : vision.includes(e) ? "vision" : "language";
      return { name: `${group[0].toUpperCase()}${++counts[group]}`, group } as const;
    }),
    pools: [
      { modality: "text", experts: language, router: 0 },
      { modality: "image", experts: vision, router: 1 },
    ],
    topK,
    renormalise: true,
  });
}

/** What a published language model is given; tokens, or embeddings in their place. */
export interface PublishedInputs {
  /** `[B, T]` i32 */
  tokens?: Tensor;
  /** `[B, T, D]`, in place of the tokens' embeddings. */
  embeddings?: Tensor;
  /** `[B, T]` i32, 0 for padding, on either side. Default none. */
  mask?: Tensor;
  /** `[B, T]` i32. Default 0, 1, 2, … in every row, padding counted, as Hugging Face. */
  positions?: Tensor;
  /** `[B, T]` i32: 1 image, 0 text. Default text. */
  modality?: Tensor;
}

/**
 * Applies a published language model.
 *
 * @throws {RangeError} if there are neither tokens nor embeddings, or shapes do not fit.
 */
export function applyPublishedLanguage(
  { language, config }: Pick<PublishedLanguage, "language" | "config">,
  inputs: PublishedInputs,
  options: ApplyOptions = {},
): LvlmOutputs {
  const { tokens, embeddings } = inputs;
  const x = embeddings ?? (tokens && embed(language, tokens, undefined));
  if (!x) throw new RangeError("applyPublishedLanguage: give tokens or embeddings");
  return applyLanguage(language, config, x, completeInputs(x, inputs), options);
}

/**
 * Inputs with their defaults. @param x the embeddings `[B, T, D]`
 *
 * @throws {RangeError} if shapes do not fit.
 */
export function completeInputs(x: Tensor, inputs: PublishedInputs): LanguageInputs {
  const [batch, length] = x.shape, shape = [batch, length];
  for (const [name, t] of Object.entries(inputs)) {
    if (t && t.shape.slice(0, 2).join() !== shape.join()) {
      throw new RangeError(`applyPublishedLanguage: ${name} ${t} must begin with [${shape}]`);
    }
  }
  const valid = inputs.mask ?? full(shape, 1, "i32");
  return {
    tokens: inputs.tokens ?? zeros(shape, "i32"),
    positions: inputs.positions ?? iota(shape, 1),
    segments: where(equal(valid, 0), -1, zeros(shape, "i32")),
    modality: inputs.modality ?? full(shape, TEXT, "i32"),
    valid,
  };
}

/** `[B, T]` i32 modality of tokens: image where they are the image token. */
export function imageModality(tokens: Tensor, imageToken: number): Tensor {
  return where(equal(tokens, imageToken), IMAGE, full(tokens.shape, TEXT, "i32"));
}
