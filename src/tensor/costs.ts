/**
 * What a step costs, from shapes alone: the bytes that it moves and its floating-point operations.
 * With a device's measured peak they say how near a kernel comes to what is possible (Williams,
 * Waterman and Patterson 2009, "Roofline").
 */
import { bytesPerElement, isFloat } from "./dtype.ts";
import type { Tensor } from "./graph.ts";
import { ATTENTIONS, EFFECTS, isInline, operandsOf, timesComputed } from "./operation_kinds.ts";
import type { Step } from "./schedule.ts";

/** What one run of a step costs. */
export interface Cost {
  /**
   * Bytes read and written if every element is moved once: what caches repeat is not counted, and of
   * a tensor that is sliced or gathered from only as many elements as are used.
   */
  readonly bytes: number;
  /**
   * Floating-point operations. A multiply-add is two, a function such as exp is one, a comparison of
   * floats is one; index arithmetic, integers, moves and selections are none. Values that a fused
   * kernel computes anew for every element count every time.
   */
  readonly flops: number;
}

/** Floating-point operations for each element of the result, of operations that kernels inline. */
const INLINE_FLOPS: Readonly<Record<string, number>> = {
  add: 1,
  sub: 1,
  mul: 1,
  div: 1,
  maximum: 1,
  minimum: 1,
  less: 1,
  less_equal: 1,
  equal: 1,
  neg: 1,
  abs: 1,
  sign: 1,
  floor: 1,
  sqrt: 1,
  rsqrt: 1,
  exp: 1,
  log: 1,
  sin: 1,
  cos: 1,
  tanh: 1,
  sigmoid: 4,
  erf: 1,
  softmax: 3,
  log_softmax: 3,
  class_loss: 3,
  swiglu: 6,
  swiglu_gradient: 6,
  rotate_half: 1,
};

/** The same for each element of the first operand, of operations that have a kernel of their own. */
const FLOPS: Readonly<Record<string, number>> = {
  sum: 1,
  prod: 1,
  max: 1,
  min: 1,
  logsumexp: 4, // a maximum, a difference, exp, an addition
  softmax_stats: 4,
  index_add: 1,
  scatter_add: 1,
  adamw: 15,
  sgd: 9,
};

/** How many of an effect's operands, counted from the first, it overwrites. */
const OVERWRITTEN: Readonly<Record<string, number>> = { adamw: 3, sgd: 2, assign: 1 };

/**
 * The cost of one run of a step.
 *
 * The rows of grouped products include the padding of their tiles: how many are filled is known on
 * the device only.
 *
 * @param step a step of a plan
 * @param isStored true for tensors held in memory, as the plan says
 */
