/**
 * Numbers that were measured once a seed, and how figures draw and describe them.
 *
 * @module
 */

import type { Json } from "./figure.ts";
import { significant } from "./numbers.ts";

/** A number with what is known of its uncertainty, in the unit that the figure names. */
export interface Estimate {
  /** Mean over the seeds, or the only value. */
  readonly mean: number;
  /** Lower end of the interval. */
  readonly low?: number;
  /** Upper end of the interval. */
  readonly high?: number;
  /** The value of every seed, drawn as small ticks. */
  readonly seeds?: readonly number[];
  /** Number of seeds, where their values are not at hand. */
  readonly n?: number;
}

/**
 * How the intervals of a figure were made, if they were not made the usual way.
 */
export interface IntervalOptions {
  /** Name of the interval; "95 % t interval over seeds" by default. */
  readonly interval?: string;
}

/**
 * Whiskers of some estimates. Estimates without an interval get none.
 *
 * @param estimates The estimates, in the order of the points.
 * @param color Colour of the whiskers.
 * @param scale Factor from the estimates' unit to that of the axis.
 * @returns A plotly `error_x` or `error_y`.
 */
export function whiskers(
  estimates: readonly Estimate[],
  color: string,
  scale = 1,
): Json {
  return {
    type: "data",
    symmetric: false,
    array: estimates.map(({ mean, high }) => significant(((high ?? mean) - mean) * scale)),
    arrayminus: estimates.map(({ mean, low }) => significant((mean - (low ?? mean)) * scale)),
    color,
    thickness: 1.4,
    width: 4,
  };
}

/** Number of seeds behind an estimate; undefined when it does not say. */
export function seedCount({ seeds, n }: Estimate): number | undefined {
  return n ?? seeds?.length;
}

/**
 * Says what marks and whiskers are: how many seeds, and which interval.
 *
 * @param estimates All estimates of the figure.
 * @param interval Name of the interval.
 * @param mark What shows the intervals; single seeds are drawn beside whiskers only.
 * @returns A phrase for the figure's subtitle.
 */
export function estimateCaption(
  estimates: readonly Estimate[],
  interval = "95 % t interval over seeds",
  mark: "whiskers" | "bands" = "whiskers",
): string {
  const counts = estimates.map(seedCount).filter((count) => count !== undefined);
  const [fewest, most] = [Math.min(...counts), Math.max(...counts)];
  const seeds = counts.length === 0
    ? "number of seeds not given"
    : most === 1
    ? "one seed (n = 1), so no interval over seeds"
    : `mean of ${fewest === most ? `n = ${most}` : `n = ${fewest} to ${most}`} seeds`;
  const hasInterval = estimates.some(({ low, high }) => low !== undefined || high !== undefined);
  const hasTicks = mark === "whiskers" && estimates.some(({ seeds }) => (seeds?.length ?? 0) > 1);
  return [
    seeds,
    ...(hasInterval ? [`${mark}: ${interval}`] : []),
    ...(hasTicks ? ["small ticks: single seeds"] : []),
  ].join("; ");
}

/** Lowest and highest value that the marks of some estimates reach. */
export function extent(estimates: readonly Estimate[]): [low: number, high: number] {
  const values = estimates.flatMap(({ mean, low, high, seeds = [] }) => [
    mean,
    low ?? mean,
    high ?? mean,
    ...seeds,
  ]);
  return [Math.min(...values), Math.max(...values)];
}

/** Mean, lowest and highest of some numbers. */
export function range(values: readonly number[]): { mean: number; low: number; high: number } {
  return {
    mean: values.reduce((sum, value) => sum + value, 0) / values.length,
    low: Math.min(...values),
    high: Math.max(...values),
  };
}
