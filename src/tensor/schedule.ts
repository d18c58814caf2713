/**
 * From a graph to an ordered list of steps. Decides which tensors are written to memory and which
 * are recomputed inside the kernels that use them (fusion), and which elementwise work a reduction
 * or a matrix product does on its results before it writes them (epilogue).
 */
import { topological } from "./grad.ts";
import { type Node, refuseDisposed, type Tensor } from "./graph.ts";
import { groupRows, type RowGroup } from "./row_groups.ts";
import {
  ATTENTIONS,
  COSTS,
  EFFECTS,
  EPILOGUES,
  isInline,
  isMove,
  MOVES,
  operandsOf,
  timesComputed,
} from "./operation_kinds.ts";
import { stridedView } from "./view.ts";

/** Distinct tensors one fused kernel may read: WebGPU guarantees 8 storage buffers, one is written. */
export const MOST_READS = 7;

/** Longest chain of operations in one kernel: keeps kernels and the walks through them short. */
const DEEPEST = 100;

/** Recompute a shared value rather than store it, up to this cost. */
const CHEAP = 5;

/** Compute a mask for every score rather than store one for each, up to this cost. */
const CHEAP_MASK = 16;

/** One kernel of a plan. */
export interface Step {
  /** The node that gives the step its kind; an inline operation means an elementwise kernel. */
  readonly node: Node;
  /** Tensors written. */
  readonly writes: readonly Tensor[];
  /** The expression written in place of the node's result, over that result and other tensors. */
  readonly epilogue: Tensor | undefined;
  /**
   * What the columns n and n + N/2 of a matrix product are made into, if they are (`swiglu`): written
   * first, and the product itself only if something else needs it.
   */
  readonly pairs?: Tensor;
  /** If the step is several that work row by row: these. Node and epilogue are those of the last. */
  readonly group?: RowGroup;
}

/** An ordered list of steps. */
export interface Schedule {
  /** The steps, each after those that make what it reads. */
  readonly steps: readonly Step[];
  /** True for tensors held in memory. */
  readonly isStored: (t: Tensor) => boolean;
  /** The tensors asked for. */
  readonly roots: readonly Tensor[];
}

/** Rounds of choosing again after kernels that read too much were cut. */
const ROUNDS = 4;

/** Orders a graph into steps. */
export function schedule(roots: readonly Tensor[]): Schedule {
  const order = topological(roots);
  refuseDisposed(order);
  const forced = new Set<Tensor>(roots);
  let stored = choose(order, forced);
  for (let round = 0; round < ROUNDS; round++) {
    const cut = limitKernels(order, stored);
    if (cut.length === 0) break;
    // What was cut off changes what is worth storing behind it, so choose anew around the cuts.
    for (const t of cut) forced.add(t);
    if (round < ROUNDS - 1) stored = choose(order, forced);
  }
  const made = makeSteps(order, roots, stored);
  return { ...groupRows(made.steps, roots, made.isStored), roots };
}

const isLeaf = (t: Tensor): boolean => t.node.op === "leaf";

