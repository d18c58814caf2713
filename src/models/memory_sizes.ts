/** What the memory plan needs to know of a model, from either kind of configuration. */
import { type Shape, sizeOf } from "../tensor/mod.ts";
import { imageTokens, type LanguageConfig, moeLayers, type VisionConfig } from "./config.ts";
import { joinedTensors } from "./joined_weights.ts";
import {
  featureScales,
  LANGUAGE_TYPES,
  languageConfig,
  partOf,
  type PublishedConfig,
  withDefaults,
} from "./published_config.ts";
import { publishedShapes, visionPart } from "./published_shapes.ts";
import { towerConfig } from "./published_vision.ts";
import { type CountedConfig, summarize } from "./summary.ts";

/** Sizes of a model that has a language model, a vision encoder, or both. */
export interface MemorySizes {
  /** What it is. */
  readonly title: string;
  /** Number of parameters. */
  readonly parameters: number;
  /** The largest weight as it lies on the device. */
  readonly largest: {
    /** Which. */
    readonly name: string;
    /** Elements. */
    readonly size: number;
  };
  /** The language model, with the experts that a token uses. */
  readonly language?: LanguageConfig & {
    /** Layers that hold experts. */
    readonly mixtures: number;
    /** Experts of such a layer. */
    readonly experts: number;
    /** Experts that a token uses there. */
    readonly topK: number;
  };
  /** The vision encoder. */
  readonly vision?: Readonly<VisionConfig> & {
    /** Tokens of a picture. */
    readonly patches: number;
    /** Pieces of the encoder's size that a picture is cut into, at each scale. Missing: itself. */
    readonly pieces?: readonly number[];
  };
}

/** Which of two kinds a configuration is of. */
const isPublished = (config: PublishedConfig | CountedConfig): config is PublishedConfig =>
  "model_type" in config;

/** Sizes by a configuration. @throws as its readers do. */
export function memorySizes(config: PublishedConfig | CountedConfig): MemorySizes {
  return isPublished(config) ? publishedSizes(config) : countedSizes(config);
}

function largestOf(tensors: Iterable<readonly [string, Shape]>): MemorySizes["largest"] {
  let largest = { name: "", size: 0 };
  for (const [name, shape] of tensors) {
    const size = sizeOf(shape);
    if (size > largest.size) largest = { name, size };
  }
  return largest;
}

function publishedSizes(config: PublishedConfig): MemorySizes {
  const shapes = publishedShapes(config), type = String(config.model_type);
  const joined = joinedTensors(shapes).map(({ name, shape }) => [name, shape] as const);
  const text = type === "llava"
    ? partOf(config, "text_config")
    : LANGUAGE_TYPES.includes(type)
    ? config
    : undefined;
  const seen = type === "llava" ? partOf(config, "vision_config") : text ? undefined : config;
  const vision = seen && towerConfig(visionPart(seen));
  const pieces = type === "llava"
    ? featureScales(config)?.map((scale, _, [first]) => Math.ceil(scale / first) ** 2)
    : undefined;
  return {
    title: type,
    parameters: [...shapes.values()].reduce((sum, shape) => sum + sizeOf(shape), 0),
    largest: largestOf(joined),
    ...(text && { language: { ...languageConfig(text), ...publishedMixtures(text) } }),
    ...(vision && {
      vision: { ...vision, patches: imageTokens(vision), ...(pieces && { pieces }) },
    }),
  };
}

function publishedMixtures(text: PublishedConfig) {
  const c = withDefaults(text, LANGUAGE_TYPES), layers = Number(c.num_hidden_layers);
  const topK = Number(c.num_experts_per_tok ?? 1);
  if (c.model_type === "mixtral") {
    return { mixtures: layers, experts: Number(c.num_local_experts ?? 8), topK };
  }
  if (c.vis_router_aux_loss_coef === undefined) return { mixtures: 0, experts: 1, topK: 1 };
  return { mixtures: Math.floor(layers / 2), experts: Number(c.num_experts), topK };
}

function countedSizes(config: CountedConfig): MemorySizes {
  const { language: l, vision: v, ffn, placement } = config;
  const summary = summarize(config), split = ffn.split ?? 1, inner = l.hidden / split;
  const mixtures = ffn.experts.length > 1 ? moeLayers(placement, l.layers).length : 0;
  const experts = mixtures > 0 ? ffn.experts.length : 1;
  const headSize = l.width / l.heads, rows = (l.heads + 2 * (l.keyHeads ?? l.heads)) * headSize;
  const tensors: (readonly [string, Shape])[] = [
    ["token embedding", [l.vocabulary, l.width]],
    ["queries, keys and values", [rows, l.width]],
    ["gate and up of a layer", [2 * l.hidden, l.width]],
    ["gate and up of a layer's experts", [experts, 2 * inner, l.width]],
    ["inner layer of the vision encoder", [v.hidden, v.width]],
  ];
  return {
    title: summary.title,
    parameters: summary.total,
    largest: largestOf(tensors),
    language: { ropeBase: 0, epsilon: 0, ...l, mixtures, experts, topK: ffn.topK },
    vision: { ...v, patches: imageTokens(v) },
  };
}
