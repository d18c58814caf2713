/**
 * Packed batches: several texts in one row, beside the picture that they are about.
 *
 * A row holds the image slots first and then the segments, each a prompt and its answer. A segment
 * sees the image and itself only (the attention mask follows from `segments`), and its positions
 * start again right after the image, so that packing changes nothing but the speed.
 *
 * @module
 */

import type { Random } from "../tensor/random.ts";
import { packSlots, type Segment, type TokenBatch } from "./pack.ts";
import type { WordTokenizer } from "./tokenizer.ts";

/** A batch of pictures and texts. */
export interface Batch extends TokenBatch {
  /** `[size, 3, H, W]`, from -1 to 1: (byte / 255 - 0.5) / 0.5. */
  pixels: Float32Array;
}

/** A batch whose image slots are filled with words instead of pictures. */
export interface WordSceneBatch extends TokenBatch {
  /** Words per image slot, the last dimension of `sceneWords`. */
  wordsPerPatch: number;
  /** `[size, I, wordsPerPatch]`: ids of the words that lie in each slot, then padding. */
  sceneWords: Int32Array;
}

/** What batches need to know of a sample; `Sample` of emoji-VQA has it all. */
export interface BatchSample {
  /** Named in errors. */
  id: string;
  /** RGB bytes of a square picture, row by row. */
  image: Uint8Array;
  /** Its caption. */
  caption: string;
  /** Its questions. */
  questions: readonly TextPair[];
  /** The phrase of each quadrant in reading order, "" where nothing lies. */
  cells: readonly string[];
  /** Name of the background colour. */
  background: string;
}

/** A prompt and what a model should say to it. */
export interface TextPair {
  /** The prompt. */
  question: string;
  /** The answer. */
  answer: string;
}

/** Options of all batch builders. */
export interface BatchOptions {
  /** Turns texts into ids. */
  tokenizer: WordTokenizer;
  /** Positions per row, a multiple of 8. */
  length: number;
  /** Image slots per row, the square of a whole number (16 for 4 x 4 patches). */
  imageTokens: number;
}

/**
 * The segment of a question, or of a statement without a prompt, which then begins with `<bos>`.
 *
 * @throws RangeError when the answer is empty
 */
export function segmentOf(tokenizer: WordTokenizer, { question, answer }: TextPair): Segment {
  const prompt = tokenizer.encode(question), said = tokenizer.encode(answer);
  if (said.length === 0) throw new RangeError(`the answer to "${question}" is empty`);
  return { prompt: prompt.length === 0 ? [tokenizer.bos] : prompt, answer: said };
}

/**
 * Packs rows of segments; the arrays every builder begins with.
 *
 * @param rows the segments of each row, with a name for errors
 * @throws RangeError when a row does not fit, or an option makes no sense
 */
export function packRows(
  rows: readonly { id: string; segments: readonly Segment[] }[],
  { tokenizer, length, imageTokens }: BatchOptions,
): TokenBatch {
  if (!Number.isInteger(Math.sqrt(imageTokens)) || imageTokens >= length) {
    throw new RangeError(
      `the number of image tokens must be the square of a whole number and smaller than the ` +
        `length of a row, ${length}, got ${imageTokens}`,
    );
  }
  const slots = new Array<number>(imageTokens).fill(IMAGE_SLOT);
  return packSlots(rows, { tokenizer, length, slots });
}

/** Modality of image slots, as the models count. */
const IMAGE_SLOT = 1;

/**
 * Pictures as numbers: `[samples, 3, side, side]`, (byte / 255 - 0.5) / 0.5.
 *
 * @throws RangeError when the pictures are not square RGB pictures of one size
 */
export function imagePixels(samples: readonly BatchSample[]): Float32Array {
  const bytes = samples[0]?.image.length ?? 0, area = bytes / 3;
  const pixels = new Float32Array(samples.length * bytes);
  for (const [row, { id, image }] of samples.entries()) {
    if (image.length !== bytes || bytes === 0 || !Number.isInteger(Math.sqrt(area))) {
      throw new RangeError(
        `${id} has ${image.length} bytes of picture; a batch needs square RGB pictures of one ` +
          `size, and the first one has ${bytes} bytes`,
      );
    }
    const start = row * bytes;
    for (let pixel = 0; pixel < area; pixel++) {
      for (let c = 0; c < 3; c++) {
        pixels[start + c * area + pixel] = (image[3 * pixel + c] / 255 - 0.5) / 0.5;
      }
    }
  }
  return pixels;
}

/**
 * Stage 1: each picture with its caption; loss on the caption.
 *
 * @throws RangeError when a caption does not fit, or pictures differ in size
 */
export function captionBatch(samples: readonly BatchSample[], options: BatchOptions): Batch {
  return { ...packRows(captionRows(samples, options), options), pixels: imagePixels(samples) };
}

/** Options of batches of questions. */
export interface InstructionOptions extends BatchOptions {
  /** Questions asked per picture, all of them where a picture has fewer. Default 3. */
  questionsPerImage?: number;
  /** Draws which questions; without it the first ones are asked. */
  random?: Random;
}