/** Chooses the tensors that are written to memory. */
function choose(order: readonly Tensor[], forced: ReadonlySet<Tensor>): Set<Tensor> {
  const cost = new Map<Tensor, number>();
  for (const t of order) {
    const own = COSTS[t.node.op];
    const total = own === undefined
      ? 0
      : t.node.inputs.reduce((s, x) => s + (cost.get(x) ?? 0), own);
    cost.set(t, Math.min(total, 1e6));
  }
  const stored = new Set<Tensor>(forced);
  const inPlaceOf = epilogueRoots(order);
  const users = new Map<Tensor, Map<Tensor, number>>(); // kernel -> number of elements it visits
  const use = (x: Tensor, kernels: Map<Tensor, number>) => {
    let m = users.get(x);
    if (!m) users.set(x, m = new Map());
    for (const [k, n] of kernels) m.set(k, Math.max(n, m.get(k) ?? 0));
  };
  for (let i = order.length - 1; i >= 0; i--) {
    const t = order[i], { op, inputs } = t.node;
    if (isLeaf(t)) {
      stored.add(t);
      continue;
    }
    if (!isInline(op)) {
      stored.add(t);
      const { strided, computed } = operandsOf(t.node);
      const times = timesComputed(t.node);
      if (computed && (times > 0 || cost.get(computed)! > CHEAP_MASK)) {
        use(computed, new Map([[t, Math.max(1, times) * computed.size]]));
      }
      for (const x of inputs) {
        if (strided.includes(x)) stored.add(stridedView(x, isLeaf)?.base ?? x);
        else if (x !== computed) stored.add(x);
      }
      continue;
    }
    const mine = users.get(t) ?? new Map<Tensor, number>();
    if (!stored.has(t) && !MOVES.has(op)) {
      const c = cost.get(t)!;
      const shared = mine.size > 1 && (c > CHEAP || inPlaceOf.has(t));
      const repeated = c > 1 && [...mine.values()].some((n) => n >= 4 * Math.max(1, t.size));
      if (shared || repeated) stored.add(t);
    }
    const kernels = stored.has(t) ? new Map([[t, t.size]]) : mine;
    for (const x of inputs) use(x, kernels);
  }
  return stored;
}

/**
 * Elementwise results that a reduction or a product can write in place of its own, since nothing else
 * needs that: a product with bias and residual, say. Keeping one costs no memory of its own.
 */
function epilogueRoots(order: readonly Tensor[]): Set<Tensor> {
  const uses = new Map<Tensor, number>();
  for (const t of order) {
    for (const x of new Set(t.node.inputs)) uses.set(x, (uses.get(x) ?? 0) + 1);
  }
  const found = new Set<Tensor>();
  for (const t of order) {
    const { op, inputs } = t.node;
    if (!isInline(op) || (isMove(op) && op !== "reshape")) continue;
    const begins = inputs.some((x) =>
      x.size === t.size && uses.get(x) === 1 && (EPILOGUES.has(x.node.op) || found.has(x))
    );
    if (begins) found.add(t);
  }
  return found;
}

/** Stores more tensors until no fused kernel reads too many or is too deep; returns those. */
function limitKernels(order: readonly Tensor[], stored: Set<Tensor>): Tensor[] {
  const added: Tensor[] = [];
  const reads = new Map<Tensor, Set<Tensor>>();
  const depth = new Map<Tensor, number>();
  const of = (t: Tensor): Set<Tensor> => stored.has(t) ? new Set([t]) : reads.get(t)!;
  const union = (inputs: readonly Tensor[]): Set<Tensor> => {
    const all = new Set<Tensor>();
    for (const x of inputs) for (const r of of(x)) all.add(r);
    return all;
  };
  for (const t of order) {
    if (ATTENTIONS.has(t.node.op)) {
      const { strided, computed } = operandsOf(t.node);
      const all = new Set(strided.map((x) => stridedView(x, (y) => stored.has(y))!.base));
      if (computed) { for (const r of of(computed)) all.add(r); }
      if (all.size + t.node.outputs.length <= MOST_READS + 1) continue;
      // The mask, as it was before it was spread over heads and queries.
      let mask = computed!;
      while (MOVES.has(mask.node.op) && !stored.has(mask.node.inputs[0])) {
        mask = mask.node.inputs[0];
      }
      stored.add(mask);
      added.push(mask);
      continue;
    }
    if (isLeaf(t) || !(isInline(t.node.op) || timesComputed(t.node) > 0)) continue;
    const levels = t.node.inputs.map((x) => stored.has(x) ? 0 : depth.get(x) ?? 0);
    depth.set(t, 1 + Math.max(0, ...levels));
    if (depth.get(t)! >= DEEPEST) stored.add(t);
    const most = MOST_READS + 1 - t.node.outputs.length;
    let all = union(t.node.inputs);
    while (all.size > most) {
      const candidates = t.node.inputs.filter((x) => !stored.has(x));
      if (candidates.length === 0) break; // a cat of more parts than buffers: split at the op
      candidates.sort((a, b) => of(b).size - of(a).size);
      stored.add(candidates[0]);
      added.push(candidates[0]);
      all = union(t.node.inputs);
    }
    reads.set(t, all);
  }
  return added;
}

