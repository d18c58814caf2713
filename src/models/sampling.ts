/**
 * Choosing the next token. The order of the steps is that of Hugging Face transformers (4.45,
 * `generation/logits_process.py`): repetition penalty, temperature, top-k, top-p, min-p.
 */
import { type Random, unknownName } from "../tensor/mod.ts";

/** How tokens are chosen. Without options: always the likeliest one. */
export interface SamplingOptions {
  /** Divisor of the logits; 0 for the likeliest token always ("greedy"). Default 0. */
  temperature?: number;
  /** Draw from this many likeliest tokens only. Default all. */
  topK?: number;
  /**
   * Draw from the fewest likeliest tokens that have this share of the probability (nucleus sampling,
   * Holtzman et al. 2020). Default 1.
   */
  topP?: number;
  /** Draw only from tokens this many times as likely as the likeliest, at least. Default 0. */
  minP?: number;
  /**
   * Tokens that were there before have their logits divided by this if positive, multiplied if
   * negative (Keskar et al. 2019). Default 1.
   */
  repetitionPenalty?: number;
  /** Seed of the draws. Default 0. */
  seed?: number;
}

const RANGES: Readonly<Record<string, (value: number) => boolean>> = {
  temperature: (v) => v >= 0 && v < Infinity,
  topK: (v) => Number.isInteger(v) && v >= 1,
  topP: (v) => v > 0 && v <= 1,
  minP: (v) => v >= 0 && v <= 1,
  repetitionPenalty: (v) => v > 0 && v < Infinity,
  seed: (v) => Number.isSafeInteger(v) && v >= 0,
};

const WANTED: Readonly<Record<string, string>> = {
  temperature: "0 or more",
  topK: "a positive whole number",
  topP: "above 0 and at most 1",
  minP: "from 0 to 1",
  repetitionPenalty: "above 0",
  seed: "a whole number of at least 0",
};

/**
 * Checks sampling options.
 *
 * @throws {RangeError} if a number is out of its range, or options draw that greedy choice ignores.
 */
export function checkSampling(options: SamplingOptions): void {
  for (const [name, isFine] of Object.entries(RANGES)) {
    const value: unknown = options[name as keyof SamplingOptions];
    if (value !== undefined && !(typeof value === "number" && isFine(value))) {
      throw new RangeError(`${name} = ${value} must be ${WANTED[name]}`);
    }
  }
  const { temperature = 0, topK, topP, minP } = options;
  const idle = Object.entries({ topK, topP, minP }).find(([, value]) => value !== undefined);
  if (temperature === 0 && idle) {
    throw new RangeError(
      `${idle[0]} = ${
        idle[1]
      } needs a temperature above 0: without one the likeliest token is taken`,
    );
  }
}

/** The names of the options, for programs that pass them on. */
export const SAMPLING_OPTIONS: readonly string[] = Object.keys(RANGES);

/** Refuses options of other names. @throws {RangeError} with the nearest name. */
export function checkOptionNames(options: object, known: readonly string[]): void {
  const strange = Object.keys(options).find((name) => !known.includes(name));
  if (strange !== undefined) throw unknownName("option", strange, known);
}

/** The number of the largest value; the first of equal ones. */
export function largestAt(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

/** Below this share of the likeliest token's probability a token is left out: e^-40, no f32 notices. */
const NEGLIGIBLE = 40;

/**
 * Chooses a token.
 *
 * @param logits one for every token @param random a stream of its own
 * @param earlier tokens that were there before, for the repetition penalty
 */
export function sampleToken(
  logits: Float32Array,
  options: SamplingOptions,
  random: Random,
  earlier: ReadonlySet<number> = new Set(),
): number {
  const { temperature = 0, topK = Infinity, topP = 1, minP = 0, repetitionPenalty = 1 } = options;
  let scores = logits;
  if (repetitionPenalty !== 1) {
    scores = scores.slice();
    for (const id of earlier) {
      scores[id] = scores[id] > 0 ? scores[id] / repetitionPenalty : scores[id] * repetitionPenalty;
    }
  }
  if (temperature === 0) return largestAt(scores);
  const top = scores[largestAt(scores)];
  let kept: { id: number; share: number }[] = [];
  scores.forEach((score, id) => {
    const below = (top - score) / temperature;
    if (below <= NEGLIGIBLE) kept.push({ id, share: Math.exp(-below) });
  });
  if (topK < Infinity || topP < 1) {
    kept.sort((a, b) => b.share - a.share || a.id - b.id);
    kept = kept.slice(0, topK);
  }
  if (topP < 1) {
    const wanted = topP * total(kept);
    let sum = 0;
    // The token that reaches the share is the last one.
    kept = kept.filter(({ share }) => (sum += share) - share < wanted);
  }
  kept = kept.filter(({ share }) => share >= minP);
  let left = random.uniform() * total(kept);
  return (kept.find(({ share }) => (left -= share) < 0) ?? kept[kept.length - 1]).id;
}

function total(kept: readonly { share: number }[]): number {
  return kept.reduce((sum, { share }) => sum + share, 0);
}
