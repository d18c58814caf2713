/** Models that write: what generation needs to know of a checkpoint or of the library's own model. */
import { applyMlp } from "../nn/mod.ts";
import { evaluate, narrow, squeeze, stack, type Tensor } from "../tensor/mod.ts";
import type { LanguagePart } from "./cached_language.ts";
import { imageFeatures } from "./llava.ts";
import type { Published } from "./load_published.ts";
import { applyVision } from "./encoder.ts";
import type { Lvlm } from "./lvlm.ts";
import {
  LANGUAGE_TYPES,
  partOf,
  type PublishedConfig,
  sizeIn,
  withDefaults,
} from "./published_config.ts";
import type { PublishedTokenizer } from "./published_tokenizer.ts";

/** From text to tokens and back: a published tokenizer, or the library's own of whole words. */
export interface TextTokenizer {
  /** The tokens of a text; special ones around it unless `special` is false. */
  encode(text: string, options?: { special?: boolean }): number[];
  /** The text of tokens, special ones left out. */
  decode(ids: readonly number[]): string;
  /** A token's number by its name, where the tokenizer tells. */
  id?(token: string): number | undefined;
}

/** A language model that writes, and looks at pictures if it can. */
export interface TextModel extends LanguagePart {
  /** From text to tokens and back; without one only tokens can be given. */
  readonly tokenizer?: TextTokenizer;
  /** Tokens that end an answer. */
  readonly endIds: readonly number[];
  /** Most tokens of a text, its answer among them. Missing: nobody says. */
  readonly contextLength?: number;
  /** How it sees. */
  readonly image?: {
    /** Token that stands where a feature goes. */
    readonly token: number;
    /** Features of pictures. @param pixels `[N, 3, H, W]` @returns `[N, I, D]` */
    readonly features: (pixels: Tensor) => Tensor;
  };
}

/** Where a picture goes in a prompt. */
export const IMAGE_PLACEHOLDER = "<image>";

/**
 * A loaded checkpoint as a model that writes. It ends its answers where `generation_config.json` says,
 * else `config.json`, else the tokenizer.
 *
 * @throws {TypeError} if it is a vision tower.
 */
export function textModel(loaded: Published): TextModel {
  if (loaded.kind === "vision") {
    throw new TypeError(`${loaded.path} holds a vision tower, which writes no text`);
  }
  const { config, tokenizer, generation } = loaded;
  const text = loaded.kind === "llava" ? partOf(config, "text_config") : config;
  const known = withDefaults(text, LANGUAGE_TYPES);
  const language = loaded.kind === "llava" ? loaded.model.text : loaded.model;
  const named = [generation?.endIds, endIdsOf(config), endIdsOf(text)].find((ids) => ids?.length);
  const rest: Pick<TextModel, "image"> = loaded.kind === "llava"
    ? {
      image: {
        token: loaded.model.imageToken,
        features: (pixels) => imageFeatures(loaded.model, pixels),
      },
    }
    : {};
  return {
    language: language.language,
    config: language.config,
    endIds: named ?? (tokenizer?.endId === undefined ? [] : [tokenizer.endId]),
    contextLength: sizeIn(known, "max_position_embeddings"),
    ...(tokenizer && { tokenizer: readable(tokenizer) }),
    ...rest,
  };
}

/** Models have more tokens than their tokenizers: what is no token has no text. */
function readable(tokenizer: PublishedTokenizer): TextTokenizer {
  return {
    encode: tokenizer.encode,
    decode: (ids) => tokenizer.decode(ids.filter((id) => tokenizer.token(id) !== undefined)),
    id: tokenizer.id,
  };
}

function endIdsOf({ eos_token_id: ids }: PublishedConfig): number[] {
  return [ids].flat().filter((id): id is number => typeof id === "number");
}

/** The parts of `WordTokenizer` that are needed here. */
export interface WordsTokenizer extends TextTokenizer {
  /** Token that ends an answer. */
  readonly eos: number;
  /** Token of an image slot. */
  readonly image: number;
}

/** The library's own model as one that writes. @param tokenizer that of its data set */
export function lvlmTextModel(model: Lvlm, tokenizer: WordsTokenizer): TextModel {
  return {
    language: model.language,
    config: model.config,
    tokenizer,
    endIds: [tokenizer.eos],
    image: {
      token: tokenizer.image,
      features: (pixels) =>
        applyMlp(model.connector, applyVision(model.vision, model.config.vision, pixels)),
    },
  };
}

/**
 * Looks at pictures, once; the features are on the device afterwards.
 *
 * @param pixels `[3, H, W]` each, of one size @returns `[I, D]` each
 * @throws {TypeError} if the model cannot see. @throws {RangeError} if shapes do not fit.
 */
export async function seeImages(
  model: TextModel,
  pixels: readonly Tensor[],
): Promise<Tensor[]> {
  if (pixels.length === 0) return [];
  if (!model.image) {
    throw new TypeError(
      `the model reads text only: ${pixels.length} pictures cannot be given to it`,
    );
  }
  const all = model.image.features(stack(pixels));
  const each = pixels.map((_, i) => squeeze(narrow(all, 0, i, 1), 0));
  await evaluate(...each);
  return each;
}

/**
 * The tokens of a prompt, with one image token for every feature where it says
 * {@linkcode IMAGE_PLACEHOLDER}.
 *
 * @param features `[I, D]` of every picture
 * @param special whether the tokenizer adds its tokens around the text. Default true.
 * @throws {TypeError} if the model has no tokenizer. @throws {RangeError} if there are not as many
 * placeholders as pictures.
 */
export function promptTokens(
  model: TextModel,
  text: string,
  features: readonly Tensor[] = [],
  special = true,
): number[] {
  const { tokenizer, image } = model;
  if (!tokenizer) {
    throw new TypeError(
      `the model has no tokenizer (the checkpoint lacks tokenizer.json): give tokens, or put the ` +
        `file beside the weights`,
    );
  }
  const parts = image ? text.split(IMAGE_PLACEHOLDER) : [text];
  if (parts.length - 1 !== features.length) {
    throw new RangeError(
      `the prompt says ${IMAGE_PLACEHOLDER} ${parts.length - 1} times, but there are ` +
        `${features.length} pictures`,
    );
  }
  if (features.length === 0 || !image) return tokenizer.encode(text, { special });
  if (tokenizer.id?.(IMAGE_PLACEHOLDER) === image.token) {
    // The tokenizer knows the placeholder, and what it does to the text around it.
    return expandImages(tokenizer.encode(text, { special }), image.token, features);
  }
  // As the published code (`tokenizer_image_token` of LLaVA and Bunny): piece by piece.
  return parts.flatMap((part, i) => [
    ...new Array(i === 0 ? 0 : features[i - 1].shape[0]).fill(image.token),
    ...(part === "" && i > 0 ? [] : tokenizer.encode(part, { special: special && i === 0 })),
  ]);
}

/** One image token for every feature, in place of one for every picture. */
export function expandImages(
  tokens: readonly number[],
  imageToken: number,
  features: readonly Tensor[],
): number[] {
  let next = 0;
  return tokens.flatMap((token) =>
    token === imageToken ? new Array(features[next++].shape[0]).fill(token) : [token]
  );
}
