/**
 * The feed-forward layer: one layer for every variant. Tokens are routed by the pool table, sorted
 * by expert, multiplied group by group, and gathered back (MegaBlocks, Gale et al. 2022). Nothing
 * waits for the device and no token is dropped.
 */
import {
  cat,
  combineRows,
  dispatchRows,
  div,
  equal,
  expand,
  greaterEqual,
  groupedMatmul,
  linear,
  mul,
  narrow,
  oneHot,
  ones,
  type Random,
  reshape,
  silu,
  softmax,
  sortByGroup,
  squeeze,
  sum,
  take,
  takeAlong,
  type Tensor,
  tensor,
  topK,
  where,
} from "../tensor/mod.ts";
import { normal } from "../nn/mod.ts";
import { type PoolTable, routersOf } from "./table.ts";

/** Rows of a tile of the grouped products: a group is padded to whole tiles. */
export const TILE = 32;

/** Stands for -∞ in the scores of forbidden experts: e^x is exactly 0. */
const NO_EXPERT = -1e30;

/** In place of a router's column: the modality may not use the expert, or has no other. */
const FORBIDDEN = -1, ONLY = -2;

/** A feed-forward layer: SwiGLU experts and the routers of its pool table. */
export interface FeedForward {
  /** Who may use which expert. */
  table: PoolTable;
  /** One weight for each router, `[pool size, D]`, without bias. */
  routers: Tensor[];
  /** Gate and up projections of all experts, `[E, 2F, D]`, the gate's F rows first. */
  gateUp: Tensor;
  /** Down projections, `[E, D, F]`. */
  down: Tensor;
}

/** What routing decided in one layer: the input of losses, records and figures. */
export interface Routing {
  /** The layer's table. */
  table: PoolTable;
  /** `[T]` i32 modality of every token. */
  modality: Tensor;
  /** `[T, E]` routing probabilities, zero for forbidden experts. */
  probabilities: Tensor;
  /** `[T, k]` i32 chosen experts, likeliest first. */
  chosen: Tensor;
  /** `[T, k]` weights of the chosen experts. */
  weights: Tensor;
  /** `[T]` i32, 0 for padding; every token counts if missing. */
  valid?: Tensor;
}

/** Sizes of a new layer. */
export interface FeedForwardOptions {
  /** Width D of the tokens. */
  width: number;
  /** Inner width F of each expert. */
  hidden: number;
  /** Standard deviation of router weights. Default 0.02. */
  routerStd?: number;
  /** Standard deviation of the down projections. Default 1/√F. */
  outputStd?: number;
}

/** A new layer with random experts. */
export function makeFeedForward(
  random: Random,
  table: PoolTable,
  options: FeedForwardOptions,
): FeedForward {
  const { width, hidden, routerStd = 0.02 } = options;
  const e = table.experts.length;
  return {
    table,
    routers: makeRouters(random, table, width, routerStd),
    gateUp: normal(random, [e, 2 * hidden, width], 1 / Math.sqrt(width)),
    down: normal(random, [e, width, hidden], options.outputStd ?? 1 / Math.sqrt(hidden)),
  };
}

/** New routers for a table: normal with the standard deviation that the published models use, 0.02. */
export function makeRouters(
  random: Random,
  table: PoolTable,
  width: number,
  std: number = 0.02,
): Tensor[] {
  return routersOf(table).map(({ experts }) => normal(random, [experts.length, width], std));
}

/** How a layer is applied. */
export interface FeedForwardUse {
  /** `[T]` i32, positions in the table's pools. */
  modality: Tensor;
  /** `[T]` i32, 0 for padding: such tokens count in no loss. */
  valid?: Tensor;
  /** Compute nothing for padding; its result is zero. Default false, as published. */
  skipPadding?: boolean;
}

/**
 * Applies the layer.
 *
 * @param x `[T, D]` @returns `[T, D]`, and the routing unless the table has one expert only
 */
