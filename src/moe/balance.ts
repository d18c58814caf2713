/** Auxiliary losses that keep experts in use. */
import {
  add,
  cast,
  cat,
  div,
  equal,
  expand,
  full,
  iota,
  logicalNot,
  logSumExp,
  makeEffect,
  maximum,
  mean,
  mul,
  reshape,
  sign,
  square,
  stack,
  stopGradient,
  sub,
  sum,
  take,
  type Tensor,
  tensor,
  unknownName,
  unsqueeze,
  zeros,
} from "../tensor/mod.ts";
import { tokensOf } from "./capacity.ts";
import type { Router, Routing } from "./routing.ts";
import { type PoolTable, routersOf } from "./table.ts";

/** How the load-balancing loss is formed. */
export interface BalanceOptions {
  /**
   * `slots` counts all k choices of a token (Hugging Face Mixtral and the paper: balanced value k);
   * `fraction` divides them by k (Switch, MegaBlocks: balanced value 1). Default `slots`.
   */
  convention?: "slots" | "fraction";
  /**
   * `pooled` takes the tokens of all layers together (the paper's code), `layers` averages the
   * losses of the layers. Default `pooled`.
   */
  reduction?: "pooled" | "layers";
}

/** Load of the experts that one router chooses among. */
export interface RouterLoad {
  /** Router number in the table. */
  router: number;
  /** Share of tokens sent to each expert of the pool, `[n]`; sums to k. No gradient. */
  load: Tensor;
  /** Mean probability of each, `[n]`. */
  meanProbability: Tensor;
  /** n Σ load · meanProbability (paper eq. 4, with n the size of the pool). */
  loss: Tensor;
}

/** Sums over counted tokens: choices and probabilities of every expert, and the number of tokens. */
function totals(routing: Routing, modalities: readonly number[]) {
  const { chosen, probabilities, table } = routing;
  const [tokens, k] = chosen.shape, e = table.experts.length;
  const mask = cast(tokensOf(routing, modalities), "f32");
  const column = unsqueeze(mask, 1);
  // [T, k, E] exists as an expression only: the sum over tokens and slots is one kernel.
  const hit = equal(expand(unsqueeze(chosen, 2), [tokens, k, e]), iota([tokens, k, e], 2));
  const counted = mul(cast(hit, "f32"), expand(reshape(mask, [tokens, 1, 1]), [tokens, k, e]));
  return {
    choices: stopGradient(sum(counted, { axes: [0, 1] })),
    probability: sum(mul(probabilities, column), { axes: 0 }),
    tokens: sum(mask),
  };
}

/**
 * Load and load-balancing loss of every router (paper section 2.2.3, eq. 4; the function of Hugging
 * Face Mixtral applied to the pool of each modality's router). A router without tokens has loss 0.
 *
 * @param routings one for each mixture layer, all of one table
 * @returns one entry for each router; empty if nothing is routed
 */
export function routerLoads(
  routings: readonly Routing[],
  options: BalanceOptions = {},
): RouterLoad[] {
  if (routings.length === 0) return [];
  const { convention = "slots" } = options;
  const { table } = routings[0];
  return routersOf(table).map(({ experts, modalities }, router) => {
    const layers = routings.map((r) => totals(r, modalities));
    const choices = layers.map((l) => l.choices).reduce((a, b) => add(a, b));
    const probability = layers.map((l) => l.probability).reduce((a, b) => add(a, b));
    const tokens = maximum(layers.map((l) => l.tokens).reduce((a, b) => add(a, b)), 1);
    const factor = experts.length / (convention === "fraction" ? table.topK : 1);
    const load = pick(div(choices, tokens), experts);
    const meanProbability = pick(div(probability, tokens), experts);
    return { router, load, meanProbability, loss: mul(sum(mul(load, meanProbability)), factor) };
  });
}

/** The entries of a pool, in the pool's order. */
function pick(perExpert: Tensor, experts: readonly number[]): Tensor {
  return take(perExpert, tensor(new Int32Array(experts)));
}

/**
 * Factor on a loss of the routers: one for all, a list with one for each router, or one for each
 * modality's router by name, as in `{ text: 0.001, image: 0.01 }`.
 */
export type Coefficient = number | readonly number[] | Readonly<Record<string, number>>;

/**
 * The coefficient of one router.
 *
 * @param what the loss, for errors
 * @throws {RangeError} if it is missing or no non-negative number, a name is no modality of the table,
 * or the router serves modalities with different coefficients.
 */
export function coefficientOf(
  coefficient: Coefficient,
  router: number,
  table: PoolTable,
  what: string,
): number {
  const c = pickCoefficient(coefficient, router, table, what);
  if (c === undefined || !Number.isFinite(c) || c < 0) {
    throw new RangeError(
      `${what}: coefficient ${c} of router ${router} must be a non-negative number`,
    );
  }
  return c;
}

