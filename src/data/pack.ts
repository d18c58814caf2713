/**
 * Packing texts behind the slots of other modalities into rows of one length.
 *
 * @module
 */

import type { WordTokenizer } from "./tokenizer.ts";

/** Value of `labels` where nothing is to be predicted. */
export const NO_LABEL: number = -100;

/** Token arrays of a batch, `[size, length]`, row by row. */
export interface TokenBatch {
  /** Rows. */
  size: number;
  /** Positions per row, the image slots included. */
  length: number;
  /** Token ids; image slots hold the tokenizer's `image`. */
  tokens: Int32Array;
  /** Positions for the rotary embedding: 0 to I - 1 in the image, then from I in every segment. */
  positions: Int32Array;
  /** 0 in the image (all slots), 1 and up in the segments, -1 in the padding. */
  segments: Int32Array;
  /** The next token where it belongs to an answer or ends it, else {@linkcode NO_LABEL}. */
  labels: Int32Array;
  /** 1 in the image, 0 in text and padding; more where there are slots of more modalities. */
  modality: Int32Array;
  /** 1, and 0 in the padding. */
  valid: Int32Array;
}

/** A segment in ids: loss is taken on the answer and on the end token after it. */
export interface Segment {
  /** What is given. */
  prompt: readonly number[];
  /** What is to be said. */
  answer: readonly number[];
}

/** Positions that a segment takes: the end token is predicted, but never read. */
export function segmentLength({ prompt, answer }: Segment): number {
  return prompt.length + answer.length;
}

/** A row in the making. */
export interface SlotRow {
  /** Named in errors. */
  id: string;
  /** Its texts. */
  segments: readonly Segment[];
  /** Modalities that it lacks: their slots are padding. Default none. */
  absent?: readonly number[];
}

/** Options of {@linkcode packSlots}. */
export interface SlotOptions {
  /** Turns texts into ids. */
  tokenizer: WordTokenizer;
  /** Positions per row, a multiple of 8. */
  length: number;
  /** Modality of each slot, in the order in which a row begins: 1 for images, 2 and up for others. */
  slots: readonly number[];
}

/**
 * Packs rows: the slots, then the segments of each. Slots that a row lacks are padding, and what follows
 * keeps its positions.
 *
 * @throws RangeError when a row does not fit, or its length makes no sense
 */
export function packSlots(
  rows: readonly SlotRow[],
  { tokenizer, length, slots }: SlotOptions,
): TokenBatch {
  if (!Number.isInteger(length) || length < 8 || length % 8 !== 0) {
    throw new RangeError(`the length of a row must be a positive multiple of 8, got ${length}`);
  }
  const size = rows.length, cells = size * length;
  const batch: TokenBatch = {
    size,
    length,
    tokens: new Int32Array(cells).fill(tokenizer.pad),
    positions: new Int32Array(cells),
    segments: new Int32Array(cells).fill(-1),
    labels: new Int32Array(cells).fill(NO_LABEL),
    modality: new Int32Array(cells),
    valid: new Int32Array(cells),
  };
  for (const [row, { id, segments, absent = [] }] of rows.entries()) {
    const used = segments.reduce((sum, segment) => sum + segmentLength(segment), slots.length);
    if (used > length) {
      throw new RangeError(
        `${id} does not fit: ${slots.length} image tokens and ${used - slots.length} of ` +
          `${segments.length} texts are ${used}, a row has ${length}; raise the length to ` +
          `${8 * Math.ceil(used / 8)} or pack fewer texts`,
      );
    }
    const start = row * length;
    const put = (at: number, token: number, position: number, segment: number, label: number) => {
      batch.tokens[at] = token;
      batch.positions[at] = position;
      batch.segments[at] = segment;
      batch.labels[at] = label;
      batch.valid[at] = 1;
    };
    for (const [slot, modality] of slots.entries()) {
      if (absent.includes(modality)) continue;
      put(start + slot, tokenizer.image, slot, 0, NO_LABEL);
      batch.modality[start + slot] = modality;
    }
    let at = start + slots.length;
    for (const [index, { prompt, answer }] of segments.entries()) {
      const tokens = [...prompt, ...answer];
      for (const [offset, token] of tokens.entries()) {
        const predicts = offset + 1 >= prompt.length;
        const next = tokens[offset + 1] ?? tokenizer.eos;
        put(at++, token, slots.length + offset, index + 1, predicts ? next : NO_LABEL);
      }
    }
  }
  return batch;
}
