/** Accuracy of a model on the questions of a data set, and the answers it gives. */
import {
  type Batch,
  type EmojiVqa,
  imagePixels,
  packRows,
  questionBatches,
  type Sample,
} from "../data/mod.ts";
import { applyLvlm, imageTokens, type Lvlm, type LvlmInputs } from "../models/mod.ts";
import { argmax, compile, type Compiled, type Inputs, type Tensor } from "../tensor/mod.ts";
import { batchInputs } from "../train/mod.ts";
import { wilson } from "./statistics.ts";

/** Right answers out of all. */
export interface Score {
  /** Share of right answers, 0 to 1. */
  accuracy: number;
  /** Right answers. */
  correct: number;
  /** Questions. */
  n: number;
  /** 95 % interval of the accuracy over questions (Wilson). */
  low: number;
  /** Upper end. */
  high: number;
}

/** Scores on one split. */
export interface Evaluation {
  /** The split. */
  split: string;
  /** Mean of the families' accuracies. */
  macro: number;
  /** By family. */
  families: Record<string, Score>;
  /** By type of question. */
  tasks: Record<string, Score>;
}

/** Options of {@linkcode evaluate}. */
export interface EvaluateOptions {
  /** Splits to ask. Default `val`, `comp` and `style`. */
  splits?: readonly TestSplit[];
  /** Ask about the first samples only. */
  limit?: number;
  /** Rows of a batch. Default 50. */
  batchSize?: number;
  /** Show gray pictures instead: what can be answered without looking. Default false. */
  blind?: boolean;
  /** Called now and then with the share done. */
  onProgress?: (done: number) => void;
}

/** Splits that are held out. */
export type TestSplit = "val" | "comp" | "style";

/** Positions of an evaluation row. */
const LENGTH: Readonly<Record<string, number>> = { tiny: 48, small: 144, full: 144 };

/** Rows of a batch. Everything here uses the same, so that the same kernels serve. */
export const EVALUATION_ROWS = 50;

/** The likeliest next token at every position, `[B × T]`. */
function predictor(model: Lvlm): Compiled<Inputs, { best: Tensor }> {
  return compile((inputs) => ({
    best: argmax(applyLvlm(model, inputs as unknown as LvlmInputs).logits),
  }));
}

/** A batch filled up to `size` rows with copies of its first one that count as padding: one shape, one plan. */
export function fillBatch(batch: Batch, size: number): Batch {
  if (batch.size === size) return batch;
  const grow = <A extends Int32Array | Float32Array>(a: A): A => {
    const row = a.length / batch.size;
    const out =
      (a instanceof Int32Array ? new Int32Array(row * size) : new Float32Array(row * size)) as A;
    out.set(a);
    for (let r = batch.size; r < size; r++) out.set(a.subarray(0, row), r * row);
    return out;
  };
  const { length, pixels, tokens, positions, segments, labels, modality } = batch;
  const valid = grow(batch.valid);
  valid.fill(0, batch.size * length);
  return {
    size,
    length,
    pixels: grow(pixels),
    tokens: grow(tokens),
    positions: grow(positions),
    segments: grow(segments),
    labels: grow(labels),
    modality: grow(modality),
    valid,
  };
}

/**
 * Asks every question of the splits and compares the answers word for word, as greedy decoding would
 * give them (teacher forcing finds the same matches).
 */
export async function evaluate(
  model: Lvlm,
  data: EmojiVqa,
  options: EvaluateOptions = {},
): Promise<Evaluation[]> {
  const { splits = ["val", "comp", "style"], batchSize = EVALUATION_ROWS } = options;
  const predict = predictor(model);
  try {
    const results: Evaluation[] = [];
    for (const [number, split] of splits.entries()) {
      const families: Record<string, [number, number]> = {};
      const tasks: Record<string, [number, number]> = {};
      const batches = questionBatches(data, split, {
        ...rowOptions(model, data),
        batchSize,
        limit: options.limit,
      });
      let asked = 0;
      for (const { batch, spans } of batches) {
        const full = fillBatch(batch, batchSize);
        if (options.blind) full.pixels.fill(0);
        const { best } = await predict(batchInputs(full, data.imageSize));
        const tokens = await best.data();
        for (const { family, task, row, start, end } of spans) {
          let right = 1;
          for (let t = start; t < end; t++) {
            const at = row * batch.length + t;
            if (tokens[at] !== batch.labels[at]) right = 0;
          }
          for (const [table, key] of [[families, family], [tasks, task]] as const) {
            const entry = table[key] ??= [0, 0];
            entry[0] += right;
            entry[1]++;
          }
        }
        asked += spans.length;
        options.onProgress?.(
          (number + Math.min(1, asked / Math.max(1, data.sizes[split] * 6))) / splits.length,
        );
      }
      const scores = Object.fromEntries(Object.entries(families).map(([k, v]) => [k, score(v)]));
      results.push({
        split,
        macro: mean(Object.values(scores).map((s) => s.accuracy)),
        families: scores,
        tasks: Object.fromEntries(
          Object.entries(tasks).sort().map(([k, v]) => [k, score(v)]),
        ),
      });
    }
    options.onProgress?.(1);
    return results;
  } finally {
    predict.dispose();
  }
}

