/** Strided views: a tensor seen as stored memory with an offset and a stride for each dimension. */
import type { Tensor } from "./graph.ts";
import { rowMajor, type Shape } from "./shape.ts";

/** Element (i, j, …) of the view is element `offset + i·strides[0] + j·strides[1] + …` of `base`. */
export interface View {
  /** The tensor in memory, row-major. */
  readonly base: Tensor;
  /** Elements to skip. */
  readonly offset: number;
  /** Step of each dimension, in elements; 0 where a dimension is repeated. */
  readonly strides: readonly number[];
}

/**
 * The strided view that `t` is of a stored tensor, following reshapes, permutations, slices and
 * expansions, or undefined if no such view exists and it must be copied.
 *
 * @param isStored tells where to stop; operations that compute also end the walk (their result
 * would then have to be stored).
 */
export function stridedView(t: Tensor, isStored: (t: Tensor) => boolean): View | undefined {
  const moves: Tensor[] = [];
  let base = t;
  for (; !isStored(base) && VIEWS.has(base.node.op); base = base.node.inputs[0]) moves.push(base);
  let view: View | undefined = { base, offset: 0, strides: rowMajor(base.shape) };
  while (view && moves.length > 0) view = move(view, moves.pop()!);
  return view;
}

/** Operations that a view can express. */
const VIEWS: ReadonlySet<string> = new Set([
  "reshape",
  "permute",
  "expand",
  "slice",
  "stop_gradient",
]);

/** The view that `t` is, given the view that its operand is. */
function move({ base, offset, strides }: View, t: Tensor): View | undefined {
  const { op, inputs, attributes } = t.node;
  const from = inputs[0].shape;
  switch (op) {
    case "stop_gradient":
      return { base, offset, strides };
    case "permute":
      return { base, offset, strides: (attributes.axes as number[]).map((a) => strides[a]) };
    case "expand":
      return {
        base,
        offset,
        strides: strides.map((s, i) => from[i] === 1 && t.shape[i] !== 1 ? 0 : s),
      };
    case "slice": {
      const starts = attributes.starts as number[], steps = attributes.steps as number[];
      return {
        base,
        offset: starts.reduce((o, s, i) => o + s * strides[i], offset),
        strides: strides.map((s, i) => s * steps[i]),
      };
    }
    default: {
      const reshaped = reshapeStrides(from, strides, t.shape);
      return reshaped && { base, offset, strides: reshaped };
    }
  }
}

/** Strides after a reshape, or undefined if the elements no longer lie evenly. */
function reshapeStrides(
  from: Shape,
  strides: readonly number[],
  to: Shape,
): number[] | undefined {
  // Drop sizes of 1, then match groups of dimensions with equal products.
  const dims = from.map((d, i) => [d, strides[i]] as const).filter(([d]) => d !== 1);
  const out = new Array<number>(to.length).fill(0);
  let i = dims.length - 1, j = to.length - 1;
  while (j >= 0) {
    if (to[j] === 1) {
      j--;
      continue;
    }
    if (i < 0) return undefined;
    // Merge input dimensions that follow each other in memory.
    let [size, stride] = dims[i];
    const inner = stride;
    i--;
    while (i >= 0 && dims[i][1] === size * inner) {
      stride = dims[i][1];
      size *= dims[i][0];
      i--;
    }
    // Split the merged run among output dimensions.
    let left = size, step = inner;
    while (left > 1) {
      while (j >= 0 && to[j] === 1) j--;
      if (j < 0 || left % to[j] !== 0) return undefined;
      out[j] = step;
      step *= to[j];
      left /= to[j];
      j--;
    }
  }
  return i < 0 ? out : undefined;
}
