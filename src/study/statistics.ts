/** The few statistics that reports need. */
// Of the packages that have Student's quantile, jStat is one file under the MIT licence without
// dependencies (the modular alternative brings 222 packages); it is tested against printed tables.
import jStat from "jstat";

/** What of jStat is used here; the package brings no types. */
const { mean, stdev, studentt } = jStat as unknown as {
  mean(values: readonly number[]): number;
  stdev(values: readonly number[], sample: boolean): number;
  studentt: { inv(probability: number, degreesOfFreedom: number): number };
};

/** z of a two-sided 95 % interval. */
const Z = 1.959963984540054;

/**
 * 95 % interval of a proportion (Wilson 1927): sound for few questions and for shares near 0 and 1.
 *
 * @returns lower and upper end; 0 and 1 if nothing was asked
 */
export function wilson(correct: number, n: number): [low: number, high: number] {
  if (n === 0) return [0, 1];
  const p = correct / n, z2 = Z * Z;
  const centre = (p + z2 / (2 * n)) / (1 + z2 / n);
  const half = Z / (1 + z2 / n) * Math.sqrt(p * (1 - p) / n + z2 / (4 * n * n));
  return [Math.max(0, centre - half), Math.min(1, centre + half)];
}

/** A number measured once a seed, with what is known of its uncertainty. */
export interface Estimate {
  /** Mean over the seeds. */
  readonly mean: number;
  /** Lower end of the 95 % interval; missing with one seed. */
  readonly low?: number;
  /** Upper end. */
  readonly high?: number;
  /** Number of seeds. */
  readonly n: number;
  /** The value of every seed. */
  readonly seeds: readonly number[];
}

/**
 * Mean and 95 % interval over seeds: mean ± t(0.975, n − 1) · s / √n, with the standard deviation s of
 * the sample (Student 1908). It holds for values that scatter normally. One value has no interval.
 *
 * @throws {RangeError} if there is no value.
 */
export function estimate(values: readonly number[]): Estimate {
  const n = values.length;
  if (n === 0) throw new RangeError("estimate: there are no values");
  const centre = mean(values), seeds = [...values];
  if (n === 1) return { mean: centre, n, seeds };
  const half = studentt.inv(0.975, n - 1) * stdev(values, true) / Math.sqrt(n);
  return { mean: centre, low: centre - half, high: centre + half, n, seeds };
}

/**
 * Differences a − b of the seeds that both have, with their 95 % interval (paired t): what the seeds
 * have in common, data order and connector, drops out.
 *
 * @returns undefined if they have no seed in common
 */
export function pairedDifference(
  a: ReadonlyMap<number, number>,
  b: ReadonlyMap<number, number>,
): Estimate | undefined {
  const both = [...a.keys()].filter((seed) => b.has(seed)).sort((x, y) => x - y);
  if (both.length === 0) return undefined;
  return estimate(both.map((seed) => a.get(seed)! - b.get(seed)!));
}

/** What the interval of a difference allows to say. */
export type Verdict = "higher" | "lower" | "no difference shown" | "one seed: no interval";

/** Reads a difference: only an interval without zero shows one. */
export function verdict({ low, high }: Pick<Estimate, "low" | "high">): Verdict {
  if (low === undefined || high === undefined) return "one seed: no interval";
  return low > 0 ? "higher" : high < 0 ? "lower" : "no difference shown";
}
