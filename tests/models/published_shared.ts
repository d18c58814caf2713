/** Published models in thimble size with random weights. */
import type { PublishedConfig, Weights } from "../../src/models/mod.ts";
import { Random, type Shape, sizeOf, type Tensor, tensor } from "../../src/tensor/mod.ts";

/** Random tensors by name; norms are near 1. */
export function randomWeights(shapes: Record<string, Shape>, seed = 3): Map<string, Tensor> {
  return new Map(
    Object.entries(shapes).map(([name, shape]) => {
      const random = new Random(seed, name), isNorm = /norm/.test(name) && !/bias/.test(name);
      const values = random.normals(sizeOf(shape), isNorm ? 1 : 0, 0.3);
      return [name, tensor(values, { shape, name })];
    }),
  );
}

/** A Llama of two layers: 4 query heads, 2 key heads. */
export const LLAMA: PublishedConfig = {
  model_type: "llama",
  vocab_size: 23,
  hidden_size: 16,
  intermediate_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
};

/** Shapes of the weights of {@linkcode LLAMA}. */
export function llamaShapes(prefix = ""): Record<string, Shape> {
  const shapes: Record<string, Shape> = {
    "model.embed_tokens.weight": [23, 16],
    "model.norm.weight": [16],
    "lm_head.weight": [23, 16],
  };
  for (const i of [0, 1]) {
    const layer = `model.layers.${i}`;
    shapes[`${layer}.input_layernorm.weight`] = [16];
    shapes[`${layer}.post_attention_layernorm.weight`] = [16];
    shapes[`${layer}.self_attn.q_proj.weight`] = [16, 16];
    shapes[`${layer}.self_attn.k_proj.weight`] = [8, 16];
    shapes[`${layer}.self_attn.v_proj.weight`] = [8, 16];
    shapes[`${layer}.self_attn.o_proj.weight`] = [16, 16];
    shapes[`${layer}.mlp.gate_proj.weight`] = [12, 16];
    shapes[`${layer}.mlp.up_proj.weight`] = [12, 16];
    shapes[`${layer}.mlp.down_proj.weight`] = [16, 12];
  }
  return Object.fromEntries(Object.entries(shapes).map(([k, v]) => [prefix + k, v]));
}

/** Three heads of odd count, pictures of 10 pixels in 2 × 2 patches of 4. */
const TOWER = {
  hidden_size: 12,
  intermediate_size: 9,
  num_hidden_layers: 3,
  num_attention_heads: 3,
  image_size: 10,
  patch_size: 4,
};

/** A CLIP tower. */
export const CLIP: PublishedConfig = { ...TOWER, model_type: "clip_vision_model" };

/** A SigLIP tower with its pooling head. */
export const SIGLIP: PublishedConfig = { ...TOWER, model_type: "siglip_vision_model" };

/** Weights of {@linkcode CLIP} or {@linkcode SIGLIP}. */
export function towerWeights(config: PublishedConfig, prefix = ""): Weights {
  const clip = config === CLIP, root = `${prefix}vision_model`;
  const shapes: Record<string, Shape> = {};
  const linear = (name: string, out: number, inner: number) => {
    shapes[`${root}.${name}.weight`] = [out, inner];
    shapes[`${root}.${name}.bias`] = [out];
  };
  const norm = (name: string) => {
    shapes[`${root}.${name}.weight`] = [12];
    shapes[`${root}.${name}.bias`] = [12];
  };
  shapes[`${root}.embeddings.patch_embedding.weight`] = [12, 3, 4, 4];
  shapes[`${root}.embeddings.position_embedding.weight`] = [clip ? 5 : 4, 12];
  if (clip) {
    shapes[`${root}.embeddings.class_embedding`] = [12];
    norm("pre_layrnorm");
  } else {
    shapes[`${root}.embeddings.patch_embedding.bias`] = [12];
    shapes[`${root}.head.probe`] = [1, 1, 12];
    shapes[`${root}.head.attention.in_proj_weight`] = [36, 12];
    shapes[`${root}.head.attention.in_proj_bias`] = [36];
    linear("head.attention.out_proj", 12, 12);
    norm("head.layernorm");
    linear("head.mlp.fc1", 9, 12);
    linear("head.mlp.fc2", 12, 9);
  }
  for (const i of [0, 1, 2]) {
    const layer = `encoder.layers.${i}`;
    norm(`${layer}.layer_norm1`);
    norm(`${layer}.layer_norm2`);
    for (const part of ["q", "k", "v", "out"]) linear(`${layer}.self_attn.${part}_proj`, 12, 12);
    linear(`${layer}.mlp.fc1`, 9, 12);
    linear(`${layer}.mlp.fc2`, 12, 9);
  }
  norm("post_layernorm");
  return randomWeights(shapes);
}

/** Random pictures `[count, 3, size, size]`. */
export function pictures(count: number, size: number, seed = 1): Tensor {
  const shape = [count, 3, size, size];
  return tensor(new Random(seed, "pixels").normals(sizeOf(shape)), { shape });
}

/** Whole numbers as a tensor. */
export function ids(values: ArrayLike<number>, ...shape: number[]): Tensor {
  return tensor(Int32Array.from(values), { shape });
}