/** Layout of evaluation rows. */
export function rowOptions(
  model: Lvlm,
  data: EmojiVqa,
): { tokenizer: EmojiVqa["tokenizer"]; length: number; imageTokens: number } {
  return {
    tokenizer: data.tokenizer,
    length: LENGTH[data.scale],
    imageTokens: imageTokens(model.config.vision),
  };
}

function score([correct, n]: [number, number]): Score {
  const [low, high] = wilson(correct, n);
  return { accuracy: n === 0 ? 0 : correct / n, correct, n, low, high };
}

const mean = (xs: readonly number[]): number =>
  xs.reduce((a, b) => a + b, 0) / Math.max(1, xs.length);

/** A question about a picture and what the model says. */
export interface Answer {
  /** The picture and its questions. */
  sample: Sample;
  /** What was asked. */
  question: string;
  /** Its family. */
  family: string;
  /** The right answer. */
  expected: string;
  /** The model's answer, decoded greedily. */
  answer: string;
}

/**
 * The model's own words: greedy decoding, one question a row.
 *
 * @param asks which question of which sample
 * @param maxTokens longest answer. Default 8.
 * @throws {RangeError} if a sample has no such question.
 */
export async function answerQuestions(
  model: Lvlm,
  data: EmojiVqa,
  asks: readonly { sample: Sample; question: number }[],
  maxTokens = 8,
): Promise<Answer[]> {
  if (asks.length === 0) return [];
  const { tokenizer } = data;
  const layout = rowOptions(model, data);
  const asked = asks.map(({ sample, question }) => {
    const found = sample.questions[question];
    if (found) return found;
    throw new RangeError(
      `${sample.id} has ${sample.questions.length} questions, there is no number ${question}`,
    );
  });
  const prompts = asked.map(({ question }) => tokenizer.encode(question));
  const pixels = imagePixels(asks.map(({ sample }) => sample));
  const said: number[][] = asks.map(() => []);
  const open = asks.map(() => true);
  const size = EVALUATION_ROWS * Math.ceil(asks.length / EVALUATION_ROWS);
  const room = layout.length - layout.imageTokens - Math.max(...prompts.map((p) => p.length));
  const predict = predictor(model);
  try {
    for (let i = 0; i < Math.min(maxTokens, room) && open.includes(true); i++) {
      // A row reads the prompt and what was said so far; one token more, whatever it is, makes room
      // for the next.
      const rows = prompts.map((prompt, row) => ({
        id: asks[row].sample.id,
        segments: [{ prompt, answer: [...said[row], tokenizer.unk] }],
      }));
      const batch = fillBatch({ ...packRows(rows, layout), pixels }, size);
      const best = await (await predict(batchInputs(batch, data.imageSize))).best.data();
      prompts.forEach((prompt, row) => {
        if (!open[row]) return;
        const next = best[row * batch.length + layout.imageTokens + prompt.length - 1 + i];
        if (next === tokenizer.eos) open[row] = false;
        else said[row].push(next);
      });
    }
  } finally {
    predict.dispose();
  }
  return asks.map(({ sample }, row) => {
    const { question, answer: expected, family } = asked[row];
    return { sample, question, family, expected, answer: tokenizer.decode(said[row]) };
  });
}

/** Accuracy of a family on a split beside its blind floor: a row of tables and figures. */
export interface FamilyAccuracy {
  /** The split. */
  split: string;
  /** The family. */
  family: string;
  /** Share of right answers. */
  accuracy: number;
  /** Share of right answers without looking: the most frequent answer to each question text. */
  floor: number;
  /** 95 % interval over questions. */
  low: number;
  /** Upper end. */
  high: number;
  /** Questions. */
  n: number;
}

/** Evaluations as rows, one for each split and family, with their blind floors. */
export function accuracyRows(
  evaluations: readonly Evaluation[],
  data: EmojiVqa,
): FamilyAccuracy[] {
  return evaluations.flatMap(({ split, families }) => {
    const floors = data.blindFloors(split as TestSplit).families;
    return data.families.filter((family) => family in families).map((family) => {
      const { accuracy, low, high, n } = families[family];
      return { split, family, accuracy, floor: floors[family], low, high, n };
    });
  });
}
