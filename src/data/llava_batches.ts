/**
 * Batches of conversations about pictures, for training.
 *
 * @module
 */

import { Random } from "../tensor/random.ts";
import { NO_LABEL } from "./pack.ts";
import {
  type ConversationTokens,
  conversationTokens,
  type ConversationTokensOptions,
  imagesFirst,
} from "./conversation_tokens.ts";
import type { ProcessedImage } from "./image_processing.ts";
import type { BadRow, BadRows, LlavaCursor, LlavaData, LlavaRow } from "./llava_data.ts";
import { pictureInput, type PictureInputOptions, readPicture } from "./picture_input.ts";
import type { RgbImage } from "./resize.ts";

/** Options of {@linkcode llavaBatches}. */
export interface LlavaBatchesOptions extends ConversationTokensOptions, PictureInputOptions {
  /** Rows per batch. */
  batchSize: number;
  /** Tokens of each picture, for the length of a row. */
  features: number;
  /** Longest row, pictures expanded; longer ones are cut off at the end. Default 4096. */
  maxLength?: number;
  /**
   * Batches that are put together at a time, of rows of similar length with or without pictures.
   * 1 takes the rows as they come. Default 16.
   */
  window?: number;
  /** Shuffles rows and batches; without it, the order of the file. */
  seed?: number;
  /** Where to go on. Default at the beginning. */
  cursor?: LlavaBatchCursor;
  /** Passes over the data. Default 1. */
  epochs?: number;
  /** Takes down the rows that are skipped. */
  bad?: BadRows;
}

/** Where batches go on: plain data, to be kept in a checkpoint. */
export interface LlavaBatchCursor extends LlavaCursor {
  /** Batches of the window that begins here that are done. */
  readonly batch: number;
}

/** A batch. `expandImageTokens(rows, …)` makes one array of its rows. */
export interface LlavaBatch {
  /** Ids of the conversations. */
  readonly ids: readonly string[];
  /** One image token for each picture; labels on the answers, -100 elsewhere. */
  readonly rows: readonly ConversationTokens[];
  /** Number of pictures, channels, height, width; no pictures in a batch of texts. */
  readonly shape: readonly [number, number, number, number];
  /** The pictures of all rows, in their order. */
  readonly pixels: Float32Array<ArrayBuffer>;
  /** Where to go on after this batch. */
  readonly next: LlavaBatchCursor;
}

/** A row of tokens on its way into a batch. */
interface Prepared {
  row: LlavaRow;
  tokens: ConversationTokens;
  length: number;
}

/**
 * Batches of a file of conversations, made while they are trained on. Rows of a window are sorted
 * by length, those with and without pictures apart, so that little padding is needed; the batches
 * of the window then come in a random order (cf. `group_by_modality_length` of LLaVA). All of it
 * follows from the seed, so that a run resumes from a cursor exactly.
 *
 * @throws {RangeError} if an option makes no sense, or there are too many bad rows.
 *
 * @example
 * ```ts ignore
 * for await (const batch of llavaBatches(data, options)) {
 *   const rows = expandImageTokens(batch.rows, { imageToken, features });
 *   const pixels = tensor(batch.pixels, { shape: batch.shape });
 *   // …a step of training; keep batch.next with the weights.
 * }
 * ```
 */
