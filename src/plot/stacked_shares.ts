/**
 * Shares of the experts as stacked parts of a bar, for one run or for several seeds.
 *
 * @module
 */

import type { ModalityCounts, RoutingSummary } from "../study/routing_summary.ts";
import { range } from "./estimate.ts";
import { round } from "./numbers.ts";

/** A part of every bar: an expert, or, over several seeds, a rank among the experts of a group. */
export interface StackPart {
  /** Place of the expert in the counts. */
  readonly index: number;
  /** Name inside of the bar. */
  readonly name: string;
  /** Name in the legend. */
  readonly title: string;
  /** Group of the expert. */
  readonly group: string;
  /** Place in its group, from 0. */
  readonly member: number;
}

/** One bar. */
export interface StackedBar {
  /** Mean share of each part over the seeds; 0 where no token was routed. */
  readonly shares: readonly number[];
  /** Lowest and highest seed of the share up to and including each part. */
  readonly edges: readonly { readonly mean: number; readonly low: number; readonly high: number }[];
  /** Choices of each part, of a single run. */
  readonly choices?: readonly number[];
}

/**
 * The parts from the bottom of the stack to its top: shared experts first, then the others.
 *
 * Experts of a group start equal and are told apart by chance only, so "S1" of two seeds have
 * nothing in common; over several seeds the parts of a group are therefore its experts by use.
 *
 * @param summary Names of the experts.
 * @param ranked Whether the parts are ranks within a group instead of experts.
 */
export function stackParts({ experts }: RoutingSummary, ranked: boolean): StackPart[] {
  const members = new Map<string, number>();
  const parts = experts.map(({ name, group }, index): StackPart => {
    const member = members.get(group) ?? 0;
    members.set(group, member + 1);
    return { index, name, title: `${name} (${group})`, group, member };
  }).map((part): StackPart => {
    if (!ranked || members.get(part.group) === 1) return part;
    const rank = ["1st", "2nd", "3rd"][part.member] ?? `${part.member + 1}th`;
    const letter = part.name.replace(/\d+$/, "");
    return {
      ...part,
      name: `${letter} ${rank}`,
      title: `${letter}, ${rank} by use (${part.group})`,
    };
  });
  return [
    ...parts.filter(({ group }) => group === "shared"),
    ...parts.filter(({ group }) => group !== "shared"),
  ];
}

/**
 * One bar from the counts of every seed.
 *
 * @param entries Counts of one layer and modality, one entry a seed.
 * @param parts The parts of the stack.
 * @param ranked Whether the parts are ranks within a group.
 */
export function stackedBar(
  entries: readonly (ModalityCounts | undefined)[],
  parts: readonly StackPart[],
  ranked: boolean,
): StackedBar {
  const seeds = entries.map((entry) => {
    const shares = parts.map(({ index }) => share(entry, index));
    return ranked ? byRank(shares, parts) : shares;
  });
  const sums = seeds.map((shares) => {
    let sum = 0;
    return shares.map((value) => sum += value);
  });
  return {
    shares: parts.map((_, place) => round(range(seeds.map((shares) => shares[place])).mean)),
    edges: parts.map((_, place) => range(sums.map((edges) => edges[place]))),
    ...(ranked ? {} : { choices: parts.map(({ index }) => entries[0]?.counts[index] ?? 0) }),
  };
}

/** Sorts the shares within each group, largest first. */
function byRank(shares: readonly number[], parts: readonly StackPart[]): number[] {
  return parts.map(({ group, member }) =>
    shares.filter((_, place) => parts[place].group === group).sort((a, b) => b - a)[member]
  );
}

/** Share of the choices that went to an expert; 0 where no token was routed. */
function share(entry: ModalityCounts | undefined, expert: number): number {
  const total = entry?.counts.reduce((sum, count) => sum + count, 0) ?? 0;
  return entry && total > 0 ? entry.counts[expert] / total : 0;
}
