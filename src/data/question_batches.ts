/**
 * All questions of a split in batches, for evaluation.
 *
 * @module
 */

import { type Batch, type BatchOptions, imagePixels, packRows, segmentOf } from "./batch.ts";
import type { EmojiVqa } from "./emoji_vqa/dataset.ts";
import type { Family } from "./emoji_vqa/questions.ts";
import type { Split } from "./emoji_vqa/scales.ts";
import { type Segment, segmentLength } from "./pack.ts";

/** Where a question lies in a batch. */
export interface AnswerSpan {
  /** Number of the sample in its split. */
  sample: number;
  /** Number of the question within its sample. */
  question: number;
  /** Its family. */
  family: Family;
  /** Its type. */
  task: string;
  /** Row of the batch. */
  row: number;
  /** First position of the row whose label belongs to the answer. */
  start: number;
  /** One after the last such position, the one that predicts the end token. */
  end: number;
}

/** A batch and the questions in it. */
export interface QuestionBatch {
  /** The packed batch. */
  batch: Batch;
  /** The questions in the order of sample and question. */
  spans: AnswerSpan[];
}

/** Options of {@linkcode questionBatches}. */
export interface QuestionBatchOptions extends BatchOptions {
  /** Rows per batch; the last batch may have fewer. */
  batchSize: number;
  /** Ask questions of these families only. */
  families?: readonly Family[];
  /** Ask about the first samples of the split only. */
  limit?: number;
}

/** A row in the making: one picture with as many of its questions as fit. */
interface Row {
  sample: number;
  used: number;
  segments: Segment[];
  spans: Omit<AnswerSpan, "row">[];
}

/**
 * Every question of a split, packed in order.
 *
 * A row holds one picture and as many of its questions as fit; the rest go to another row with the
 * same picture. An answer is an exact match of greedy decoding if and only if the most likely token
 * equals the label at every position of its span: up to the first mismatch, greedy decoding and
 * teacher forcing read the same tokens.
 *
 * @throws RangeError when the split is unknown, one question alone does not fit into a row, or
 * batchSize is not a positive whole number
 */
export function* questionBatches(
  data: EmojiVqa,
  split: Split,
  options: QuestionBatchOptions,
): Generator<QuestionBatch, void, void> {
  if (!Number.isInteger(options.batchSize) || options.batchSize < 1) {
    throw new RangeError(`batchSize must be whole and at least 1, got ${options.batchSize}`);
  }
  let waiting: Row[] = [];
  for (const row of questionRows(data, split, options)) {
    waiting.push(row);
    if (waiting.length < options.batchSize) continue;
    yield pack(data, split, waiting, options);
    waiting = [];
  }
  if (waiting.length > 0) yield pack(data, split, waiting, options);
}

function* questionRows(
  data: EmojiVqa,
  split: Split,
  { tokenizer, length, imageTokens, families, limit = Infinity }: QuestionBatchOptions,
): Generator<Row, void, void> {
  let row: Row | undefined;
  for (const { sample, question, asked } of data.questions(split)) {
    if (sample >= limit) break;
    if (families && !families.includes(asked.family)) continue;
    const segment = segmentOf(tokenizer, asked), size = segmentLength(segment);
    if (row && (row.sample !== sample || row.used + size > length)) {
      yield row;
      row = undefined;
    }
    row ??= { sample, used: imageTokens, segments: [], spans: [] };
    row.segments.push(segment);
    row.spans.push({
      sample,
      question,
      family: asked.family,
      task: asked.task,
      start: row.used + segment.prompt.length - 1,
      end: row.used + size,
    });
    row.used += size;
  }
  if (row) yield row;
}

function pack(
  data: EmojiVqa,
  split: Split,
  rows: readonly Row[],
  options: QuestionBatchOptions,
): QuestionBatch {
  const samples = data.samples(split, rows.map(({ sample }) => sample));
  const named = rows.map(({ segments }, row) => ({ id: samples[row].id, segments }));
  return {
    batch: { ...packRows(named, options), pixels: imagePixels(samples) },
    spans: rows.flatMap(({ spans }, row) => spans.map((span) => ({ ...span, row }))),
  };
}
