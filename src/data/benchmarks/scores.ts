/** Means and groups, for metrics. */

import type { Prediction, Score } from "./types.ts";

/** The mean of numbers, 0 of none. */
export function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Lists by a name, in the order in which the names first come. */
export function groupBy<T>(list: readonly T[], name: (one: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const one of list) {
    const group = groups.get(name(one));
    if (group) group.push(one);
    else groups.set(name(one), [one]);
  }
  return groups;
}

/** @throws {RangeError} if there are no predictions */
export function checkSome(predictions: readonly Prediction[]): void {
  if (predictions.length === 0) throw new RangeError("there are no predictions to score");
}

/** How probably a question is guessed: one of its choices; 0 for an open one. */
export function guess({ row }: Prediction): number {
  return row.choices ? 1 / row.choices.length : 0;
}

/** The share of right answers in percent, where `right` gives 1, 0 or something between. */
export function accuracy(
  metric: string,
  predictions: readonly Prediction[],
  right: (prediction: Prediction) => number,
  chance: (prediction: Prediction) => number = guess,
): Score {
  const guessed = 100 * mean(predictions.map(chance));
  return {
    metric,
    value: 100 * mean(predictions.map(right)),
    n: predictions.length,
    ...(guessed > 0 ? { chance: guessed } : {}),
  };
}

/** The accuracy, and the one of each category where there are several. */
export function accuracies(
  predictions: readonly Prediction[],
  right: (prediction: Prediction) => number,
  category: string = "category",
  chance: (prediction: Prediction) => number = guess,
): Score[] {
  checkSome(predictions);
  const groups = groupBy(predictions, ({ row }) => String(row.meta[category] ?? ""));
  const parts = groups.size < 2
    ? []
    : [...groups].map(([name, list]) => accuracy(`accuracy ${name}`, list, right, chance));
  return [accuracy("accuracy", predictions, right, chance), ...parts];
}