/** Stored tensors that an expression reads, stopping at stored ones. */
export function readsOf(
  expression: Tensor,
  isStored: (t: Tensor) => boolean,
  top = true,
): Set<Tensor> {
  const found = new Set<Tensor>(), seen = new Set<Tensor>();
  const visit = (t: Tensor, first: boolean) => {
    if (seen.has(t)) return;
    seen.add(t);
    if (isStored(t) && !first) found.add(t);
    else for (const x of t.node.inputs) visit(x, false);
  };
  visit(expression, top);
  return found;
}

/** True if `target` is read in `expression` only at the position that is being written. */
function readsInPlace(
  expression: Tensor,
  target: Tensor,
  isStored: (t: Tensor) => boolean,
): boolean {
  const seen = new Set<string>();
  const visit = (t: Tensor, inPlace: boolean, first: boolean): boolean => {
    if (t === target) return inPlace;
    if (isStored(t) && !first) return true;
    const key = `${t.id}${inPlace}`;
    if (seen.has(key)) return true;
    seen.add(key);
    const keeps = inPlace && (!isMove(t.node.op) || t.node.op === "reshape");
    return t.node.inputs.every((x) => visit(x, keeps, false));
  };
  return visit(expression, true, true);
}

function makeSteps(
  order: readonly Tensor[],
  roots: readonly Tensor[],
  stored: Set<Tensor>,
): { steps: Step[]; isStored: (t: Tensor) => boolean } {
  let isStored = (t: Tensor) => stored.has(t);
  // How many kernels read each stored tensor, to find results with a single reader.
  const readers = new Map<Tensor, Tensor[]>();
  const kernels = order.filter((t) => !isLeaf(t) && stored.has(t));
  for (const k of kernels) {
    for (const r of kernelReads(k, isStored)) {
      const list = readers.get(r);
      if (list) list.push(k);
      else readers.set(r, [k]);
    }
  }
  // Let a reduction or a product do the elementwise work of its only reader.
  const absorbed = new Set<Tensor>(); // results that never reach memory
  const host = new Map<Tensor, Tensor>(); // elementwise root -> the result it is computed from
  for (const k of kernels) {
    if (!isInline(k.node.op)) continue;
    const reads = kernelReads(k, isStored);
    for (const r of reads) {
      if (
        EPILOGUES.has(r.node.op) && !roots.includes(r) && readers.get(r)!.length === 1 &&
        ((r.size === k.size && readsInPlace(k, r, isStored)) || unpairedProduct(k) === r) &&
        reads.size - 1 + kernelReads(r, isStored).size <= MOST_READS
      ) {
        host.set(k, r);
        absorbed.add(r);
        break;
      }
    }
  }
  // Let a product make pairs of its columns one, where it can read those of its right operand apart.
  const pairs = new Map<Tensor, Tensor>(); // product -> what its pairs are made into
  for (const k of kernels) {
    const r = pairedProduct(k);
    if (!r || absorbed.has(r) || pairs.has(r) || !readsColumnsApart(r.node, isStored)) continue;
    pairs.set(r, k);
    host.set(k, r);
    if (readers.get(r)!.length === 1 && !roots.includes(r)) absorbed.add(r);
  }
  const steps: Step[] = [];
  const effects: Step[] = [];
  const done = new Set<Node>();
  for (const t of inOrder(kernels, isStored, host)) {
    const pair = pairs.get(t), source = host.get(t);
    if (pair) {
      const writes = absorbed.has(t) ? [pair] : [pair, t];
      steps.push({ node: t.node, writes, epilogue: undefined, pairs: pair });
    }
    if (pair || absorbed.has(t) || done.has(t.node) || (source && pairs.has(source))) continue;
    if (source) {
      steps.push({ node: source.node, writes: [t], epilogue: t });
    } else if (isInline(t.node.op)) {
      steps.push({ node: t.node, writes: [t], epilogue: undefined });
    } else {
      done.add(t.node);
      const step = { node: t.node, writes: t.node.outputs, epilogue: undefined };
      (EFFECTS.has(t.node.op) ? effects : steps).push(step);
    }
  }
  const before = isStored;
  isStored = (t) => before(t) && !absorbed.has(t);
  return { steps: [...steps, ...effects], isStored };
}

