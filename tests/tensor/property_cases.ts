/** Random cases by number: which graph, which results, computed in which way. */
import { Random } from "../../src/tensor/mod.ts";
import { Draft, type Family } from "./property_draft.ts";
import * as elementwise from "./property_elementwise.ts";
import * as functions from "./property_functions.ts";
import type { Graph } from "./property_graph.ts";
import * as indexing from "./property_indexing.ts";
import * as movement from "./property_movement.ts";
import * as reductions from "./property_reductions.ts";

/** How often the families of operations are drawn, where not once. */
const OFTEN: ReadonlyMap<Family, number> = new Map([
  [elementwise.smooth, 8],
  [elementwise.binary, 8],
  [elementwise.bent, 3],
  [elementwise.withNumber, 2],
  [elementwise.masked, 2],
  [movement.moved, 10],
  [movement.joined, 2],
  [reductions.reduced, 6],
  [reductions.normalizedExponentials, 2],
  [reductions.product, 3],
]);

/** The families, each as often as it is drawn. */
const FAMILIES: readonly Family[] = [elementwise, movement, reductions, indexing, functions]
  .flatMap((file): Family[] => Object.values(file))
  .flatMap((family) => new Array<Family>(OFTEN.get(family) ?? 1).fill(family));

/** Size of a case. */
interface Size {
  /** Share of the cases. */
  readonly share: number;
  /** Fewest and most operations drawn; what operands are seen through comes on top. */
  readonly operations: readonly [number, number];
  /** Elements of the largest value. */
  readonly limit: number;
}

/**
 * Most cases are of one to three operations, for every operation is a kernel or a part of one and a
 * software driver compiles about 20 kernels a second. Deep graphs test what is fused and what is
 * stored; large ones, kernels that treat several elements an invocation and long reductions.
 */
const SIZES: readonly Size[] = [
  { share: 0.84, operations: [1, 3], limit: 400 },
  { share: 0.08, operations: [4, 8], limit: 300 },
  { share: 0.04, operations: [10, 18], limit: 200 },
  { share: 0.04, operations: [1, 2], limit: 6000 },
];

function weighted<T extends { share: number }>(random: Random, all: readonly T[]): T {
  let left = random.uniform() * all.reduce((s, x) => s + x.share, 0);
  return all.find((x) => (left -= x.share) < 0) ?? all[0];
}

/** Draws case `number` of a seed. */
export function drawCase(seed: number, number: number): Graph {
  const random = new Random(seed, `case ${number}`);
  const size = weighted(random, SIZES), [fewest, most] = size.operations;
  const d = new Draft(random, size.limit);
  // Large: rows of a multiple of four, which kernels of several elements an invocation want.
  if (size.limit > 1000) d.input([20 + random.int(20), 4 * (26 + random.int(10))]);
  else d.operand(d.shape());
  const count = fewest + random.int(most - fewest + 1), results: number[] = [];
  while (results.length < count) {
    if (d.try(random.pick(FAMILIES))) results.push(d.nodes.length - 1);
  }
  // The last result, and in deep graphs some before it, which changes what is fused.
  const last = results.length - 1;
  return d.graph(results.filter((_, i) => i === last || (count > 3 && random.bool(0.2))));
}
