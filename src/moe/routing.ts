/**
 * Routing: which experts each token is sent to, and with what weight. The pool table says who may use
 * whom and how many experts there are (it decides the parameters); {@linkcode RoutingOptions} say how
 * tokens are spread among them (they add none).
 */
import { unknownName } from "../tensor/nearest.ts";
import {
  add,
  cast,
  cat,
  div,
  equal,
  greaterEqual,
  linear,
  mul,
  oneHot,
  ones,
  reshape,
  sigmoid,
  softmax,
  sum,
  take,
  takeAlong,
  type Tensor,
  tensor,
  topK,
  where,
} from "../tensor/mod.ts";
import { keepWithinCapacity } from "./capacity.ts";
import { expertsChoose } from "./expert_choice.ts";
import { type PoolTable, routersOf } from "./table.ts";

/** How tokens are spread among experts. Plain data; what is missing is as published: dropless top-k. */
export interface RoutingOptions {
  /**
   * How router outputs become probabilities: `softmax` over the allowed experts (the paper, Mixtral),
   * or `sigmoid` of each on its own (DeepSeek-V3, arXiv 2412.19437 eq. 15; the balance loss takes them
   * divided by their sum). Default `softmax`.
   */
  scores?: "softmax" | "sigmoid";
  /**
   * Who chooses: each `token` its top-k experts, or each `expert` its best tokens among those of a
   * modality's router (Zhou et al. 2022, within modalities as MoMa, arXiv 2407.21770). Experts see all
   * tokens of the batch when they choose, later ones too: good for losses, no good for generating text.
   * Default `token`.
   */
  chooser?: "token" | "expert";
  /**
   * Most tokens that one expert takes from one router, in even shares k·T/n of its T tokens, n experts
   * and top-k (Switch, GShard). Default: no limit, or 1 where experts choose.
   */
  capacity?: number;
  /**
   * Which choices a full expert leaves out: the last by `position` (first choices of all tokens come
   * before second ones, as in GShard), or those of the lowest `weight`. Default `position`.
   */
  drop?: "position" | "weight";
  /**
   * Loss-free balancing (arXiv 2408.15664, DeepSeek-V3): experts are chosen by probability plus a bias,
   * weighted by the probability alone; after each step the bias of an expert goes up by this much if
   * it had less than the mean of its router's tokens, down if more. Paper: 0.001. Default: no bias.
   */
  bias?: number;
  /** Training only: router inputs are multiplied by numbers from 1 - jitter to 1 + jitter (Switch). */
  jitter?: number;
  /** Training only: standard deviation of normal noise on the router outputs. */
  noise?: number;
}

const WORDS = { scores: ["softmax", "sigmoid"], chooser: ["token", "expert"] } as const;
const DROPS = ["position", "weight"];
/** Options that are numbers: whether 0 will do, and a limit. */
const NUMBERS: Readonly<Record<string, { zero: boolean; below: number }>> = {
  capacity: { zero: false, below: Infinity },
  bias: { zero: true, below: Infinity },
  jitter: { zero: true, below: 1 },
  noise: { zero: true, below: Infinity },
};

/**
 * Checks routing options.
 *
 * @throws {RangeError} on an unknown option or word (the nearest is offered), a number out of range,
 * or options that contradict each other.
 */
export function checkRouting(options: RoutingOptions): RoutingOptions {
  const known = [...Object.keys(WORDS), "drop", ...Object.keys(NUMBERS)];
  for (const [name, value] of Object.entries(options)) {
    if (!known.includes(name)) throw unknownName("routing option", name, known);
    const words: readonly string[] | undefined = name === "drop"
      ? DROPS
      : WORDS[name as keyof typeof WORDS];
    if (words && value !== undefined && !words.includes(value)) {
      throw unknownName(`routing ${name}`, value, words);
    }
    const range = NUMBERS[name];
    if (range && value !== undefined) {
      if (
        typeof value !== "number" || !(value >= 0 && value < range.below) || !(value || range.zero)
      ) {
        throw new RangeError(
          `routing: ${name} = ${value} must be a number ${range.zero ? "of at least" : "above"} 0` +
            (range.below < Infinity ? ` and below ${range.below}` : ""),
        );
      }
    }
  }
  if (options.chooser === "expert" && (options.bias || options.drop)) {
    throw new RangeError(
      `routing: ${
        options.bias ? "bias" : "drop"
      } is for tokens that choose; experts that choose are ` +
        `balanced and full by construction: leave it out, or set chooser: "token"`,
    );
  }
  if (options.drop && options.capacity === undefined) {
    throw new RangeError(
      `routing: drop = "${options.drop}" without a capacity drops nothing; give a capacity, such as 1.25`,
    );
  }
  return options;
}

/** Stands for -∞ in the scores of forbidden experts: e^x is exactly 0. */
const NO_EXPERT = -1e30;

/** In place of a router's column: the modality may not use the expert, or has no other. */
const FORBIDDEN = -1, ONLY = -2;

