/** Configurations of vision-language models and the presets. */
import { unknownName } from "../tensor/mod.ts";
import {
  checkRouting,
  checkTable,
  dense,
  type PoolTable,
  type RoutingOptions,
} from "../moe/mod.ts";
import { checkNames, MODEL_OPTIONS } from "./names.ts";
import type { RopeScaling } from "./rope.ts";

/** A vision transformer (Dosovitskiy et al. 2021). */
export interface VisionConfig {
  /** Height and width of the picture in pixels. */
  imageSize: number;
  /** Height and width of a patch in pixels. */
  patch: number;
  /** Width of the tokens. */
  width: number;
  /** Number of blocks. */
  layers: number;
  /** Attention heads. */
  heads: number;
  /** Inner width of the MLP. */
  hidden: number;
}

/** A decoder language model in the manner of LLaMA. */
export interface LanguageConfig {
  /** Number of token ids. */
  vocabulary: number;
  /** Width of the tokens. */
  width: number;
  /** Number of blocks. */
  layers: number;
  /** Attention heads. */
  heads: number;
  /** Inner width of the feed-forward network (of one expert). */
  hidden: number;
  /** Base θ of the rotary embedding. */
  ropeBase: number;
  /** ε of the norms. */
  epsilon: number;
  /**
   * Of published models: heads of keys and values, each for a run of query heads (Ainslie et al. 2023,
   * arXiv 2305.13245). Default `heads`.
   */
  keyHeads?: number;
  /** Of published models: width of a head. Default `width / heads`. */
  headSize?: number;
  /** Of published models: how the rotary embedding is stretched. Default not at all. */
  ropeScaling?: RopeScaling;
  /** Of published models: a token sees this many tokens, itself the last. Default all before it. */
  slidingWindow?: number;
}

/**
 * Which layers hold experts, counted from 0: every odd one (`interleaved`, the paper), every `even`
 * one (MoE-LLaVA's "sparse"), all (`full`), the first or the second half, none, or a list.
 */
export type Placement =
  | "interleaved"
  | "even"
  | "full"
  | "first-half"
  | "second-half"
  | "none"
  | readonly number[];

/** A vision-language model. */
export interface LvlmConfig {
  /** Name of the preset, for records. */
  preset: string;
  /** The vision encoder. */
  vision: VisionConfig;
  /** The language model. */
  language: LanguageConfig;
  /** The feed-forward variant of the layers that placement names. */
  ffn: PoolTable;
  /** Which layers hold it; the others stay dense. */
  placement: Placement;
  /** How tokens are spread among its experts. Missing: as published, dropless top-k. */
  routing?: RoutingOptions;
  /**
   * Which tokens count as image tokens: all of the image's (`exact`), or all but the last of each
   * image as in the published code (`shifted`, a rule taken over from CogVLM).
   */
  visionBoundary: "exact" | "shifted";
}

/** The presets' sizes. */
export const PRESETS: Readonly<Record<string, Pick<LvlmConfig, "vision" | "language">>> = {
  tiny: {
    vision: { imageSize: 32, patch: 8, width: 64, layers: 2, heads: 4, hidden: 256 },
    language: {
      vocabulary: 152,
      width: 64,
      layers: 4,
      heads: 4,
      hidden: 176,
      ropeBase: 10000,
      epsilon: 1e-6,
    },
  },
  small: {
    vision: { imageSize: 64, patch: 8, width: 192, layers: 4, heads: 6, hidden: 768 },
    language: {
      vocabulary: 966,
      width: 256,
      layers: 8,
      heads: 8,
      hidden: 704,
      ropeBase: 10000,
      epsilon: 1e-6,
    },
  },
};

/** What a user may change in a preset. */
export interface LvlmOptions {
  /**
   * The feed-forward variant: which experts there are and who may use them, such as
   * `moiie({ shared: 2, alwaysOn: 1 })`. Default dense.
   */
  ffn?: PoolTable;
  /**
   * How tokens are spread among the experts, such as `{ capacity: 1.25 }` or `{ chooser: "expert" }`.
   * The table decides the parameters, these options add none. Default as published: dropless top-k.
   */
  routing?: RoutingOptions;
  /** Layers that hold it. Default `interleaved`. */
  placement?: Placement;
  /** Token typing at the end of an image. Default `exact`. */
  visionBoundary?: "exact" | "shifted";
  /** Changes to the vision encoder's sizes. */
  vision?: Partial<VisionConfig>;
  /** Changes to the language model's sizes. */
  language?: Partial<
    Omit<LanguageConfig, "keyHeads" | "headSize" | "ropeScaling" | "slidingWindow">
  >;
}