/** The matrix product of which `t` makes both halves of the columns one, if that is what it is. */
const pairedProduct = ({ node: { op, inputs } }: Tensor): Tensor | undefined =>
  op === "swiglu" ? rowsOfProduct(inputs[0]) : undefined;

/** The matrix product of which `t` makes two halves of columns, if that is what it is. */
const unpairedProduct = ({ node: { op, inputs } }: Tensor): Tensor | undefined =>
  op === "swiglu_gradient" ? rowsOfProduct(inputs[1]) : undefined;

/** The matrix product that `x` is, but for dimensions before the last one. */
function rowsOfProduct(x: Tensor): Tensor | undefined {
  const columns = x.shape.at(-1);
  while (x.node.op === "reshape" && x.node.inputs[0].shape.at(-1) === columns) [x] = x.node.inputs;
  return x.node.op === "matmul" || x.node.op === "grouped_matmul" ? x : undefined;
}

/** Whether neighbouring columns of a product's right operand lie apart in memory anyway. */
function readsColumnsApart(
  { op, inputs, attributes }: Node,
  isStored: (t: Tensor) => boolean,
): boolean {
  if (op === "grouped_matmul") return !attributes.transposed;
  return stridedView(inputs[1], isStored)!.strides.at(-1) !== 1;
}

/**
 * Kernels in the order in which they run: as soon as what they read is there, but not before the
 * program that made the graph began them. So a part that is computed again for its gradient
 * (see `checkpoint`) is computed when the gradient gets there, and its memory serves others before.
 */
function inOrder(
  kernels: readonly Tensor[],
  isStored: (t: Tensor) => boolean,
  host: ReadonlyMap<Tensor, Tensor>,
): Tensor[] {
  const time = new Map<Tensor, number>();
  for (const k of kernels) {
    let begun = host.get(k)?.id ?? k.id;
    if (isInline(k.node.op) || timesComputed(k.node) > 0) {
      const seen = new Set<Tensor>();
      const visit = (t: Tensor) => {
        if (seen.has(t) || (t !== k && isStored(t))) return;
        seen.add(t);
        begun = Math.min(begun, t.id);
        t.node.inputs.forEach(visit);
      };
      visit(k);
    }
    for (const r of kernelReads(k, isStored)) begun = Math.max(begun, time.get(r) ?? 0);
    time.set(k, begun);
  }
  return [...kernels].sort((a, b) => time.get(a)! - time.get(b)! || a.id - b.id);
}

/** Stored tensors that the kernel making `t` reads. */
function kernelReads(t: Tensor, isStored: (t: Tensor) => boolean): Set<Tensor> {
  if (isInline(t.node.op)) return readsOf(t, isStored);
  const all = new Set<Tensor>();
  const { strided, computed } = operandsOf(t.node);
  for (const x of t.node.inputs) {
    if (x === computed) { for (const r of readsOf(x, isStored, false)) all.add(r); }
    else if (strided.includes(x)) all.add(stridedView(x, isStored)!.base);
    else all.add(x);
  }
  return all;
}

/** Stored tensors that a step reads, in a stable order. */
export function stepReads(step: Step, isStored: (t: Tensor) => boolean): readonly Tensor[] {
  if (step.group) return step.group.reads;
  const all = new Set<Tensor>();
  const source = step.node.outputs[0];
  if (step.epilogue) {
    // The absorbed result counts as stored here so that the walk stops at it.
    const stop = (t: Tensor) => t === source || isStored(t);
    for (const r of readsOf(step.epilogue, stop)) if (r !== source) all.add(r);
  }
  for (const r of kernelReads(source, isStored)) all.add(r);
  return [...all];
}