function pickCoefficient(
  coefficient: Coefficient,
  router: number,
  { pools }: PoolTable,
  what: string,
): number | undefined {
  if (typeof coefficient === "number") return coefficient;
  if (isList(coefficient)) return coefficient[router];
  const names = pools.map((p) => p.modality);
  for (const name of Object.keys(coefficient)) {
    if (!names.includes(name)) throw unknownName(`${what} coefficient of modality`, name, names);
  }
  const mine = pools.filter((p) => p.router === router).map((p) => p.modality);
  const given = [...new Set(mine.map((name) => coefficient[name]))];
  if (given.length > 1) {
    throw new RangeError(
      `${what}: router ${router} serves ${mine.join(" and ")} with different coefficients ` +
        `(${given.join(", ")}); give it one number, or routers of their own to the modalities`,
    );
  }
  return given[0];
}

const isList = (c: Coefficient): c is readonly number[] => Array.isArray(c);

/**
 * The auxiliary loss: the sum of the routers' load-balancing losses, each times its coefficient.
 *
 * @param coefficient paper: 0.001
 * @throws {RangeError} as {@linkcode coefficientOf}
 */
export function balanceLoss(
  routings: readonly Routing[],
  coefficient: Coefficient,
  options: BalanceOptions = {},
): Tensor {
  const groups = options.reduction === "layers" ? routings.map((r) => [r]) : [routings];
  let total: Tensor = full([], 0);
  for (const group of groups) {
    for (const { router, loss } of routerLoads(group, options)) {
      const c = coefficientOf(coefficient, router, group[0].table, "balanceLoss");
      if (c > 0) total = add(total, mul(loss, c / groups.length));
    }
  }
  return total;
}

/** Choices of every expert by modality, `[modalities, E]`, padding left out: for records. */
export function choiceCounts(routing: Routing): Tensor {
  const { table } = routing;
  return stack(table.pools.map((_, m) => totals(routing, [m]).choices), 0);
}

/** Number of counted tokens of each modality, `[modalities]`. */
export function tokenCounts(routing: Routing): Tensor {
  return stack(routing.table.pools.map((_, m) => totals(routing, [m]).tokens), 0);
}

/** Choices that full experts left out, by modality, `[modalities]` f32; padding left out. */
export function droppedCounts(routing: Routing): Tensor {
  const { table, kept } = routing;
  if (!kept) return zeros([table.pools.length]);
  const lost = cast(logicalNot(kept), "f32");
  return stack(
    table.pools.map((_, m) => {
      const mine = cast(tokensOf(routing, [m]), "f32");
      return sum(mul(lost, unsqueeze(mine, 1)));
    }),
    0,
  );
}

/**
 * Shares of the choices that full experts left out, by modality over all layers, `[modalities]`; 0
 * where there are no tokens.
 */
export function dropRates(routings: readonly Routing[]): Tensor {
  const over = (of: (routing: Routing) => Tensor) => routings.map(of).reduce((a, b) => add(a, b));
  const choices = mul(over(tokenCounts), routings[0].table.topK);
  return div(over(droppedCounts), maximum(choices, 1));
}

/** Shared experts' part of a modality's pool: what a router without preference gives them. */
export function chanceOfShared(table: PoolTable, modality: number): number {
  const { experts } = table.pools[modality];
  return experts.filter((e) => table.experts[e].group === "shared").length / experts.length;
}

/**
 * Router z-loss (ST-MoE, Zoph et al. 2022, eq. 5): the mean over a router's tokens of (log Σ e^z)²,
 * which keeps router outputs z small. Summed over routers, each times its coefficient; the tokens of
 * all layers are pooled.
 *
 * @param coefficient usual: 0.001
 * @throws {RangeError} as {@linkcode coefficientOf}
 */
export function zLoss(routings: readonly Routing[], coefficient: Coefficient): Tensor {
  let total: Tensor = full([], 0);
  if (routings.length === 0) return total;
  const { table } = routings[0];
  routersOf(table).forEach(({ modalities }, router) => {
    const c = coefficientOf(coefficient, router, table, "zLoss");
    if (c === 0) return;
    const parts = routings.map((routing) => {
      const mask = cast(tokensOf(routing, modalities), "f32");
      return { sum: sum(mul(square(logSumExp(routing.scores!, { axes: 1 })), mask)), n: sum(mask) };
    });
    const squares = parts.map((p) => p.sum).reduce((a, b) => add(a, b));
    const tokens = maximum(parts.map((p) => p.n).reduce((a, b) => add(a, b)), 1);
    total = add(total, mul(div(squares, tokens), c));
  });
  return total;
}

/**
 * One step of loss-free balancing (`RoutingOptions.bias`): an effect that moves a layer's biases
 * towards an even load, by the sign of what each expert lacks of its router's mean number of tokens.
 *
 * @returns to be put among the results of a compiled function; undefined if the layer has no biases
 */
export function biasUpdate(layer: Router, routing: Routing): Tensor | undefined {
  const { routing: options, buffers, table } = layer;
  if (!options?.bias || !buffers) return undefined;
  const lacks = routersOf(table).map(({ experts, modalities }) => {
    const choices = pick(totals(routing, modalities).choices, experts);
    return sign(sub(mean(choices), choices));
  });
  return makeEffect("assign", [
    buffers.bias,
    add(buffers.bias, mul(cat(lacks, 0), options.bias)),
  ], {});
}
