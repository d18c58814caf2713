/**
 * Reads the `config.json` of published models. Fields that a file leaves out have the defaults of the
 * configuration classes of Hugging Face transformers (its files `configuration_llama.py` and so on, 4.45).
 */
import { unknownName } from "../tensor/mod.ts";
import type { LanguageConfig } from "./config.ts";
import type { RopeScaling } from "./rope.ts";

/** A `config.json`, or a part of one such as its `text_config`. */
export type PublishedConfig = Readonly<Record<string, unknown>>;

/** Defaults by `model_type`. */
const DEFAULTS: Readonly<Record<string, PublishedConfig>> = {
  llama: {
    vocab_size: 32000,
    hidden_size: 4096,
    intermediate_size: 11008,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-6,
    rope_theta: 10000,
  },
  phi3: {
    vocab_size: 32064,
    hidden_size: 3072,
    intermediate_size: 8192,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    max_position_embeddings: 4096,
    original_max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
  },
  mixtral: {
    vocab_size: 32000,
    hidden_size: 4096,
    intermediate_size: 14336,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    max_position_embeddings: 4096 * 32,
    rms_norm_eps: 1e-5,
    rope_theta: 1e6,
    num_experts_per_tok: 2,
    router_aux_loss_coef: 0.001,
    output_router_logits: false,
  },
  clip_vision_model: {
    hidden_size: 768,
    intermediate_size: 3072,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    image_size: 224,
    patch_size: 32,
    hidden_act: "quick_gelu",
    layer_norm_eps: 1e-5,
  },
  siglip_vision_model: {
    hidden_size: 768,
    intermediate_size: 3072,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    image_size: 224,
    patch_size: 16,
    hidden_act: "gelu_pytorch_tanh",
    layer_norm_eps: 1e-6,
    vision_use_head: true,
  },
  llava: {
    image_token_index: 32000,
    projector_hidden_act: "gelu",
    vision_feature_select_strategy: "default",
    vision_feature_layer: -2,
  },
};

/** A part of a configuration that is an object. */
export function partOf(config: PublishedConfig, name: string): PublishedConfig {
  const part = config[name];
  if (part === null || typeof part !== "object" || Array.isArray(part)) {
    throw new SyntaxError(
      `config.json: ${name} should be an object, it is ${JSON.stringify(part)}`,
    );
  }
  return part as PublishedConfig;
}

/** A number of a configuration. @throws {SyntaxError} if it is none. */
export function numberOf(config: PublishedConfig, name: string): number {
  const value = config[name];
  if (typeof value !== "number" || !Number.isFinite(value)) {
    throw new SyntaxError(
      `config.json: ${name} should be a number, it is ${JSON.stringify(value)}`,
    );
  }
  return value;
}

/** A size of a configuration. @throws {SyntaxError} if it is no positive whole number. */
export function sizeIn(config: PublishedConfig, name: string): number {
  const value = numberOf(config, name);
  if (!(value > 0 && Number.isInteger(value))) {
    throw new SyntaxError(`config.json: ${name} = ${value} should be a positive whole number`);
  }
  return value;
}

/** A list of positive numbers. */
function factorsOf(config: PublishedConfig, name: string): number[] {
  const list = config[name];
  if (!Array.isArray(list) || !list.every((v) => typeof v === "number" && v > 0)) {
    throw new SyntaxError(`config.json: rope_scaling.${name} should be a list of positive numbers`);
  }
  return list;
}

/**
 * A configuration with the defaults of its model type.
 *
 * @throws {RangeError} if the type is not one of `types`; the nearest name is offered.
 */
export function withDefaults(config: PublishedConfig, types: readonly string[]): PublishedConfig {
  const type = String(config.model_type);
  if (!types.includes(type)) throw unknownName("model_type", type, types);
  return { ...DEFAULTS[type], ...config };
}

/**
 * Sizes at which a LLaVA looks at its pictures (S²), as `llavaConfig()` puts them into a configuration;
 * undefined if only at its tower's.
 *
 * @throws {SyntaxError} if they are no list of growing sizes that begins with the tower's.
 */
export function featureScales(config: PublishedConfig): number[] | undefined {
  const scales = config.vision_feature_scales;
  if (scales === undefined) return undefined;
  const { image_size: size } = partOf(config, "vision_config");
  const grow = Array.isArray(scales) && scales.length > 0 &&
    scales.every((v, i) => Number.isInteger(v) && v > (i === 0 ? 0 : scales[i - 1]));
  if (grow && scales[0] === size) return scales;
  throw new SyntaxError(
    `config.json: vision_feature_scales should be growing sizes from the tower's, ${size}, it is ` +
      JSON.stringify(scales),
  );
}

