/** Routing of a batch summed on the device: one small tensor, whatever the number of tokens. */
import {
  cast,
  cat,
  equal,
  expand,
  greater,
  iota,
  log,
  logicalNot,
  matmul,
  maximum,
  mul,
  narrow,
  neg,
  ones,
  reshape,
  stopGradient,
  sub,
  sum,
  type Tensor,
  topK,
  transpose,
  unsqueeze,
  where,
  zeros,
} from "../tensor/mod.ts";
import { tokensOf } from "./capacity.ts";
import type { Routing } from "./routing.ts";
import type { RoutingCell, RoutingRecord } from "./routing_record.ts";
import type { PoolTable } from "./table.ts";

/** What {@linkcode routingSums} tells apart, and what it records. */
export interface SumsOptions {
  /** `[T]` i32 class of every token, a position in `names`; others count nowhere. Default one class. */
  classes?: Tensor;
  /** Names of the classes. Default `all`. */
  names?: readonly string[];
  /** Also count the tokens that chose both of two experts, E² numbers more. Default true. */
  pairs?: boolean;
}

/** What sums are made of. */
export type SummedRouting = Pick<
  Routing,
  "table" | "modality" | "valid" | "probabilities" | "chosen" | "kept"
>;

/** Sums of one layer: numbers that are not one for each expert. */
const SCALARS = ["tokens", "entropy", "margin", "largest", "dropped"] as const;

/** Columns of one layer. */
function columnsOf(experts: number, pairs: boolean): number {
  return SCALARS.length + 3 * experts + (pairs ? experts ** 2 : 0);
}

/**
 * Sums over the tokens of a batch, for every modality and class apart: choices, tokens and
 * probabilities of every expert, entropy, margin, pairs of experts. All layers come
 * out of one matrix product (tokens by group, transposed, times tokens by column), so that recording
 * costs little beside the layers themselves. Sums of counts are exact up to 2²⁴ tokens.
 *
 * @param routings one for each mixture layer, of the same tokens
 * @returns `[modalities × classes, layers × columns]` f32, to be read by {@linkcode recordOf}
 * @throws {RangeError} if there is no layer.
 */
export function routingSums(routings: readonly SummedRouting[], options: SumsOptions = {}): Tensor {
  if (routings.length === 0) throw new RangeError("routingSums: the model has no mixture layers");
  const { names = ["all"], pairs = true } = options;
  const [first] = routings, [tokens] = first.chosen.shape;
  const groups = first.table.pools.flatMap((_, m) =>
    names.map((_, c) => {
      const mine = cast(tokensOf(first, [m]), "f32");
      return options.classes ? mul(mine, cast(equal(options.classes, c), "f32")) : mine;
    })
  );
  const members = cat(groups.map((g) => reshape(g, [tokens, 1])), 1);
  const columns = cat(routings.map((r) => cat(layerColumns(r, pairs), 1)), 1);
  return stopGradient(matmul(transpose(members), columns));
}

/** What is summed of a layer, each `[T, n]`. */
function layerColumns({ table, probabilities: p, chosen, kept }: SummedRouting, pairs: boolean) {
  const e = table.experts.length, [tokens, k] = chosen.shape;
  const shape = [tokens, k, e];
  const hits = cast(equal(expand(unsqueeze(chosen, 2), shape), iota(shape, 2)), "f32");
  const choices = sum(hits, { axes: 1 });
  const entropy = neg(sum(where(greater(p, 0), mul(p, log(maximum(p, 1e-30))), 0), {
    axes: 1,
    keepDims: true,
  }));
  const { values: top, indices } = topK(p, 2);
  const likeliest = expand(narrow(indices, 1, 0, 1), [tokens, e]);
  const first = cast(equal(likeliest, iota([tokens, e], 1)), "f32");
  const largest = narrow(top, 1, 0, 1);
  const dropped = kept
    ? sum(cast(logicalNot(kept), "f32"), { axes: 1, keepDims: true })
    : zeros([tokens, 1]);
  const list = [
    ones([tokens, 1]),
    entropy,
    sub(largest, narrow(top, 1, 1, 1)),
    largest,
    dropped,
    choices,
    first,
    p,
  ];
  if (pairs) {
    const both = mul(
      expand(unsqueeze(choices, 2), [tokens, e, e]),
      expand(unsqueeze(choices, 1), [tokens, e, e]),
    );
    list.push(reshape(both, [tokens, e * e]));
  }
  return list;
}

/** What the numbers of {@linkcode routingSums} belong to. */
export interface SumsLayout extends Pick<SumsOptions, "names" | "pairs"> {
  /** The model's table. */
  table: PoolTable;
  /** Places of the mixture layers in the network. */
  layers: readonly number[];
  /** Benchmark or family of the inputs. */
  benchmark?: string;
}

/**
 * Reads the numbers of {@linkcode routingSums} (or the sum of several batches'); no numbers at all stand
 * for no tokens.
 *
 * @throws {RangeError} if there are more or fewer numbers than the layout wants.
 */
export function recordOf(values: ArrayLike<number>, layout: SumsLayout): RoutingRecord {
  const { table, layers, names = ["all"], pairs = true, benchmark } = layout;
  const e = table.experts.length, width = columnsOf(e, pairs);
  const row = layers.length * width, groups = table.pools.length * names.length;
  if (values.length !== groups * row && values.length > 0) {
    throw new RangeError(
      `recordOf: ${values.length} numbers, but ${groups} groups of ${layers.length} layers with ` +
        `${width} columns each are ${groups * row}`,
    );
  }
  const all = Array.from(values);
  const cell = (group: number, layer: number): RoutingCell => {
    let at = group * row + layer * width;
    const some = (n: number) => all.slice(at, at += n);
    const [tokens, entropy, margin, largest, dropped] = some(SCALARS.length);
    return {
      modality: table.pools[Math.floor(group / names.length)].modality,
      tokenClass: names[group % names.length],
      tokens,
      choices: some(e),
      first: some(e),
      probability: some(e),
      entropy,
      margin,
      largest,
      dropped,
      pairs: pairs ? some(e * e) : [],
    };
  };
  return {
    benchmark,
    experts: table.experts,
    pools: table.pools.map(({ modality, experts }) => ({ modality, experts })),
    topK: table.topK,
    layers: layers.map((layer, l) => ({
      layer,
      cells: Array.from({ length: all.length > 0 ? groups : 0 }, (_, g) => cell(g, l))
        .filter((c) => c.tokens > 0),
    })),
  };
}
