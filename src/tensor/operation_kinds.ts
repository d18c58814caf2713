/** What kind of work an operation is, for those who plan kernels and for those who count them. */
import type { Node, Tensor } from "./graph.ts";

/** Operations computed inside other kernels: elementwise work and index arithmetic. */
export const COSTS: Readonly<Record<string, number>> = {
  const: 0,
  iota: 0,
  reshape: 0,
  permute: 0,
  expand: 0,
  slice: 0,
  flip: 0,
  stop_gradient: 0,
  cast: 0,
  identity: 0,
  pad: 2,
  cat: 2,
  take: 2,
  take_along: 2,
  take_or_zero: 2,
  dispatch_rows: 3,
  combine_rows: 6,
  top_few: 20,
  rotate_half: 2,
  swiglu: 6,
  swiglu_gradient: 10,
  add: 1,
  sub: 1,
  mul: 1,
  div: 1,
  maximum: 1,
  minimum: 1,
  less: 1,
  less_equal: 1,
  equal: 1,
  is_finite: 1,
  and: 1,
  or: 1,
  not: 1,
  where: 1,
  neg: 1,
  abs: 1,
  sign: 1,
  floor: 1,
  sqrt: 2,
  rsqrt: 2,
  exp: 3,
  log: 3,
  sin: 3,
  cos: 3,
  tanh: 4,
  sigmoid: 4,
  erf: 8,
  softmax: 4,
  log_softmax: 4,
  class_loss: 6,
};

/** Moves without computing: never worth memory of their own. */
export const MOVES: ReadonlySet<string> = new Set([
  "const",
  "iota",
  "reshape",
  "permute",
  "expand",
  "slice",
  "flip",
  "pad",
]);

/** Reductions: their operand is computed inside their kernel. */
export const REDUCTIONS: ReadonlySet<string> = new Set([
  "sum",
  "prod",
  "max",
  "min",
  "logsumexp",
  "softmax_stats",
]);

/**
 * Operations whose first operand is computed inside their kernel, and how often each of its elements
 * is: reductions, and those that choose and sort.
 */
export function timesComputed({ op, attributes }: Node): number {
  return REDUCTIONS.has(op) ? 1 : op === "top_k" ? attributes.k as number : SORTS[op] ?? 0;
}

/** A stable sort first counts the items of every group and then places them. */
const SORTS: Readonly<Record<string, number>> = { sort_by_group: 2 };

/** Operations whose result can be worked on before it is written. */
export const EPILOGUES: ReadonlySet<string> = new Set([
  "sum",
  "prod",
  "max",
  "min",
  "logsumexp",
  "matmul",
  "grouped_matmul",
  "grouped_outer",
]);

/** Operations that read strided views of memory and so need no copy of a transposed operand. */
export const STRIDED: ReadonlySet<string> = new Set(["matmul"]);

/**
 * Attention without stored scores. All operands are strided views but the last one, if `masked`: the
 * mask, which is computed inside the kernel.
 */
export const ATTENTIONS: ReadonlySet<string> = new Set([
  "flash_attention",
  "flash_attention_queries",
  "flash_attention_keys",
]);

/** Operands that a node's kernel reads as strided views, and the one that it computes, if any. */
export function operandsOf(
  node: Node,
): { strided: readonly Tensor[]; computed: Tensor | undefined } {
  const { op, inputs, attributes } = node;
  if (timesComputed(node) > 0) return { strided: [], computed: inputs[0] };
  if (STRIDED.has(op)) return { strided: inputs, computed: undefined };
  if (!ATTENTIONS.has(op)) return { strided: [], computed: undefined };
  return attributes.masked
    ? { strided: inputs.slice(0, -1), computed: inputs.at(-1) }
    : { strided: inputs, computed: undefined };
}

/** Operations that change their operands in place; they run after everything that reads. */
export const EFFECTS: ReadonlySet<string> = new Set([
  "adamw",
  "sgd",
  "assign",
  "assign_rows",
]);

/** Operations that gather, from places that they compute. */
const GATHERS = new Set([
  "cat",
  "take",
  "take_along",
  "take_or_zero",
  "dispatch_rows",
  "combine_rows",
  "top_few",
  "rotate_half",
  "swiglu",
  "swiglu_gradient",
  "class_loss",
]);

/** True if an element of the result may come from another place in the operands. */
export function isMove(op: string): boolean {
  return MOVES.has(op) || GATHERS.has(op);
}

/** True if the operation is computed inside the kernels that use it. */
export function isInline(op: string): boolean {
  return op in COSTS;
}
