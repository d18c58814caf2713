/**
 * Which samples make up batch number i.
 *
 * @module
 */

import { unknownName } from "../tensor/nearest.ts";
import { Random } from "../tensor/random.ts";

/** Options of {@linkcode Sampler}. */
export interface SamplerOptions {
  /** Seed; the same seed gives the same batches. */
  seed: number;
  /** Samples per batch. */
  batchSize: number;
  /** How many samples there are, or the group that each belongs to (as from `EmojiVqa.kinds`). */
  groups: number | readonly string[];
  /**
   * Factors by which samples of a group are drawn more often, as in `{ ocr: 4 }`; 1 where nothing
   * is said. With weights (even `{}`) samples are drawn with replacement; without, every epoch is
   * a permutation of all samples.
   */
  weights?: Readonly<Record<string, number>>;
}

/**
 * Draws batches of sample indices.
 *
 * Batch i is a pure function of the options and i, so a run resumes from its step number alone.
 */
export class Sampler {
  /** How many samples there are. */
  readonly sampleCount: number;
  /** Samples per batch. */
  readonly batchSize: number;
  #seed: number;
  #sums: Float64Array | undefined;
  #epoch: { number: number; order: Uint32Array } | undefined;

  /**
   * Makes a sampler.
   *
   * @throws RangeError when there are no samples, a number is not a positive whole one, or a weight
   * is negative, not finite, of no known group, or all are zero
   */
  constructor({ seed, batchSize, groups, weights }: SamplerOptions) {
    this.sampleCount = typeof groups === "number" ? groups : groups.length;
    this.batchSize = batchSize;
    this.#seed = seed;
    for (const [name, value] of Object.entries({ batchSize, samples: this.sampleCount })) {
      if (!Number.isSafeInteger(value) || value < 1) {
        throw new RangeError(`a sampler needs a whole ${name} of at least 1, got ${value}`);
      }
    }
    if (weights) this.#sums = weightSums(groups, weights);
  }

  /**
   * The indices of the samples in a batch.
   *
   * @param i the batch's number, from 0
   * @throws RangeError when i is not a whole number from 0
   */
  batch(i: number): number[] {
    if (!Number.isSafeInteger(i) || i < 0) {
      throw new RangeError(`batches are numbered from 0, got ${i}`);
    }
    if (this.#sums) {
      const sums = this.#sums, random = new Random(this.#seed, `sampler/batch ${i}`);
      return Array.from(
        { length: this.batchSize },
        () => firstAbove(sums, random.uniform() * sums[sums.length - 1]),
      );
    }
    return Array.from({ length: this.batchSize }, (_, j) => {
      const position = i * this.batchSize + j;
      return this.#order(Math.floor(position / this.sampleCount))[position % this.sampleCount];
    });
  }

  /** The permutation of an epoch; the last one used is kept. */
  #order(number: number): Uint32Array {
    if (this.#epoch?.number !== number) {
      const order = Uint32Array.from({ length: this.sampleCount }, (_, index) => index);
      new Random(this.#seed, `sampler/epoch ${number}`).shuffle(order);
      this.#epoch = { number, order };
    }
    return this.#epoch.order;
  }
}

function weightSums(
  groups: number | readonly string[],
  weights: Readonly<Record<string, number>>,
): Float64Array {
  const names = typeof groups === "number" ? [] : [...new Set(groups)];
  for (const [name, weight] of Object.entries(weights)) {
    if (!names.includes(name)) throw unknownName("group of samples", name, names);
    if (!Number.isFinite(weight) || weight < 0) {
      throw new RangeError(
        `the weight of "${name}" must be finite and not negative, got ${weight}`,
      );
    }
  }
  const length = typeof groups === "number" ? groups : groups.length;
  const sums = new Float64Array(length);
  let sum = 0;
  for (let i = 0; i < length; i++) {
    sums[i] = sum += typeof groups === "number" ? 1 : weights[groups[i]] ?? 1;
  }
  if (sum === 0) throw new RangeError("all samples have weight 0");
  return sums;
}

/** The first place whose running sum is above a value. */
function firstAbove(sums: Float64Array, value: number): number {
  let low = 0, high = sums.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sums[middle] > value) high = middle;
    else low = middle + 1;
  }
  return low;
}