export function applyFeedForward(
  layer: FeedForward,
  x: Tensor,
  use: FeedForwardUse,
): { y: Tensor; routing: Routing | undefined } {
  const { table, gateUp, down } = layer;
  const [count, , width] = gateUp.shape;
  if (x.rank !== 2 || x.shape[1] !== width) {
    throw new RangeError(
      `feed-forward ${gateUp.name ?? ""}: input ${x} must be [tokens, ${width}]`,
    );
  }
  if (use.modality.rank !== 1 || use.modality.shape[0] !== x.shape[0]) {
    throw new RangeError(
      `feed-forward ${gateUp.name ?? ""}: modality ${use.modality} does not fit input ${x}`,
    );
  }
  if (count === 1) {
    const h = swiglu(linear(x, squeeze(gateUp, 0)));
    return { y: linear(h, squeeze(down, 0)), routing: undefined };
  }
  const routing = route(layer, x, use);
  const k = table.topK, tokens = x.shape[0];
  let group = reshape(routing.chosen, [tokens * k]);
  if (use.skipPadding && use.valid) {
    const kept = greaterEqual(use.valid, 1);
    group = where(
      reshape(expand(reshape(kept, [tokens, 1]), [tokens, k]), [tokens * k]),
      group,
      -1,
    );
  }
  const sorted = sortByGroup(group, count, TILE);
  const rows = dispatchRows(x, sorted, k);
  const h = swiglu(groupedMatmul(rows, gateUp, sorted));
  const out = groupedMatmul(h, down, sorted);
  const weight = dispatchRows(reshape(routing.weights, [tokens * k, 1]), sorted, 1);
  return { y: combineRows(mul(out, weight), sorted, k), routing };
}

/** silu(gate) × up, of the two halves of the last dimension. */
function swiglu(gateUp: Tensor): Tensor {
  const half = gateUp.shape.at(-1)! / 2;
  return mul(silu(narrow(gateUp, -1, 0, half)), narrow(gateUp, -1, half, half));
}

/**
 * Chooses experts: softmax over the allowed ones only, in f32, then top-k, then (unless switched
 * off) division by the sum of the chosen probabilities (paper eqs. 1 and 2).
 */
export function route(layer: FeedForward, x: Tensor, use: FeedForwardUse): Routing {
  const { table, routers } = layer;
  const { modality, valid } = use;
  if (routers.length === 0) return assign(table, use);
  const logits = linear(x, cat(routers, 0));
  const column = take(columnsOf(table), modality); // [T, E]
  const score = where(greaterEqual(column, 0), takeAlong(logits, column, 1), NO_EXPERT);
  const scores = where(equal(column, ONLY), 0, score);
  const probabilities = softmax(scores);
  // Ranked by score: a probability that rounds to 0 would tie with those of forbidden experts.
  const { indices: chosen } = topK(scores, table.topK);
  const kept = takeAlong(probabilities, chosen, 1);
  const weights = table.renormalise ? div(kept, sum(kept, { axes: 1, keepDims: true })) : kept;
  return { table, modality, valid, probabilities, chosen, weights };
}

/** Routing where every modality has one expert: nothing to choose (the released Modality MoE). */
function assign(table: PoolTable, { modality, valid }: FeedForwardUse): Routing {
  const pools = table.pools.map((p) => p.experts[0]);
  const chosen = take(tensor(new Int32Array(pools), { shape: [pools.length, 1] }), modality);
  const probabilities = oneHot(reshape(chosen, [chosen.size]), table.experts.length);
  return { table, modality, valid, probabilities, chosen, weights: ones(chosen.shape) };
}

/**
 * `[modalities, E]` i32: the column of an expert in the joined router outputs, {@linkcode FORBIDDEN}
 * or {@linkcode ONLY}.
 */
function columnsOf(table: PoolTable): Tensor {
  const routers = routersOf(table);
  const starts = routers.map((_, r) =>
    routers.slice(0, r).reduce((n, { experts }) => n + experts.length, 0)
  );
  const flat = table.pools.flatMap(({ experts, router }) =>
    table.experts.map((_, e) => {
      const i = experts.indexOf(e);
      return i < 0 ? FORBIDDEN : router === undefined ? ONLY : starts[router] + i;
    })
  );
  return tensor(new Int32Array(flat), { shape: [table.pools.length, table.experts.length] });
}
