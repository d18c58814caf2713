/**
 * The tensors of a published model by their published names, and where each lies in the model: the
 * way back from `publishedLanguage()`, `publishedVision()` and `publishedLlava()`.
 *
 * @module
 */
import type { FeedForward, PoolTable } from "../moe/mod.ts";
import type { Linear, Norm } from "../nn/mod.ts";
import { type HostData, readPart, type Tensor } from "../tensor/mod.ts";
import type { Llava } from "./llava.ts";
import { partOf, type PublishedConfig } from "./published_config.ts";
import type { PublishedLanguage } from "./published_language.ts";
import type { PublishedVision } from "./published_vision.ts";

/** A published tensor as rows of one of the model's. */
export interface PublishedTensor {
  /** Its published name. */
  readonly name: string;
  /** Its published shape. */
  readonly shape: readonly number[];
  /** The model's tensor that holds it. */
  readonly source: Tensor;
  /** Its elements there: first element and number of each run. */
  readonly runs: readonly (readonly [from: number, count: number])[];
}

/** Reads a published tensor's elements, and nothing else of the tensor that holds it. */
export async function readPublished({ source, runs }: PublishedTensor): Promise<HostData> {
  if (runs.length === 1) return await readPart(source, ...runs[0]);
  const parts: number[] = [];
  for (const run of runs) parts.push(...await readPart(source, ...run));
  return Float32Array.from(parts);
}

const whole = (name: string, source: Tensor, shape = source.shape): PublishedTensor => ({
  name,
  shape,
  source,
  runs: [[0, source.size]],
});

/** Rows of the first axis as a tensor of their own. */
function rowsOf(name: string, source: Tensor, from: number, count: number): PublishedTensor {
  const width = source.size / source.shape[0];
  const shape = [count, ...source.shape.slice(1)];
  return { name, shape, source, runs: [[from * width, count * width]] };
}

/** Weight and bias of a linear layer. */
function linear(name: string, { weight, bias }: Linear): PublishedTensor[] {
  return [whole(`${name}.weight`, weight), ...(bias ? [whole(`${name}.bias`, bias)] : [])];
}

/** Weight and bias of several linear layers that the model has as one. @param sizes their outputs */
function parted(
  prefix: string,
  names: readonly string[],
  { weight, bias }: Linear,
  sizes: readonly number[],
): PublishedTensor[] {
  let from = 0;
  return names.flatMap((name, i) => {
    const begin = from;
    from += sizes[i];
    const part = (kind: string, t: Tensor) =>
      rowsOf(`${prefix}.${name}.${kind}`, t, begin, sizes[i]);
    return [part("weight", weight), ...(bias ? [part("bias", bias)] : [])];
  });
}

function norm(name: string, { weight, bias }: Norm): PublishedTensor[] {
  return [whole(`${name}.weight`, weight), ...(bias ? [whole(`${name}.bias`, bias)] : [])];
}

/** How published files name the layers of a language model. */
export type FeedForwardLayout = "dense" | "authors" | "mixtral";

/**
 * How a feed-forward layer is published: dense, as the paper's authors do (a router for each modality),
 * or as Mixtral.
 *
 * @throws {RangeError} if no published format has such a layer.
 */
export function feedForwardLayout({ table, routing = {} }: FeedForward): FeedForwardLayout {
  if (table.experts.length === 1) return "dense";
  const cannot = (what: string) =>
    new RangeError(
      `writing "${table.variant}": no published format has ${what}; write the dense model of one ` +
        `expert, extractDense(model, "${table.experts[0].name}")`,
    );
  if (table.split !== undefined && table.split > 1) throw cannot("slices of experts");
  if (table.alwaysOn) throw cannot("always-on experts beside routed ones");
  if (!table.renormalise) throw cannot("weights that are not renormalised");
  const [odd] = Object.keys(routing).filter((name) => name !== "jitter" && name !== "noise");
  if (odd) throw cannot(`the routing option "${odd}"`);
  const [text, image, ...more] = table.pools;
  if (more.length > 0) throw cannot(`tokens of the modality "${more[0].modality}"`);
  if (text?.router === undefined || image?.router === undefined) {
    throw cannot("mixtures without routers");
  }
  return text.router === image.router ? "mixtral" : "authors";
}