/**
 * The configuration of a preset with changes.
 *
 * @throws {RangeError} on an unknown preset or option (the nearest name is offered), sizes that do
 * not fit, or a pool table that makes no sense.
 */
export function lvlmConfig(preset: string, options: LvlmOptions = {}): LvlmConfig {
  const sizes = Object.hasOwn(PRESETS, preset) ? PRESETS[preset] : undefined;
  if (!sizes) throw unknownName("model preset", preset, Object.keys(PRESETS));
  checkNames("model option", options, MODEL_OPTIONS);
  checkNames("vision option", options.vision ?? {}, Object.keys(sizes.vision));
  checkNames("language option", options.language ?? {}, Object.keys(sizes.language));
  const config: LvlmConfig = {
    preset,
    vision: { ...sizes.vision, ...options.vision },
    language: { ...sizes.language, ...options.language },
    ffn: options.ffn ?? dense(),
    placement: options.placement ?? "interleaved",
    visionBoundary: options.visionBoundary ?? "exact",
  };
  const routing = checkRouting(options.routing ?? {});
  if (Object.keys(routing).length > 0) config.routing = routing;
  checkSizes(config);
  checkTable(config.ffn);
  const modalities = config.ffn.pools.map((p) => p.modality).join();
  if (!`${modalities},`.startsWith("text,image,")) {
    throw new RangeError(
      `ffn: the table's pools are "${modalities}", must be "text,image" (others may follow)`,
    );
  }
  const { split = 1 } = config.ffn;
  if (config.language.hidden % split !== 0) {
    throw new RangeError(
      `ffn: ${split} slices do not divide the inner width ${config.language.hidden} of an expert`,
    );
  }
  return config;
}

function checkSizes({ vision, language, placement, visionBoundary }: LvlmConfig): void {
  for (const [part, sizes] of Object.entries({ vision, language })) {
    for (const [name, value] of Object.entries(sizes)) {
      if (typeof value !== "number" || !(value > 0) || (name !== "epsilon" && value % 1 !== 0)) {
        throw new RangeError(`${part}.${name} = ${value} must be a positive whole number`);
      }
    }
    if (sizes.width % sizes.heads !== 0) {
      throw new RangeError(`${part}: ${sizes.heads} heads do not divide the width ${sizes.width}`);
    }
  }
  if (vision.imageSize % vision.patch !== 0) {
    throw new RangeError(
      `vision: patches of ${vision.patch} do not tile a picture of ${vision.imageSize} pixels`,
    );
  }
  if ((language.width / language.heads) % 2 !== 0) {
    throw new RangeError(`language: rotary embedding needs an even head size`);
  }
  if (visionBoundary !== "exact" && visionBoundary !== "shifted") {
    throw unknownName("visionBoundary", visionBoundary, ["exact", "shifted"]);
  }
  moeLayers(placement, language.layers);
}

const PLACEMENTS = ["interleaved", "even", "full", "first-half", "second-half", "none"];

/**
 * The layers that hold experts, 0-based.
 *
 * @throws {RangeError} if a list names a layer that does not exist, or the word is unknown.
 */
export function moeLayers(placement: Placement, layers: number): number[] {
  const all = Array.from({ length: layers }, (_, i) => i);
  switch (placement) {
    case "interleaved":
      return all.filter((i) => i % 2 === 1);
    case "even":
      return all.filter((i) => i % 2 === 0);
    case "full":
      return all;
    case "first-half":
      return all.slice(0, Math.floor(layers / 2));
    case "second-half":
      return all.slice(Math.floor(layers / 2));
    case "none":
      return [];
  }
  if (!Array.isArray(placement)) {
    throw unknownName("placement", placement, PLACEMENTS);
  }
  for (const i of placement) {
    if (!all.includes(i)) {
      throw new RangeError(`placement names layer ${i} of ${layers} (they count from 0)`);
    }
  }
  return [...new Set(placement)].sort((a, b) => a - b);
}

/** Image tokens of a picture: one for each patch that is whole. */
export function imageTokens(
  { imageSize, patch }: Pick<VisionConfig, "imageSize" | "patch">,
): number {
  return Math.floor(imageSize / patch) ** 2;
}
