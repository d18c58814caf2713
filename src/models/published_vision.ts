/** Vision towers made of published weights: CLIP and SigLIP by their own names. */
import { reshape } from "../tensor/mod.ts";
import type { VisionBlock } from "./encoder.ts";
import { numberOf, type PublishedConfig, sizeIn, withDefaults } from "./published_config.ts";
import { joinedLinear, weightOf, type Weights } from "./published_language.ts";
import type { AttentionPool, TowerConfig, VisionTower } from "./vision_tower.ts";

/** Vision models that {@linkcode publishedVision} reads. */
export const VISION_TYPES: readonly string[] = ["clip_vision_model", "siglip_vision_model"];

/** A published vision tower. */
export interface PublishedVision {
  /** Sizes. */
  readonly config: TowerConfig;
  /** The weights. Projections that are published apart are joined. */
  readonly tower: VisionTower;
}

/**
 * Sizes of a published vision tower.
 *
 * @throws {RangeError} on another model type. @throws {SyntaxError} on malformed fields.
 */
export function towerConfig(config: PublishedConfig): TowerConfig {
  const c = withDefaults(config, VISION_TYPES);
  const width = sizeIn(c, "hidden_size"), heads = sizeIn(c, "num_attention_heads");
  if (width % heads !== 0) {
    throw new RangeError(
      `config.json of ${c.model_type}: ${heads} heads do not divide the width ${width}`,
    );
  }
  return {
    imageSize: sizeIn(c, "image_size"),
    patch: sizeIn(c, "patch_size"),
    width,
    layers: sizeIn(c, "num_hidden_layers"),
    heads,
    hidden: sizeIn(c, "intermediate_size"),
    activation: String(c.hidden_act),
    epsilon: numberOf(c, "layer_norm_eps"),
  };
}

/**
 * A vision tower made of published weights.
 *
 * @param config its `config.json` @param prefix of all names, such as `vision_tower.`
 * @throws {RangeError} if a tensor is missing or misshapen, or the model is of another type.
 * @throws {SyntaxError} if the configuration is malformed.
 */
export function publishedVision(
  config: PublishedConfig,
  weights: Weights,
  prefix = "",
): PublishedVision {
  const c = towerConfig(config), root = `${prefix}vision_model`;
  const linear = (...names: string[]) => joinedLinear(weights, names);
  const norm = (name: string) => ({
    weight: weightOf(weights, `${name}.weight`),
    bias: weightOf(weights, `${name}.bias`),
  });
  const mlp = (name: string) => ({ up: linear(`${name}.fc1`), down: linear(`${name}.fc2`) });
  const block = (name: string): VisionBlock => ({
    norm1: norm(`${name}.layer_norm1`),
    attention: {
      qkv: weights.has(`${name}.self_attn.qkv_proj.weight`)
        ? linear(`${name}.self_attn.qkv_proj`) // joined before, see `joinedTensors()`
        : linear(...["q", "k", "v"].map((part) => `${name}.self_attn.${part}_proj`)),
      output: linear(`${name}.self_attn.out_proj`),
    },
    norm2: norm(`${name}.layer_norm2`),
    mlp: mlp(`${name}.mlp`),
  });
  const head = `${root}.head`;
  const pool = (): AttentionPool => ({
    probe: weightOf(weights, `${head}.probe`),
    qkv: {
      weight: weightOf(weights, `${head}.attention.in_proj_weight`),
      bias: weightOf(weights, `${head}.attention.in_proj_bias`),
    },
    output: linear(`${head}.attention.out_proj`),
    norm: norm(`${head}.layernorm`),
    mlp: mlp(`${head}.mlp`),
  });
  const patches = linear(`${root}.embeddings.patch_embedding`);
  const classToken = weights.get(`${root}.embeddings.class_embedding`);
  const inner = patches.weight.size / c.width;
  const tower: VisionTower = {
    patches: { ...patches, weight: reshape(patches.weight, [c.width, inner]) },
    position: weightOf(weights, `${root}.embeddings.position_embedding.weight`),
    blocks: Array.from({ length: c.layers }, (_, i) => block(`${root}.encoder.layers.${i}`)),
    norm: norm(`${root}.post_layernorm`),
    ...(classToken && { classToken }),
    // The name is spelt so in the published files.
    ...(weights.has(`${root}.pre_layrnorm.weight`) && { preNorm: norm(`${root}.pre_layrnorm`) }),
    ...(weights.has(`${head}.probe`) && { pool: pool() }),
  };
  return { config: c, tower };
}