/** Experts in the authors' order: vision, shared, language. */
function authorsOrder({ experts, pools: [text, image] }: PoolTable): number[] {
  const place = (e: number) => text.experts.includes(e) ? image.experts.includes(e) ? 1 : 2 : 0;
  return experts.map((_, e) => e).sort((a, b) => place(a) - place(b) || a - b);
}

/** A router whose outputs are in the order of the experts in the file. */
function router(
  name: string,
  source: Tensor,
  pool: readonly number[],
  order: readonly number[],
): PublishedTensor {
  const [, width] = source.shape;
  const rows = order.filter((e) => pool.includes(e)).map((e) => pool.indexOf(e));
  const inOrder = rows.every((row, i) => row === i);
  return {
    name,
    shape: source.shape,
    source,
    runs: inOrder ? [[0, source.size]] : rows.map((row) => [row * width, width] as const),
  };
}

/** One expert of a layer. */
function expert(
  prefix: string,
  names: readonly [gate: string, up: string, down: string] | "fused",
  { gateUp, down }: FeedForward,
  e: number,
): PublishedTensor[] {
  const [, inner, width] = gateUp.shape, hidden = inner / 2;
  const part = (name: string, source: Tensor, from: number, shape: number[]): PublishedTensor => ({
    name: `${prefix}.${name}.weight`,
    shape,
    source,
    runs: [[from, shape[0] * shape[1]]],
  });
  const start = e * inner * width, downStart = e * width * hidden;
  if (names === "fused") {
    return [
      part("gate_up_proj", gateUp, start, [inner, width]),
      part("down_proj", down, downStart, [width, hidden]),
    ];
  }
  return [
    part(names[0], gateUp, start, [hidden, width]),
    part(names[1], gateUp, start + hidden * width, [hidden, width]),
    part(names[2], down, downStart, [width, hidden]),
  ];
}

function feedForward(layer: string, ffn: FeedForward, fused: boolean): PublishedTensor[] {
  const mlp = `${layer}.mlp`, sparse = `${layer}.block_sparse_moe`;
  const names = fused ? "fused" : ["gate_proj", "up_proj", "down_proj"] as const;
  const { table, routers } = ffn, [text, image] = table.pools;
  switch (feedForwardLayout(ffn)) {
    case "dense":
      return expert(mlp, names, ffn, 0);
    case "mixtral":
      return [
        whole(`${sparse}.gate.weight`, routers[0]),
        ...text.experts.flatMap((e, i) =>
          expert(`${sparse}.experts.${i}`, ["w1", "w3", "w2"], ffn, e)
        ),
      ];
    case "authors": {
      const order = authorsOrder(table);
      return [
        router(`${mlp}.gate.weight`, routers[text.router!], text.experts, order),
        router(`${mlp}.gate_vis.weight`, routers[image.router!], image.experts, order),
        ...order.flatMap((e, i) => expert(`${mlp}.experts.${i}`, names, ffn, e)),
      ];
    }
  }
}

/**
 * The tensors of a language model.
 *
 * @param config its `config.json`, which says whether projections are joined (Phi-3)
 * @param prefix of all names @param tied whether to leave the head out where it is the embedding
 * @throws {RangeError} if no published format has such layers.
 */