/** What routing needs of a layer. */
export interface Router {
  /** Who may use which expert. */
  table: PoolTable;
  /** One weight for each router, `[pool size, D]`, without bias. */
  routers: Tensor[];
  /** How tokens are spread. Default as published. */
  routing?: RoutingOptions;
  /** What changes in training, but not by gradients. */
  buffers?: { bias: Tensor };
}

/** Tokens on their way to a layer. */
export interface RoutingUse {
  /** `[T]` i32, positions in the table's pools. */
  modality: Tensor;
  /** `[T]` i32, 0 for padding: such tokens count in no loss, and take no room in an expert. */
  valid?: Tensor;
  /** `[T, D]` factors on the router's input (training only): see `RoutingOptions.jitter`. */
  jitter?: Tensor;
  /** `[T, columns]` added to the joined router outputs (training only): `RoutingOptions.noise`. */
  noise?: Tensor;
}

/** What routing decided in one layer: the input of losses, records and figures. */
export interface Routing {
  /** The layer's table. */
  table: PoolTable;
  /** `[T]` i32 modality of every token. */
  modality: Tensor;
  /** `[T, E]` router outputs, -1e30 for forbidden experts. Missing if there are no routers. */
  scores?: Tensor;
  /** `[T, E]` routing probabilities, zero for forbidden experts; their sum is 1. */
  probabilities: Tensor;
  /**
   * `[T, k]` i32 chosen experts, likeliest first. Where experts choose, `[T, largest pool]`: the
   * experts that took the token, -1 for those that did not.
   */
  chosen: Tensor;
  /** `[T, k]` weights of the chosen experts. */
  weights: Tensor;
  /** `[T, k]` bool, false for choices that a full expert left out; nothing is left out if missing. */
  kept?: Tensor;
  /** `[T]` i32, 0 for padding; every token counts if missing. */
  valid?: Tensor;
}

/**
 * Routes tokens: softmax over the allowed experts only, in f32, then top-k, then (unless switched
 * off) division by the sum of the chosen probabilities (paper eqs. 1 and 2).
 *
 * @param x `[T, D]`
 */
export function route(layer: Router, x: Tensor, use: RoutingUse): Routing {
  const { table, routers, routing: options = {}, buffers } = layer;
  const { modality, valid } = use;
  if (routers.length === 0) return assign(table, use);
  const input = cast(x, "f32");
  const outputs = linear(use.jitter ? mul(input, use.jitter) : input, cat(routers, 0));
  const logits = use.noise ? add(outputs, use.noise) : outputs;
  const column = take(columnsOf(table), modality); // [T, E]
  const score = where(greaterEqual(column, 0), takeAlong(logits, column, 1), NO_EXPERT);
  const scores = where(equal(column, ONLY), 0, score);
  const affinity = options.scores === "sigmoid"
    ? where(equal(column, FORBIDDEN), 0, sigmoid(scores))
    : softmax(scores);
  const probabilities = options.scores === "sigmoid" ? shares(affinity) : affinity;
  const decided = { table, modality, valid, scores, probabilities };
  if (options.chooser === "expert") {
    const chosen = expertsChoose({ table, modality, valid, affinity, capacity: options.capacity });
    const taken = greaterEqual(chosen, 0);
    const kept = where(taken, takeAlong(affinity, where(taken, chosen, 0), 1), 0);
    return { ...decided, chosen, weights: table.renormalise ? shares(kept) : kept };
  }
  // Ranked by score: a probability that rounds to 0 would tie with those of forbidden experts.
  const rank = buffers
    ? where(equal(column, FORBIDDEN), NO_EXPERT, add(affinity, take(buffers.bias, column)))
    : scores;
  const { indices: chosen } = topK(rank, table.topK);
  const picked = takeAlong(affinity, chosen, 1);
  const weights = table.renormalise
    ? div(picked, sum(picked, { axes: 1, keepDims: true }))
    : picked;
  if (options.capacity === undefined) return { ...decided, chosen, weights };
  const kept = keepWithinCapacity({
    table,
    modality,
    valid,
    queue: takeAlong(column, chosen, 1),
    weights,
    capacity: options.capacity,
    drop: options.drop ?? "position",
  });
  return { ...decided, chosen, weights, kept };
}

/** Each row divided by its sum; rows of zeros stay so. */
function shares(x: Tensor): Tensor {
  const total = sum(x, { axes: 1, keepDims: true });
  return div(x, where(equal(total, 0), 1, total));
}

/** Routing where every modality has one expert: nothing to choose (the released Modality MoE). */
function assign(table: PoolTable, { modality, valid }: RoutingUse): Routing {
  const pools = table.pools.map((p) => p.experts[0]);
  const chosen = take(tensor(new Int32Array(pools), { shape: [pools.length, 1] }), modality);
  const probabilities = oneHot(reshape(chosen, [chosen.size]), table.experts.length);
  return { table, modality, valid, probabilities, chosen, weights: ones(chosen.shape) };
}

/** Number of outputs of all routers together. */
export function routerColumns(table: PoolTable): number {
  return routersOf(table).reduce((n, { experts }) => n + experts.length, 0);
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