/** Language models that {@linkcode languageConfig} reads. */
export const LANGUAGE_TYPES: readonly string[] = ["llama", "phi3", "mixtral"];

/**
 * How a published model stretches its rotary embedding (field `rope_scaling`); undefined if not at
 * all.
 *
 * @throws {RangeError} if the kind is unknown. @throws {SyntaxError} if a field is missing.
 */
export function ropeScaling(config: PublishedConfig): RopeScaling | undefined {
  const { rope_scaling } = config;
  if (rope_scaling === null || rope_scaling === undefined) return undefined;
  const s = partOf(config, "rope_scaling");
  const kind = String(s.rope_type ?? s.type);
  switch (kind) {
    case "default":
      return undefined;
    case "linear":
      return { kind, factor: numberOf(s, "factor") };
    case "dynamic": {
      const positions = sizeIn(config, "max_position_embeddings");
      return { kind, factor: numberOf(s, "factor"), positions };
    }
    case "llama3":
      return {
        kind,
        factor: numberOf(s, "factor"),
        lowFrequency: numberOf(s, "low_freq_factor"),
        highFrequency: numberOf(s, "high_freq_factor"),
        positions: sizeIn(s, "original_max_position_embeddings"),
      };
    case "su": // the name of the first Phi-3 files
    case "longrope":
      return longrope(config, s);
  }
  throw unknownName("rope_scaling type", kind, ["linear", "dynamic", "llama3", "longrope"]);
}

function longrope(config: PublishedConfig, s: PublishedConfig): RopeScaling {
  const reach = sizeIn(config, "max_position_embeddings");
  const original = config.original_max_position_embeddings ?? s.original_max_position_embeddings;
  const positions = original === undefined ? reach : Number(original);
  const growth = original === undefined ? Number(s.factor ?? 1) : reach / positions;
  const grown = growth > 1 ? Math.sqrt(1 + Math.log(growth) / Math.log(positions)) : 1;
  return {
    kind: "longrope",
    short: factorsOf(s, "short_factor"),
    long: factorsOf(s, "long_factor"),
    positions,
    attentionFactor: s.attention_factor === undefined || s.attention_factor === null
      ? grown
      : numberOf(s, "attention_factor"),
  };
}

/**
 * Sizes of a published language model: Llama, Phi-3, Mixtral.
 *
 * @throws {RangeError} on what the library's language model does not have: another type,
 * another activation than SiLU, biases of the feed-forward layer, rotation of a part of a head. @throws {SyntaxError} if a field has another type than it should.
 */
export function languageConfig(config: PublishedConfig): LanguageConfig {
  const c = withDefaults(config, LANGUAGE_TYPES);
  const unsupported = (what: string) =>
    new RangeError(`config.json of ${c.model_type}: ${what} is not supported here`);
  if ((c.hidden_act ?? "silu") !== "silu") throw unsupported(`hidden_act = "${c.hidden_act}"`);
  if (c.mlp_bias) throw unsupported("mlp_bias");
  if ((c.partial_rotary_factor ?? 1) !== 1) throw unsupported("partial_rotary_factor");
  const width = sizeIn(c, "hidden_size"), heads = sizeIn(c, "num_attention_heads");
  const has = (name: string) => c[name] !== undefined && c[name] !== null;
  const keyHeads = has("num_key_value_heads") ? sizeIn(c, "num_key_value_heads") : heads;
  const headSize = has("head_dim") ? sizeIn(c, "head_dim") : width / heads;
  if (!Number.isInteger(headSize) || headSize % 2 !== 0 || heads % keyHeads !== 0) {
    throw new RangeError(
      `config.json of ${c.model_type}: ${heads} heads must divide the width ${width} into even ` +
        `sizes, and ${keyHeads} key heads must divide the heads`,
    );
  }
  const scaling = ropeScaling(c);
  return {
    vocabulary: sizeIn(c, "vocab_size"),
    width,
    layers: sizeIn(c, "num_hidden_layers"),
    heads,
    hidden: sizeIn(c, "intermediate_size"),
    ropeBase: numberOf(c, "rope_theta"),
    epsilon: numberOf(c, "rms_norm_eps"),
    keyHeads,
    headSize,
    ...(scaling && { ropeScaling: scaling }),
    ...(has("sliding_window") && { slidingWindow: sizeIn(c, "sliding_window") }),
  };
}
