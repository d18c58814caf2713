/** Recomputation: parts of a graph whose intermediate results are not kept for the gradient. */
import { makeTensor, makeTensors, nextTensorId, type Node, Tensor } from "./graph.ts";

/** The nodes made while a function ran, by the numbers of their tensors. */
interface Segment {
  /** Number of the first tensor. */
  readonly first: number;
  /** Number of the last tensor. */
  readonly last: number;
}

/** The segment that ends in a node. */
const segments = new WeakMap<Node, Segment>();

/** What {@linkcode checkpoint} wraps: a function from tensors to one tensor or several. */
export type Part<I extends readonly Tensor[], O extends Tensor | readonly Tensor[]> = (
  ...inputs: I
) => O;

/**
 * A function whose intermediate results are computed again for the gradient instead of being kept
 * until then: less memory for one more forward pass through the part (Chen et al. 2016,
 * arXiv 1604.06174; torch.utils.checkpoint). Values and gradients are the same. Wrap each block of a
 * deep model; within a wrapped part, further wrapping changes nothing.
 *
 * @param part builds its results from its inputs and from tensors it captures (parameters)
 * @returns a function of the same inputs and results, of the same shapes and types
 *
 * @example
 * ```ts
 * import { checkpoint, gradients, relu, sum, tensor } from "@moiie/lab/tensor";
 * const x = tensor([-1, 2]);
 * const y = checkpoint((x) => relu(relu(x)))(x); // nothing between x and y is kept
 * console.log(String(gradients(sum(y), [x])[0])); // f32[2]
 * ```
 */
export function checkpoint<I extends readonly Tensor[], O extends Tensor | readonly Tensor[]>(
  part: Part<I, O>,
): Part<I, O> {
  const mark = (t: Tensor, segment: Segment): Tensor => {
    const out = makeTensor("identity", [t], {}, t.shape, t.dtype);
    segments.set(out.node, segment);
    return out;
  };
  return (...inputs) => {
    const first = nextTensorId();
    const made = part(...inputs);
    const segment = { first, last: nextTensorId() - 1 };
    const marked = made instanceof Tensor ? mark(made, segment) : made.map((t) => mark(t, segment));
    return marked as O;
  };
}

/**
 * For a graph in which parts are marked: gives each node within a marked part a second self, computed
 * from the part's inputs anew. Everything else is its own second self.
 *
 * @param order the tensors of the graph
 */
export function secondSelves(order: readonly Tensor[]): (t: Tensor) => Tensor {
  // Wider segments first, so that a part within a part belongs to the outer one.
  const marked = [...new Set(order.flatMap((t) => segments.get(t.node) ?? []))]
    .sort((a, b) => (b.last - b.first) - (a.last - a.first));
  if (marked.length === 0) return (t) => t;
  const copies = new Map<Tensor, Tensor>();
  const within = (t: Tensor) =>
    t.node.op === "leaf" ? undefined : marked.find((s) => t.id >= s.first && t.id <= s.last);
  const copyOf = (t: Tensor): Tensor => {
    const segment = within(t);
    if (!segment) return t;
    // An explicit stack: a part may be deeper than the call stack.
    const stack = [t];
    while (stack.length > 0) {
      const x = stack[stack.length - 1];
      const { node } = x;
      const missing = node.inputs.filter((i) => within(i) === segment && !copies.has(i));
      if (copies.has(x)) stack.pop();
      else if (missing.length > 0) stack.push(...missing);
      else {
        const inputs = node.inputs.map((i) => copies.get(i) ?? i);
        const shapes = node.outputs.map((o) => [o.shape, o.dtype] as const);
        const made = makeTensors(node.op, inputs, node.attributes, shapes);
        node.outputs.forEach((o, i) => copies.set(o, made[i]));
        stack.pop();
      }
    }
    return copies.get(t)!;
  };
  return copyOf;
}
