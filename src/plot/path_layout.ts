/**
 * Where the ribbons of a path flow run: vertical places are shares of the tokens from the top,
 * horizontal ones layers.
 *
 * @module
 */

import { round } from "./numbers.ts";
import type { ExpertPath, PathCounts } from "./path_flow.ts";

/** Gap between the nodes of a layer, in shares. */
export const GAP = 0.05;

/** A path with its rank, and the place of its ribbon in every layer. */
export interface Ribbon {
  /** Rank by tokens, from 1. */
  readonly rank: number;
  /** The path. */
  readonly path: ExpertPath;
  /** Its share of the tokens. */
  readonly share: number;
  /** Upper edge in each layer. */
  readonly tops: number[];
}

/** An expert in a layer: a bar that ribbons pass through. */
export interface PathNode {
  /** Name of the expert. */
  readonly name: string;
  /** Place of the layer. */
  readonly layer: number;
  /** Upper end, in shares from the top. */
  readonly top: number;
  /** Lower end. */
  readonly bottom: number;
}

/** Ranks the paths and stacks them in every layer: experts in order, ranks in order within one. */
export function arrange(
  { paths, layers }: PathCounts,
  total: number,
  top: number,
  order?: readonly string[],
): { ribbons: Ribbon[]; nodes: PathNode[]; bottom: number } {
  const ribbons = merged(paths).toSorted((a, b) => b.tokens - a.tokens).slice(0, top)
    .map((path, index): Ribbon => ({
      rank: index + 1,
      path,
      share: path.tokens / total,
      tops: [],
    }));
  const alphabetical = [...new Set(ribbons.flatMap(({ path }) => path.experts))].sort();
  const place = (name: string): number => {
    const known = order?.indexOf(name) ?? -1;
    return known >= 0 ? known : (order?.length ?? 0) + alphabetical.indexOf(name);
  };
  const names = alphabetical.toSorted((a, b) => place(a) - place(b));
  const nodes: PathNode[] = [];
  let bottom = 0;
  layers.forEach((_, layer) => {
    let y = 0;
    for (const name of names) {
      const own = ribbons.filter(({ path }) => path.experts[layer] === name);
      if (own.length === 0) continue;
      const start = y;
      for (const ribbon of own) {
        ribbon.tops.push(y);
        y += ribbon.share;
      }
      nodes.push({ name, layer, top: round(start), bottom: round(y) });
      bottom = Math.max(bottom, y);
      y += GAP;
    }
  });
  return { ribbons, nodes, bottom };
}

/** The paths, each once. */
function merged(paths: readonly ExpertPath[]): ExpertPath[] {
  const sums = new Map<string, ExpertPath>();
  for (const { experts, tokens } of paths) {
    const key = JSON.stringify(experts);
    sums.set(key, { experts, tokens: tokens + (sums.get(key)?.tokens ?? 0) });
  }
  return [...sums.values()];
}

/** Straight through the nodes, with an S-shaped curve from each to the next. */
export function outline(tops: readonly number[], node: number): [number, number][] {
  return tops.flatMap((y, layer): [number, number][] => {
    const here: [number, number][] = [[layer - node, y], [layer + node, y]];
    if (layer === tops.length - 1) return here;
    const next = tops[layer + 1];
    const steps = next === y ? [] : [1, 2, 3, 4, 5, 6, 7, 8, 9];
    return [
      ...here,
      ...steps.map((step): [number, number] => {
        const t = step / 10;
        return [layer + node + t * (1 - 2 * node), y + (next - y) * t * t * (3 - 2 * t)];
      }),
    ];
  });
}

/** Moves places down until neighbours are `distance` apart; the order stays. */
export function apart(places: readonly number[], distance: number): number[] {
  const order = places.map((_, index) => index).sort((a, b) => places[a] - places[b]);
  const moved = [...places];
  order.forEach((index, position) => {
    if (position === 0) return;
    moved[index] = Math.max(moved[index], moved[order[position - 1]] + distance);
  });
  return moved;
}
