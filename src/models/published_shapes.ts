/**
 * Names and shapes of the weights that a published model has, from its `config.json`: to say what a
 * checkpoint lacks before anything is read, and to count memory before there is a checkpoint at all.
 */
import { type Shape, unknownName } from "../tensor/mod.ts";
import { imageTokens, type LanguageConfig } from "./config.ts";
import {
  featureScales,
  LANGUAGE_TYPES,
  languageConfig,
  partOf,
  type PublishedConfig,
  sizeIn,
  withDefaults,
} from "./published_config.ts";
import { towerConfig, VISION_TYPES } from "./published_vision.ts";

/** Types of whole CLIP and SigLIP models, of which the vision tower is used. */
export const TWO_TOWER_TYPES: Readonly<Record<string, string>> = {
  clip: "clip_vision_model",
  siglip: "siglip_vision_model",
};

/** The shape of a tensor of a checkpoint; undefined if there is none of this name. */
export type ShapeOf = (name: string) => Shape | undefined;

/** The vision tower's part of a `config.json` of a whole CLIP or SigLIP model. */
export function visionPart(config: PublishedConfig): PublishedConfig {
  const type = TWO_TOWER_TYPES[String(config.model_type)];
  return type ? { ...partOf(config, "vision_config"), model_type: type } : config;
}

/**
 * The weights of a published model by their published names: Llama, Phi-3, Mixtral, the authors' mixture
 * on Phi-3, CLIP and SigLIP towers, LLaVA.
 *
 * @param config its `config.json`
 * @param shapeOf the tensors of a checkpoint, for what the configuration leaves open: the pooling head
 * of a SigLIP tower, and the authors' experts. Without it they are as published: experts in every odd
 * layer, three quarters of them in reach of a modality.
 * @throws {RangeError} if the model is of another type. @throws {SyntaxError} on malformed fields.
 */
export function publishedShapes(config: PublishedConfig, shapeOf?: ShapeOf): Map<string, Shape> {
  const type = String(config.model_type);
  if (LANGUAGE_TYPES.includes(type)) return new Map(languageShapes(config, "", shapeOf));
  if (VISION_TYPES.includes(type) || type in TWO_TOWER_TYPES) {
    return new Map(visionShapes(visionPart(config), "", shapeOf));
  }
  if (type !== "llava") {
    const known = [...LANGUAGE_TYPES, ...VISION_TYPES, ...Object.keys(TWO_TOWER_TYPES), "llava"];
    throw unknownName("model_type", type, known);
  }
  const vision = partOf(config, "vision_config"), text = partOf(config, "text_config");
  const { width } = languageConfig(text);
  const seen = towerConfig(vision).width * (featureScales(config)?.length ?? 1);
  const projector = "multi_modal_projector.linear_";
  return new Map<string, Shape>([
    ...visionShapes(vision, "vision_tower.", shapeOf),
    [`${projector}1.weight`, [width, seen]],
    [`${projector}1.bias`, [width]],
    [`${projector}2.weight`, [width, width]],
    [`${projector}2.bias`, [width]],
    ...languageShapes(text, "language_model.", shapeOf),
  ]);
}

type Named = Generator<readonly [string, Shape]>;

function* languageShapes(config: PublishedConfig, prefix: string, shapeOf?: ShapeOf): Named {
  const c = withDefaults(config, LANGUAGE_TYPES), sizes = languageConfig(config);
  const { vocabulary, width, layers } = sizes;
  yield [`${prefix}model.embed_tokens.weight`, [vocabulary, width]];
  for (let i = 0; i < layers; i++) {
    yield* layerShapes(c, sizes, `${prefix}model.layers.${i}`, i, shapeOf);
  }
  yield [`${prefix}model.norm.weight`, [width]];
  if (!c.tie_word_embeddings) yield [`${prefix}lm_head.weight`, [vocabulary, width]];
}