/**
 * Stage 2: each picture with some of its questions, each question a segment of its own.
 *
 * @throws RangeError when the questions drawn do not fit, or pictures differ in size
 */
export function instructionBatch(
  samples: readonly BatchSample[],
  options: InstructionOptions,
): Batch {
  return { ...packRows(questionRows(samples, options), options), pixels: imagePixels(samples) };
}

/** Options of {@linkcode wordSceneBatch}. */
export interface WordSceneOptions extends InstructionOptions {
  /** Words per image slot. Default 8. */
  wordsPerPatch?: number;
  /** Whether to ask questions (default) or to have the scene described. */
  texts?: "questions" | "caption";
}

/**
 * Scenes for the language model alone: each image slot holds the words of what lies there and of
 * the background, to be embedded and summed. A synthetic alignment of places and things ahead of
 * pictures, not ordinary language pretraining.
 *
 * @throws RangeError when texts or the words of a slot do not fit
 */
export function wordSceneBatch(
  samples: readonly BatchSample[],
  options: WordSceneOptions,
): WordSceneBatch {
  const { tokenizer, imageTokens, wordsPerPatch = 8, texts = "questions" } = options;
  const rows = texts === "caption" ? captionRows(samples, options) : questionRows(samples, options);
  const batch = packRows(rows, options);
  const sceneWords = new Int32Array(samples.length * imageTokens * wordsPerPatch)
    .fill(tokenizer.pad);
  for (const [row, sample] of samples.entries()) {
    for (const [slot, words] of patchWords(sample, Math.sqrt(imageTokens)).entries()) {
      const ids = tokenizer.encode(words);
      if (ids.length > wordsPerPatch) {
        throw new RangeError(
          `"${words}" of ${sample.id} has ${ids.length} words, a slot holds ${wordsPerPatch}; ` +
            `raise wordsPerPatch`,
        );
      }
      sceneWords.set(ids, (row * imageTokens + slot) * wordsPerPatch);
    }
  }
  return { ...batch, wordsPerPatch, sceneWords };
}

/**
 * The words that lie in each patch of a grid of side x side patches over the picture.
 *
 * A text printed across a row of quadrants is spread over the patches of the row from left to
 * right, as its letters are in the picture; a sum of words would lose their order.
 */
export function patchWords(
  { cells, background }: Pick<BatchSample, "cells" | "background">,
  side: number,
): string[] {
  return Array.from({ length: side * side }, (_, patch) => {
    const x = patch % side, y = Math.floor(patch / side);
    const row = 2 * Math.floor((2 * y) / side), cell = row + Math.floor((2 * x) / side);
    const phrase = cells[cell];
    if (!phrase.startsWith("text ") || cells[row] !== cells[row + 1]) {
      return `${phrase} ${background}`.trim();
    }
    const symbols = phrase.split(" ").slice(1);
    const from = Math.floor((x * symbols.length) / side);
    const to = Math.max(from + 1, Math.floor(((x + 1) * symbols.length) / side));
    return `text ${symbols.slice(from, to).join(" ")} ${background}`;
  });
}

/**
 * The questions of a sample as problems in words: its caption takes the place of the picture.
 */
export function wordProblems(
  { caption, questions }: Pick<BatchSample, "caption" | "questions">,
): TextPair[] {
  return questions.map(({ question, answer }) => ({
    question: `${caption} , ${question}`,
    answer,
  }));
}

/** Options of {@linkcode textBatch}. */
export interface TextOptions extends Omit<BatchOptions, "imageTokens"> {
  /** Take the loss on prompts too, not on answers alone. Default false. */
  wholeText?: boolean;
}

/**
 * Texts without pictures: facts, word problems, descriptions (with an empty prompt). Each row packs
 * the texts of one list; positions start at 0.
 *
 * @throws RangeError when a list does not fit into a row
 */
export function textBatch(
  rows: readonly (readonly TextPair[])[],
  { wholeText = false, ...options }: TextOptions,
): TokenBatch {
  const { tokenizer } = options;
  const packed = rows.map((pairs, row) => ({
    id: `row ${row}`,
    segments: pairs.map((pair) => {
      const segment = segmentOf(tokenizer, pair);
      if (!wholeText) return segment;
      const [first, ...rest] = [...segment.prompt, ...segment.answer];
      return { prompt: [first], answer: rest };
    }),
  }));
  return packRows(packed, { ...options, imageTokens: 0 });
}

function captionRows(samples: readonly BatchSample[], { tokenizer }: BatchOptions) {
  return samples.map(({ id, caption }) => ({
    id,
    segments: [segmentOf(tokenizer, { question: "", answer: caption })],
  }));
}

function questionRows(
  samples: readonly BatchSample[],
  { tokenizer, questionsPerImage = 3, random }: InstructionOptions,
) {
  if (!Number.isInteger(questionsPerImage) || questionsPerImage < 1) {
    throw new RangeError(
      `questionsPerImage must be whole and at least 1, got ${questionsPerImage}`,
    );
  }
  return samples.map(({ id, questions }) => {
    const order = [...questions.keys()];
    if (random) random.shuffle(order);
    const segments = order.slice(0, questionsPerImage)
      .map((which) => segmentOf(tokenizer, questions[which]));
    return { id, segments };
  });
}