export function languageTensors(
  { language, config: { language: c } }: PublishedLanguage,
  config: PublishedConfig,
  { prefix = "", tied = true }: { prefix?: string; tied?: boolean } = {},
): PublishedTensor[] {
  const fused = config.model_type === "phi3";
  const size = c.headSize ?? c.width / c.heads, keys = (c.keyHeads ?? c.heads) * size;
  const { embedding, blocks, head } = language;
  const layers = blocks.flatMap(({ norm1, attention, norm2, ffn }, i) => {
    const layer = `${prefix}model.layers.${i}`, self = `${layer}.self_attn`;
    return [
      ...(fused
        ? linear(`${self}.qkv_proj`, attention.qkv)
        : parted(self, ["q_proj", "k_proj", "v_proj"], attention.qkv, [
          c.heads * size,
          keys,
          keys,
        ])),
      ...linear(`${self}.o_proj`, attention.output),
      ...feedForward(layer, ffn, fused),
      ...norm(`${layer}.input_layernorm`, norm1),
      ...norm(`${layer}.post_attention_layernorm`, norm2),
    ];
  });
  return [
    whole(`${prefix}model.embed_tokens.weight`, embedding),
    ...layers,
    ...norm(`${prefix}model.norm`, language.norm),
    ...(tied && head.weight === embedding ? [] : linear(`${prefix}lm_head`, head)),
  ];
}

/** The tensors of a vision tower. @param prefix of all names */
export function visionTensors(
  { tower, config: { patch } }: PublishedVision,
  prefix = "",
): PublishedTensor[] {
  const root = `${prefix}vision_model`, { patches, classToken, preNorm, pool } = tower;
  const [width, inner] = patches.weight.shape;
  const patchShape = [width, inner / patch ** 2, patch, patch];
  const blocks = tower.blocks.flatMap(({ norm1, attention, norm2, mlp }, i) => {
    const layer = `${root}.encoder.layers.${i}`, self = `${layer}.self_attn`;
    return [
      ...norm(`${layer}.layer_norm1`, norm1),
      ...parted(self, ["q_proj", "k_proj", "v_proj"], attention.qkv, [width, width, width]),
      ...linear(`${self}.out_proj`, attention.output),
      ...norm(`${layer}.layer_norm2`, norm2),
      ...linear(`${layer}.mlp.fc1`, mlp.up),
      ...linear(`${layer}.mlp.fc2`, mlp.down),
    ];
  });
  const embeddings = `${root}.embeddings`, head = `${root}.head`;
  return [
    ...(classToken ? [whole(`${embeddings}.class_embedding`, classToken)] : []),
    whole(`${embeddings}.patch_embedding.weight`, patches.weight, patchShape),
    ...(patches.bias ? [whole(`${embeddings}.patch_embedding.bias`, patches.bias)] : []),
    whole(`${embeddings}.position_embedding.weight`, tower.position),
    ...(preNorm ? norm(`${root}.pre_layrnorm`, preNorm) : []), // spelt so in the published files
    ...blocks,
    ...norm(`${root}.post_layernorm`, tower.norm),
    ...(pool
      ? [
        whole(`${head}.probe`, pool.probe),
        whole(`${head}.attention.in_proj_weight`, pool.qkv.weight),
        whole(`${head}.attention.in_proj_bias`, pool.qkv.bias!),
        ...linear(`${head}.attention.out_proj`, pool.output),
        ...norm(`${head}.layernorm`, pool.norm),
        ...linear(`${head}.mlp.fc1`, pool.mlp.up),
        ...linear(`${head}.mlp.fc2`, pool.mlp.down),
      ]
      : []),
  ];
}

/** The tensors of a LLaVA. @param config its `config.json` @throws as {@linkcode languageTensors}. */
export function llavaTensors(
  { vision, projector, text }: Llava,
  config: PublishedConfig,
  options: { tied?: boolean } = {},
): PublishedTensor[] {
  const projection = "multi_modal_projector", prefix = "language_model.";
  return [
    ...visionTensors(vision, "vision_tower."),
    ...linear(`${projection}.linear_1`, projector.up),
    ...linear(`${projection}.linear_2`, projector.down),
    ...languageTensors(text, partOf(config, "text_config"), { ...options, prefix }),
  ];
}