export async function* llavaBatches(
  data: LlavaData,
  options: LlavaBatchesOptions,
): AsyncGenerator<LlavaBatch> {
  const { batchSize, features, maxLength = 4096, window = 16, seed, epochs = 1, bad } = options;
  for (const [name, value] of Object.entries({ batchSize, features, maxLength, window, epochs })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new RangeError(`llavaBatches: ${name} should be a whole number from 1, it is ${value}`);
    }
  }
  let cursor: LlavaBatchCursor = options.cursor ?? { epoch: 0, position: 0, batch: 0 };
  while (cursor.epoch < epochs) {
    const prepared: Prepared[] = [];
    let after: LlavaCursor = { epoch: cursor.epoch + 1, position: 0 };
    const rows = data.rows({ seed, cursor, epochs: cursor.epoch + 1, bad });
    for await (const { row, next } of rows) {
      const made = prepare(row, options, maxLength);
      if ("reason" in made) bad?.add(made);
      else prepared.push(made);
      if (prepared.length < window * batchSize) continue;
      if (next.position < data.length) after = next;
      break;
    }
    const batches = grouped(prepared, batchSize, window > 1);
    if (seed !== undefined && window > 1) {
      new Random(seed, `llava/window ${cursor.epoch} ${cursor.position}`).shuffle(batches);
    }
    for (let i = cursor.batch; i < batches.length; i++) {
      const last = i + 1 === batches.length;
      const next = last ? { ...after, batch: 0 } : { ...cursor, batch: i + 1 };
      const batch = await withPictures(batches[i], next, options);
      if (batch) yield batch;
    }
    cursor = { ...after, batch: 0 };
  }
}

/** Tokens of a row, cut to length. */
function prepare(
  row: LlavaRow,
  options: LlavaBatchesOptions,
  maxLength: number,
): Prepared | BadRow {
  const { imageToken, features } = options, { index, id } = row;
  const { tokens, labels } = conversationTokens(imagesFirst(row.turns), options);
  let length = 0, kept = 0, pictures = 0;
  for (const token of tokens) {
    const more = token === imageToken ? features : 1;
    if (length + more > maxLength) break;
    length += more;
    kept++;
    if (token === imageToken) pictures++;
  }
  const cut = { tokens: tokens.slice(0, kept), labels: labels.slice(0, kept) };
  if (pictures < row.images.length || cut.labels.every((label) => label === NO_LABEL)) {
    const what = pictures < row.images.length ? "a picture" : "the answer";
    const detail = `${what} lies beyond ${maxLength} tokens`;
    return { index, id, reason: "too long", detail };
  }
  return { row, tokens: cut, length };
}

function grouped(rows: Prepared[], size: number, byLength: boolean): Prepared[][] {
  const cut = (list: Prepared[]) =>
    Array.from(
      { length: Math.ceil(list.length / size) },
      (_, i) => list.slice(i * size, (i + 1) * size),
    );
  if (!byLength) return cut(rows);
  const sorted = (pictures: boolean) =>
    rows.filter(({ row }) => row.images.length > 0 === pictures)
      .sort((a, b) => b.length - a.length || a.row.index - b.row.index);
  return [...cut(sorted(true)), ...cut(sorted(false))];
}

/** Reads the pictures of a batch; leaves out the rows whose pictures are broken. */
async function withPictures(
  prepared: readonly Prepared[],
  next: LlavaBatchCursor,
  options: LlavaBatchesOptions,
): Promise<LlavaBatch | undefined> {
  const kept: Prepared[] = [], pictures: ProcessedImage[] = [];
  for (const one of prepared) {
    const { index, id, images } = one.row;
    let read: RgbImage[];
    try {
      read = await Promise.all(images.map(readPicture));
    } catch (error) {
      const detail = `${images.join(", ")}: ${(error as Error).message}`;
      options.bad?.add({ index, id, reason: "broken picture", detail });
      continue;
    }
    kept.push(one);
    for (const image of read) pictures.push(pictureInput(image, options));
  }
  if (kept.length === 0) return undefined;
  const [, height, width] = pictures[0]?.shape ?? [3, 0, 0], size = 3 * height * width;
  const pixels = new Float32Array(pictures.length * size);
  for (const [i, { shape, data }] of pictures.entries()) {
    if (data.length !== size) {
      throw new RangeError(
        `pictures of a batch come out as ${shape} and ${pictures[0].shape}: the processor should ` +
          `crop, or resize both sides`,
      );
    }
    pixels.set(data, i * size);
  }
  return {
    ids: kept.map(({ row }) => row.id),
    rows: kept.map(({ tokens }) => tokens),
    shape: [pictures.length, 3, height, width],
    pixels,
    next,
  };
}
