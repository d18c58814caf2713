/**
 * The feed-forward layer: one layer for every variant. Tokens are routed by the pool table, sorted
 * by expert, multiplied group by group, and gathered back (MegaBlocks, Gale et al. 2022). Nothing
 * waits for the device, and unless a capacity is set no token is dropped.
 */
import {
  add,
  cast,
  combineRows,
  dispatchRows,
  expand,
  greaterEqual,
  groupedMatmul,
  linear,
  mul,
  type Random,
  reshape,
  sigmoid,
  sortByGroup,
  squeeze,
  swiglu,
  type Tensor,
  tensor,
  where,
} from "../tensor/mod.ts";
import { constant, normal } from "../nn/mod.ts";
import {
  route,
  type Router,
  routerColumns,
  type Routing,
  type RoutingOptions,
  type RoutingUse,
} from "./routing.ts";
import { type PoolTable, routersOf } from "./table.ts";

/** Rows of a tile of the grouped products, in small layers and in large ones. */
export const TILE = 32, LARGE_TILE = 128;
/** Rows of an expert, if all have as many, from which padding to large tiles is below four percent. */
const LARGE = 2048;

/**
 * Rows of a tile of the grouped products: a group is padded to whole tiles, and a GPU multiplies large
 * ones faster.
 */
export function tileOf(rows: number, experts: number): number {
  return rows >= LARGE * experts ? LARGE_TILE : TILE;
}

/** A feed-forward layer: SwiGLU experts and the routers of its pool table. */
export interface FeedForward extends Router {
  /** Gate and up projections of all experts, `[E, 2F, D]`, the gate's F rows first. */
  gateUp: Tensor;
  /** Down projections, `[E, D, F]`. */
  down: Tensor;
  /** What every token uses besides, if the table says so. */
  alwaysOn?: AlwaysOn;
}

/** Always-on experts as one network. */
export interface AlwaysOn {
  /** Gate and up projections, `[2G, D]`. */
  gateUp: Tensor;
  /** Down projection, `[D, G]`. */
  down: Tensor;
  /** `[1, D]`: the result is multiplied by the sigmoid of its product with the token. */
  gate?: Tensor;
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
  /** How tokens are spread among the experts. Default as published. */
  routing?: RoutingOptions;
}

/** A new layer with random experts. */
export function makeFeedForward(
  random: Random,
  table: PoolTable,
  options: FeedForwardOptions,
): FeedForward {
  const { width, hidden, routerStd = 0.02, routing } = options;
  const outputStd = options.outputStd ?? 1 / Math.sqrt(hidden);
  const e = table.experts.length;
  const layer: FeedForward = {
    table,
    routers: makeRouters(random, table, width, { std: routerStd }),
    gateUp: normal(random, [e, 2 * hidden, width], 1 / Math.sqrt(width)),
    down: normal(random, [e, width, hidden], outputStd),
    ...routingOf(table, routing),
  };
  if (table.alwaysOn) {
    const inner = hidden * table.alwaysOn.experts;
    layer.alwaysOn = {
      gateUp: normal(random, [2 * inner, width], 1 / Math.sqrt(width)),
      down: normal(random, [width, inner], outputStd),
      ...(table.alwaysOn.gate && { gate: normal(random, [1, width], routerStd) }),
    };
  }
  return layer;
}

/** A layer's routing options, and the buffers that they need: nothing where they say nothing. */
export function routingOf(
  table: PoolTable,
  routing: RoutingOptions | undefined,
): Pick<FeedForward, "routing" | "buffers"> {
  if (!routing || Object.keys(routing).length === 0) return {};
  const columns = routerColumns(table);
  if (!routing.bias || columns === 0) return { routing };
  return { routing, buffers: { bias: constant([columns], 0) } };
}

/**
 * New routers for a table: normal with the standard deviation that the published models use, 0.02.
 *
 * @param options `copies`: neighbouring outputs that start equal. Default 1.
 */
export function makeRouters(
  random: Random,
  table: PoolTable,
  width: number,
  options: { std?: number; copies?: number } = {},
): Tensor[] {
  const { std = 0.02, copies = 1 } = options;
  return routersOf(table).map(({ experts }) => {
    const n = experts.length / copies;
    const rows = random.normals(n * width, 0, std);
    const all = new Float32Array(n * copies * width);
    for (let i = 0; i < n * copies; i++) {
      const from = Math.floor(i / copies) * width;
      all.set(rows.subarray(from, from + width), i * width);
    }
    return tensor(all, { shape: [n * copies, width] });
  });
}

/** How a layer is applied. */
export interface FeedForwardUse extends RoutingUse {
  /** Compute nothing for padding; its result is zero. Default false, as published. */
  skipPadding?: boolean;
}

/**
 * Applies the layer. Weights are converted to the type of `x`, except that routing is in f32 always.
 *
 * @param x `[T, D]` f32 or f16 @returns `[T, D]` of the type of `x`, and the routing
 * unless the table has one expert only
 */
export function applyFeedForward(
  layer: FeedForward,
  x: Tensor,
  use: FeedForwardUse,
): { y: Tensor; routing: Routing | undefined } {
  const { gateUp, down } = layer;
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
  const [tokens, k] = routing.chosen.shape;
  let group = reshape(routing.chosen, [tokens * k]);
  const masks = [routing.kept];
  if (use.skipPadding && use.valid) {
    const real = greaterEqual(use.valid, 1);
    masks.push(expand(reshape(real, [tokens, 1]), [tokens, k]));
  }
  for (const mask of masks) if (mask) group = where(reshape(mask, [tokens * k]), group, -1);
  const sorted = sortByGroup(group, count, tileOf(tokens * k, count));
  const rows = dispatchRows(x, sorted, k);
  const h = swiglu(groupedMatmul(rows, cast(gateUp, x.dtype), sorted));
  const out = groupedMatmul(h, cast(down, x.dtype), sorted);
  const y = cast(combineRows(cast(out, "f32"), sorted, k, routing.weights), x.dtype);
  return { y: layer.alwaysOn ? add(y, applyAlwaysOn(layer.alwaysOn, x)) : y, routing };
}

/** What always-on experts add, `[T, D]`; they compute padding like any other token. */
function applyAlwaysOn({ gateUp, down, gate }: AlwaysOn, x: Tensor): Tensor {
  const y = linear(swiglu(linear(x, gateUp)), down);
  return gate ? mul(y, sigmoid(linear(x, gate))) : y;
}
