/**
 * LLaVA: a vision tower, a projector, a language model (Liu et al. 2023), as Hugging Face
 * transformers 4.45, `models/llava/modeling_llava.py`.
 */
import { applyMlp, type Mlp } from "../nn/mod.ts";
import {
  cast,
  cumsum,
  equal,
  expand,
  reshape,
  sub,
  take,
  type Tensor,
  unknownName,
  unsqueeze,
  where,
} from "../tensor/mod.ts";
import { type ApplyOptions, embed, type LvlmOutputs } from "./lvlm.ts";
import { multiscaleFeatures } from "./multiscale.ts";
import {
  featureScales,
  numberOf,
  partOf,
  type PublishedConfig,
  withDefaults,
} from "./published_config.ts";
import {
  applyPublishedLanguage,
  imageModality,
  joinedLinear,
  type PublishedInputs,
  type PublishedLanguage,
  publishedLanguage,
  type Weights,
} from "./published_language.ts";
import { type PublishedVision, publishedVision } from "./published_vision.ts";
import { activationNamed, type FeatureChoice, visionFeatures } from "./vision_tower.ts";

/** A published LLaVA model: a plain tree. */
export interface Llava {
  /** The vision tower. */
  readonly vision: PublishedVision;
  /** From vision features to language tokens. */
  readonly projector: Mlp;
  /** Published name of the projector's activation. */
  readonly activation: string;
  /** Which features the projector is given. */
  readonly features: FeatureChoice;
  /**
   * Heights and widths at which pictures are looked at, the tower's first: the projector is given the
   * features of all of them, see {@linkcode multiscaleFeatures}. Missing: only the tower's.
   */
  readonly scales?: readonly number[];
  /** The language model. */
  readonly text: PublishedLanguage;
  /** Token that stands where a feature goes. */
  readonly imageToken: number;
}

/**
 * A LLaVA model made of published weights.
 *
 * @param config its `config.json`
 * @throws {RangeError} if a tensor is missing or misshapen, or a part is of an unknown type.
 * @throws {SyntaxError} if the configuration is malformed.
 */
export function publishedLlava(config: PublishedConfig, weights: Weights): Llava {
  const c = withDefaults(config, ["llava"]);
  const strategy = String(c.vision_feature_select_strategy);
  if (strategy !== "default" && strategy !== "full") {
    throw unknownName("vision_feature_select_strategy", strategy, ["default", "full"]);
  }
  const scales = featureScales(c);
  return {
    vision: publishedVision(partOf(c, "vision_config"), weights, "vision_tower."),
    projector: {
      up: joinedLinear(weights, ["multi_modal_projector.linear_1"]),
      down: joinedLinear(weights, ["multi_modal_projector.linear_2"]),
    },
    activation: String(c.projector_hidden_act),
    features: { layer: numberOf(c, "vision_feature_layer"), skip: strategy === "default" ? 1 : 0 },
    ...(scales && { scales }),
    text: publishedLanguage(partOf(c, "text_config"), weights, "language_model."),
    imageToken: numberOf(c, "image_token_index"),
  };
}

/**
 * What pictures become for the language model.
 *
 * @param pixels `[N, 3, H, W]` of the tower's size, of a model of several scales of any; the last is
 * what such models were trained with @returns `[N, I, D]`
 */
export function imageFeatures(model: Llava, pixels: Tensor): Tensor {
  const { vision, projector, activation, features, scales } = model;
  const see = (x: Tensor) => visionFeatures(vision.tower, vision.config, x, features);
  const seen = scales
    ? multiscaleFeatures(pixels, { sizes: scales, split: scales[0] }, see)
    : see(pixels);
  return applyMlp(projector, seen, activationNamed(activation));
}

/**
 * Embeddings with image features in the places of the image tokens, one after the other over the
 * rows. There must be as many image tokens as features (a lazy graph cannot count them): see
 * `expandImageTokens()`.
 *
 * @param x `[B, T, D]` @param isImage `[B, T]` bool @param features `[N, I, D]`
 * @throws {RangeError} if the shapes do not fit.
 */
export function placeImages(x: Tensor, isImage: Tensor, features: Tensor): Tensor {
  const [b, t, width] = x.shape;
  if (isImage.shape.join() !== [b, t].join() || features.shape.at(-1) !== width) {
    throw new RangeError(
      `placeImages: image mask ${isImage}, features ${features} do not fit ${x}`,
    );
  }
  const rows = reshape(features, [features.size / width, width]);
  const number = sub(cumsum(cast(reshape(isImage, [b * t]), "i32")), 1);
  const placed = reshape(take(rows, number), [b, t, width]);
  return where(expand(unsqueeze(isImage, 2), [b, t, width]), placed, x);
}

/** What a LLaVA model is given. */
export interface LlavaInputs extends Omit<PublishedInputs, "embeddings" | "modality"> {
  /** `[B, T]` i32, with one image token for every feature of the pictures. */
  tokens: Tensor;
  /** `[N, 3, H, W]`, the pictures of all rows in the order of their tokens; none if missing. */
  pixels?: Tensor;
}

/** Applies a LLaVA model. @throws {RangeError} if shapes do not fit. */
export function applyLlava(
  model: Llava,
  inputs: LlavaInputs,
  options: ApplyOptions = {},
): LvlmOutputs & { imageFeatures?: Tensor } {
  const { tokens, pixels, mask, positions } = inputs;
  const text = embed(model.text.language, tokens, undefined);
  const features = pixels && imageFeatures(model, pixels);
  const embeddings = features ? placeImages(text, equal(tokens, model.imageToken), features) : text;
  const modality = imageModality(tokens, model.imageToken);
  const given = { embeddings, tokens, mask, positions, modality };
  const outputs = applyPublishedLanguage(model.text, given, options);
  return features ? { ...outputs, imageFeatures: features } : outputs;
}