export function stepCost(step: Step, isStored: (t: Tensor) => boolean): Cost {
  const { node: { op, inputs }, writes } = step;
  const { reads, flops } = inlineWork(step, isStored);
  const overwritten = EFFECTS.has(op) ? inputs.slice(0, OVERWRITTEN[op] ?? 1) : [];
  const isCopy = op === "assign" || op === "assign_rows";
  if (isCopy) reads.delete(inputs[0]); // it is overwritten unread, as far as the copy reaches
  const moved = [
    ...reads,
    ...writes.map((t) => [t, t.size] as const),
    ...overwritten.map((t) => [t, isCopy ? inputs[1].size : t.size] as const),
  ];
  return {
    bytes: sum(moved.map(([t, elements]) => elements * bytesPerElement(t.dtype))),
    flops: flops + sum((step.group?.steps ?? [step]).map(ownFlops)),
  };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

/**
 * The operations that a step computes inside of its kernel, in order, besides the one that gives it
 * its kind: what is fused in front of it and behind it.
 */
export function fusedOperations(step: Step, isStored: (t: Tensor) => boolean): string[] {
  const named = new Set((step.group?.steps ?? [step]).map(({ node }) => node));
  return inlineWork(step, isStored).operations.filter(({ node }) => !named.has(node))
    .map((t) => t.node.op);
}

function inlineWork(step: Step, isStored: (t: Tensor) => boolean): InlineWork {
  const work = new InlineWork();
  if (!step.group) addWork(work, step, isStored);
  else {
    const { steps } = step.group;
    const made = new Set(steps.flatMap(({ writes }) => writes));
    for (const part of steps) addWork(work, part, (t) => made.has(t) || isStored(t));
    for (const t of made) work.reads.delete(t); // it is at hand in the kernel that makes it
  }
  return work;
}

function addWork(work: InlineWork, step: Step, isStored: (t: Tensor) => boolean): void {
  const { node: { op, inputs, outputs: [out] }, epilogue, pairs } = step;
  if (isInline(op)) work.add(out, out.size, (t) => t !== out && isStored(t));
  else if (timesComputed(step.node) > 0 || op === "matmul") {
    for (const x of inputs) work.add(x, x.size, isStored);
  } else if (ATTENTIONS.has(op)) {
    // The mask is computed for every pair that is looked at.
    const { computed } = operandsOf(step.node);
    for (const x of inputs) work.add(x, x === computed ? attentionPairs(step) : x.size, isStored);
  } else for (const x of inputs) work.read(x, x.size);
  if (pairs) {
    work.add(pairs, pairs.size, (t) => t !== pairs && (t === out || isStored(t)));
    work.reads.delete(out);
  }
  if (epilogue) {
    // The result that the epilogue works on is at hand: it never reaches memory.
    work.add(epilogue, epilogue.size, (t) => t !== epilogue && (t === out || isStored(t)));
    work.reads.delete(out);
  }
}

/** Operations of the step itself, without what is fused into it. */
function ownFlops(step: Step): number {
  const { op, inputs, outputs: [out] } = step.node;
  switch (op) {
    case "matmul":
      return 2 * out.size * inputs[0].shape.at(-1)!;
    case "grouped_matmul": // [rows, k] by one [k, n] for each tile of rows
      return 2 * out.size * inputs[0].shape[1];
    case "grouped_outer": // [rows, m] and [rows, n]; a row belongs to one group
      return 2 * inputs[0].size * inputs[1].shape[1];
    case "flash_attention":
    case "flash_attention_queries":
    case "flash_attention_keys":
      return attentionFlops(step);
    default:
      return op in FLOPS && isFloat(inputs[0].dtype) ? FLOPS[op] * inputs[0].size : 0;
  }
}

/** Pairs of a query and a key that attention has to look at; a mask leaves none out. */
function attentionPairs({ node: { inputs: [q, k], attributes } }: Step): number {
  const [b, heads, tq] = q.shape, tk = k.shape[2];
  if (!attributes.causal) return b * heads * tq * tk;
  const seen = (i: number) => Math.min(tk, Math.max(0, i + 1 + tk - tq));
  return b * heads * sum(Array.from({ length: tq }, (_, i) => seen(i)));
}

/** Products over D and over Dv for each pair, and operations on the score itself. */
function attentionFlops(step: Step): number {
  const { op, inputs: [q, , v] } = step.node;
  const d = q.shape[3], dv = v.shape[3], pairs = attentionPairs(step);
  switch (op) {
    case "flash_attention": // score and output; scale, maximum, difference, exp, sum
      return pairs * (2 * (d + dv) + 5);
    case "flash_attention_queries": // score, slope, gradient; scale twice, two differences, exp, product
      return pairs * (2 * (2 * d + dv) + 6);
    default: // score, slope and both gradients
      return pairs * (2 * (2 * d + 2 * dv) + 6);
  }
}

/** What is computed inside of one kernel, and which elements of which tensors that reads. */
class InlineWork {
  /** Elements read of each stored tensor. */
  readonly reads = new Map<Tensor, number>();
  /** What is computed, each after its operands. */
  readonly operations: Tensor[] = [];
  flops = 0;

  /** Counts elements of a stored tensor as read, none of them twice. */
  read(t: Tensor, elements: number): void {
    this.reads.set(t, Math.min(t.size, (this.reads.get(t) ?? 0) + elements));
  }

  /** Counts the computation of `count` elements of an expression over tensors at hand. */
  add(expression: Tensor, count: number, isAtHand: (t: Tensor) => boolean): void {
    // Each tensor after those that are computed from it, so that its elements are known by then.
    const order: Tensor[] = [];
    const seen = new Set<Tensor>();
    const visit = (t: Tensor): void => {
      if (seen.has(t)) return;
      seen.add(t);
      if (!isAtHand(t)) { for (const x of t.node.inputs) visit(x); }
      order.unshift(t);
    };
    visit(expression);
    this.operations.push(...order.filter((t) => !isAtHand(t)).reverse());
    const used = new Map([[expression, expression.size]]);
    for (const t of order) {
      const elements = used.get(t)!;
      if (isAtHand(t)) {
        this.read(t, elements);
        continue;
      }
      this.flops += count * flopsPerElement(t);
      const { op, attributes } = t.node;
      const each = op === "combine_rows" ? attributes.slots as number : op === "swiglu" ? 2 : 1;
      for (const x of t.node.inputs) {
        used.set(x, Math.min(x.size, (used.get(x) ?? 0) + elements * each));
      }
    }
  }
}

function flopsPerElement(t: Tensor): number {
  const { op, inputs, attributes } = t.node;
  if (![t, ...inputs].some((x) => isFloat(x.dtype))) return 0;
  if (op === "combine_rows") return (attributes.slots as number) * (inputs.length > 3 ? 2 : 1) - 1;
  return INLINE_FLOPS[op] ?? 0;
}
