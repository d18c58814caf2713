/**
 * A language model that is given any number of modalities: each has an encoder and a connector, and a
 * row of the pool table. The language model is that of the LVLM; it reads embeddings and the number of
 * each token's modality, and needs to know no more.
 */
import { applyMlp, makeMlp, type Mlp, parameters } from "../nn/mod.ts";
import { checkTable, type PoolTable, type RoutingOptions } from "../moe/mod.ts";
import { cat, type Random, type Tensor } from "../tensor/mod.ts";
import { type LanguageConfig, moeLayers, type Placement } from "./config.ts";
import { applyEncoder, type EncoderConfig, makeEncoder, type Vision } from "./encoder.ts";
import {
  applyLanguage,
  type ApplyOptions,
  embed,
  type Language,
  type LanguageInputs,
  type LvlmOutputs,
  makeLanguage,
} from "./lvlm.ts";

/** How a {@linkcode Multimodal} is built. */
export interface MultimodalConfig {
  /** The encoder of each modality besides text, in the order in which their tokens begin a row. */
  encoders: Readonly<Record<string, EncoderConfig>>;
  /** The language model. */
  language: LanguageConfig;
  /** Experts of the layers that placement names; its pools are text and the encoders' modalities. */
  ffn: PoolTable;
  /** Which layers hold them; the others stay dense. */
  placement: Placement;
  /** How tokens are spread among the experts. Missing: as published, dropless top-k. */
  routing?: RoutingOptions;
}

/** What turns the input of one modality into tokens of the language model. */
export interface Sense {
  /** Pieces to tokens. */
  encoder: Vision;
  /** To the width of the language model. */
  connector: Mlp;
}

/** A model of several modalities: a plain tree of parameters. */
export interface Multimodal {
  /** How it was built. */
  config: MultimodalConfig;
  /** One for each modality besides text. */
  senses: Record<string, Sense>;
  /** Language model. */
  language: Language;
}

/**
 * A new model, dense so far, with random weights; `upcycle()` gives it its experts.
 *
 * @throws {RangeError} if the table's pools are not text and the encoders' modalities in their order,
 * a pool makes no sense, or the placement names a layer that does not exist.
 */
export function makeMultimodal(random: Random, config: MultimodalConfig): Multimodal {
  const { encoders, language, ffn, placement } = config;
  checkTable(ffn);
  moeLayers(placement, language.layers);
  const wanted = ["text", ...Object.keys(encoders)].join(", ");
  const pools = ffn.pools.map((p) => p.modality).join(", ");
  if (pools !== wanted) {
    throw new RangeError(
      `multimodal: the table's pools are "${pools}", but the encoders want "${wanted}"`,
    );
  }
  const senses = Object.entries(encoders).map(([name, c]): [string, Sense] => {
    const own = random.fork(name);
    const connector = makeMlp(own.fork("connector"), c.width, language.width, language.width);
    return [name, { encoder: makeEncoder(own, c), connector }];
  });
  const model: Multimodal = {
    config,
    senses: Object.fromEntries(senses),
    language: makeLanguage(random.fork("language"), language),
  };
  parameters(model); // names them by path, for error messages
  return model;
}

/** Modality of each slot at the beginning of a row, as `packSlots` of the data module takes them. */
export function slotsOf({ encoders }: Pick<MultimodalConfig, "encoders">): number[] {
  return Object.values(encoders).flatMap(({ tokens }, i) => new Array<number>(tokens).fill(i + 1));
}

/**
 * The whole model: the pieces of every modality and texts to logits. What a row lacks may hold anything,
 * if `valid` and `segments` of its slots say that it is padding.
 *
 * @param pieces of each modality, `[B, tokens, inputs]`
 * @throws {RangeError} if a modality is missing, or pieces do not fit its encoder.
 */
export function applyMultimodal(
  model: Multimodal,
  pieces: Readonly<Record<string, Tensor>>,
  inputs: LanguageInputs,
  options: ApplyOptions = {},
): LvlmOutputs {
  const { encoders, language } = model.config;
  const slots = Object.entries(model.senses).map(([name, { encoder, connector }]) => {
    if (!pieces[name]) {
      throw new RangeError(`multimodal: no pieces for ${name}, only ${Object.keys(pieces)}`);
    }
    return applyMlp(connector, applyEncoder(encoder, encoders[name], pieces[name]));
  });
  return applyLanguage(
    model.language,
    { language, visionBoundary: "exact" },
    embed(model.language, inputs.tokens, cat(slots, 1)),
    inputs,
    options,
  );
}