function* layerShapes(
  c: PublishedConfig,
  { width, hidden, heads, keyHeads = heads, headSize = width / heads }: LanguageConfig,
  layer: string,
  index: number,
  shapeOf: ShapeOf | undefined,
): Named {
  const all = heads * headSize, keys = keyHeads * headSize, attention = `${layer}.self_attn`;
  yield [`${layer}.input_layernorm.weight`, [width]];
  if (c.model_type === "phi3") {
    yield [`${attention}.qkv_proj.weight`, [all + 2 * keys, width]];
    yield [`${attention}.o_proj.weight`, [width, all]];
  } else {
    const rows = { q_proj: all, k_proj: keys, v_proj: keys, o_proj: width };
    for (const [name, out] of Object.entries(rows)) {
      yield [`${attention}.${name}.weight`, [out, name === "o_proj" ? all : width]];
      if (c.attention_bias) yield [`${attention}.${name}.bias`, [out]];
    }
  }
  yield [`${layer}.post_attention_layernorm.weight`, [width]];
  if (c.model_type === "mixtral") {
    const sparse = `${layer}.block_sparse_moe`, experts = Number(c.num_local_experts ?? 8);
    yield [`${sparse}.gate.weight`, [experts, width]];
    for (let e = 0; e < experts; e++) {
      yield [`${sparse}.experts.${e}.w1.weight`, [hidden, width]];
      yield [`${sparse}.experts.${e}.w2.weight`, [width, hidden]];
      yield [`${sparse}.experts.${e}.w3.weight`, [hidden, width]];
    }
    return;
  }
  const mlp = `${layer}.mlp`, mixture = authorsMixture(c, mlp, index, shapeOf);
  if (mixture) {
    yield [`${mlp}.gate.weight`, [mixture.text, width]];
    yield [`${mlp}.gate_vis.weight`, [mixture.image, width]];
  }
  for (let e = 0; e < (mixture?.experts ?? 1); e++) {
    const expert = mixture ? `${mlp}.experts.${e}` : mlp;
    if (c.model_type === "phi3") yield [`${expert}.gate_up_proj.weight`, [2 * hidden, width]];
    else {
      yield [`${expert}.gate_proj.weight`, [hidden, width]];
      yield [`${expert}.up_proj.weight`, [hidden, width]];
    }
    yield [`${expert}.down_proj.weight`, [width, hidden]];
  }
}

/** Experts of a layer of the authors' mixture and those in reach of a modality; none if it is dense. */
function authorsMixture(
  c: PublishedConfig,
  mlp: string,
  index: number,
  shapeOf: ShapeOf | undefined,
): { experts: number; text: number; image: number } | undefined {
  if (c.vis_router_aux_loss_coef === undefined) return undefined;
  const experts = sizeIn(c, "num_experts");
  if (!shapeOf) {
    const reach = Math.ceil(3 * experts / 4);
    return index % 2 === 1 ? { experts, text: reach, image: reach } : undefined;
  }
  const image = shapeOf(`${mlp}.gate_vis.weight`);
  if (!image) return undefined;
  return { experts, text: shapeOf(`${mlp}.gate.weight`)?.[0] ?? experts, image: image[0] };
}

function* visionShapes(config: PublishedConfig, prefix: string, shapeOf?: ShapeOf): Named {
  const c = towerConfig(config), { width, hidden, layers, patch } = c;
  const full = withDefaults(config, VISION_TYPES), clip = full.model_type === "clip_vision_model";
  const root = `${prefix}vision_model`;
  function* linear(name: string, out: number, inner: number): Named {
    yield [`${root}.${name}.weight`, [out, inner]];
    yield [`${root}.${name}.bias`, [out]];
  }
  function* norm(name: string): Named {
    yield [`${root}.${name}.weight`, [width]];
    yield [`${root}.${name}.bias`, [width]];
  }
  const embeddings = `${root}.embeddings`, patches = imageTokens(c);
  yield [`${embeddings}.patch_embedding.weight`, [width, 3, patch, patch]];
  yield [`${embeddings}.position_embedding.weight`, [patches + (clip ? 1 : 0), width]];
  if (clip) {
    yield [`${embeddings}.class_embedding`, [width]];
    yield* norm("pre_layrnorm");
  } else yield [`${embeddings}.patch_embedding.bias`, [width]];
  for (let i = 0; i < layers; i++) {
    const block = `encoder.layers.${i}`;
    yield* norm(`${block}.layer_norm1`);
    for (const part of ["q", "k", "v", "out"]) {
      yield* linear(`${block}.self_attn.${part}_proj`, width, width);
    }
    yield* norm(`${block}.layer_norm2`);
    yield* linear(`${block}.mlp.fc1`, hidden, width);
    yield* linear(`${block}.mlp.fc2`, width, hidden);
  }
  yield* norm("post_layernorm");
  const head = `${root}.head`;
  const pools = full.vision_use_head && !clip && (!shapeOf || shapeOf(`${head}.probe`));
  if (!pools) return;
  yield [`${head}.probe`, [1, 1, width]];
  yield [`${head}.attention.in_proj_weight`, [3 * width, width]];
  yield [`${head}.attention.in_proj_bias`, [3 * width]];
  yield* linear("head.attention.out_proj", width, width);
  yield* norm("head.layernorm");
  yield* linear("head.mlp.fc1", hidden, width);
  yield* linear("head.mlp.fc2", width, hidden);
}
