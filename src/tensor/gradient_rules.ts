/**
 * The gradient of every operation, as a table from operation to rule. A rule gets the node and the
 * gradients of its outputs (undefined where nothing flows back) and returns the gradients of its
 * inputs (undefined where none is defined, such as for indices). A gradient has the type of its input.
 */
import {
  add,
  cast,
  cos,
  div,
  equal,
  exp,
  iota,
  less,
  lessEqual,
  logicalAnd,
  maximum,
  mul,
  neg,
  sigmoid,
  sign,
  sin,
  sub,
  where,
  zeros,
} from "./elementwise.ts";
import { isFloat } from "./dtype.ts";
import { combineRows, dispatchRows } from "./dispatch.ts";
import { flashGradients, secondGradients } from "./flash_gradients.ts";
import { makeTensor, type Node, type Tensor } from "./graph.ts";
import { indexAdd, scatterAdd, takeAlong, takeRowsOrZero } from "./indexing.ts";
import { groupedMatmul, groupedOuter, matmul } from "./matmul.ts";
import {
  cat,
  expand,
  flip,
  narrow,
  pad,
  permute,
  reshape,
  transpose,
  unsqueeze,
} from "./movement.ts";
import { prod, sum } from "./reduce.ts";

/**
 * Gradients of a node's inputs from that of one of its outputs, of which `index` is the number.
 * `differentiate` is `gradients()`.
 */
type Rule = (
  node: Node,
  g: Tensor,
  index: number,
  differentiate: (y: Tensor, wrt: readonly Tensor[], upstream: Tensor) => Tensor[],
) => readonly (Tensor | undefined)[];

/** Reduced gradient, spread over the reduced axes again. */
function spread(node: Node, g: Tensor): Tensor {
  const x = node.inputs[0];
  const axes = node.attributes.axes as number[];
  return expand(reshape(g, x.shape.map((d, i) => axes.includes(i) ? 1 : d)), x.shape);
}

/** Gradient to the extreme elements, shared equally between equal ones. */
function extreme(node: Node, g: Tensor): Tensor[] {
  const [x] = node.inputs, top = spread(node, node.outputs[0]);
  // Not a test for equality: x may be recomputed here and come out a last digit beyond the extreme.
  const hit = cast(node.op === "max" ? lessEqual(top, x) : lessEqual(x, top), "f32");
  const count = sum(hit, { axes: node.attributes.axes as number[] });
  return [mul(hit, spread(node, div(g, maximum(count, 1))))];
}

/** Gradient of a product: the product of the others, which division gives unless one is zero. */
function productGradient(node: Node, g: Tensor): Tensor[] {
  const [x] = node.inputs;
  const axes = node.attributes.axes as number[];
  const isZero = equal(x, 0);
  const zeroes = spread(node, sum(cast(isZero, "f32"), { axes }));
  const others = spread(node, prod(where(isZero, 1, x), { axes }));
  const share = where(
    isZero,
    where(equal(zeroes, 1), others, 0),
    where(equal(zeroes, 0), div(others, where(isZero, 1, x)), 0),
  );
  return [mul(spread(node, g), share)];
}

/** The gradient to `a` where it is larger, else to `b`; half to each where they are equal. */
function larger(g: Tensor, a: Tensor, b: Tensor): Tensor[] {
  const half = mul(g, 0.5);
  return [
    where(equal(a, b), half, where(less(b, a), g, 0)),
    where(equal(a, b), half, where(less(a, b), g, 0)),
  ];
}

/** Scatters a gradient along an axis other than 0 by moving that axis to the front. */
function takeGradient(node: Node, g: Tensor): Tensor {
  const [x, index] = node.inputs;
  const axis = node.attributes.axis as number;
  // g: [before..., index..., after...] -> [index elements, before..., after...]
  const before = x.shape.slice(0, axis), after = x.shape.slice(axis + 1);
  const flat = reshape(g, [...before, index.size, ...after]);
  const order = [axis, ...before.map((_, i) => i), ...after.map((_, i) => axis + 1 + i)];
  const rows = indexAdd(permute(flat, order), reshape(index, [index.size]), x.shape[axis]);
  const back = new Array<number>(order.length);
  order.forEach((a, i) => back[a] = i);
  return permute(rows, back);
}

/** What the operation `swiglu_gradient` computes, in operations that have gradients. */
function swigluGradient(x: Tensor, g: Tensor): Tensor {
  const axis = x.rank - 1, count = g.shape.at(-1)!;
  const gate = narrow(x, axis, 0, count), s = sigmoid(gate), linear = mul(gate, s);
  const slope = mul(narrow(x, axis, count, count), add(s, mul(linear, sub(1, s))));
  return cat([mul(g, slope), mul(g, linear)], axis);
}

/** The rules. An operation that is not here has no gradient (comparisons, indices). */
export const GRADIENT_RULES: Readonly<Record<string, Rule>> = {
  add: (_, g) => [g, g],
  sub: (_, g) => [g, neg(g)],
  mul: ({ inputs: [a, b] }, g) => a === b ? [mul(g, add(a, a))] : [mul(g, b), mul(g, a)],
  div: ({ inputs: [_a, b], outputs: [y] }, g) => {
    const ga = div(g, b);
    return [ga, neg(mul(ga, y))];
  },
  maximum: ({ inputs: [a, b] }, g) => larger(g, a, b),
  minimum: ({ inputs: [a, b] }, g) => larger(g, b, a),
  where: ({ inputs: [c] }, g) => [undefined, where(c, g, 0), where(c, 0, g)],
  neg: (_, g) => [neg(g)],
  abs: ({ inputs: [x] }, g) => [mul(g, sign(x))],
  sign: ({ inputs: [x] }) => [zeros(x.shape, x.dtype)],
  floor: ({ inputs: [x] }) => [zeros(x.shape, x.dtype)],
  exp: ({ outputs: [y] }, g) => [mul(g, y)],
  log: ({ inputs: [x] }, g) => [div(g, x)],
  sqrt: ({ outputs: [y] }, g) => [div(mul(g, 0.5), y)],
  rsqrt: ({ outputs: [y] }, g) => [mul(mul(g, -0.5), mul(y, mul(y, y)))],
  sin: ({ inputs: [x] }, g) => [mul(g, cos(x))],
  cos: ({ inputs: [x] }, g) => [neg(mul(g, sin(x)))],
  tanh: ({ outputs: [y] }, g) => [mul(g, sub(1, mul(y, y)))],
  sigmoid: ({ outputs: [y] }, g) => [mul(g, mul(y, sub(1, y)))],
  erf: ({ inputs: [x] }, g) => [mul(g, mul(exp(neg(mul(x, x))), 2 / Math.sqrt(Math.PI)))],
  cast: (
    { inputs: [x] },
    g,
  ) => [isFloat(x.dtype) && isFloat(g.dtype) ? cast(g, x.dtype) : undefined],
  identity: (_, g) => [g],
  pack: ({ inputs, attributes }, g) => {
    const offsets = attributes.offsets as number[];
    return inputs.map((x, i) => reshape(narrow(g, 0, offsets[i], x.size), x.shape));
  },

  reshape: ({ inputs: [x] }, g) => [reshape(g, x.shape)],
  permute: ({ attributes }, g) => {
    const axes = attributes.axes as number[];
    const back = new Array<number>(axes.length);
    axes.forEach((a, i) => back[a] = i);
    if (g.node.op !== "permute") return [permute(g, back)];
    // Two in a row are one, and often none. Not so in permute() itself: there the inner one may be
    // asked for its gradient.
    const inner = g.node.attributes.axes as number[];
    return [permute(g.node.inputs[0], back.map((a) => inner[a]))];
  },
  expand: ({ inputs: [x] }, g) => {
    const lead = g.rank - x.rank;
    const axes = g.shape.map((_, i) => i).filter((i) =>
      i < lead || (x.shape[i - lead] === 1 && g.shape[i] !== 1)
    );
    return [reshape(sum(g, { axes }), x.shape)];
  },
  slice: ({ inputs: [x], attributes }, g) => {
    const starts = attributes.starts as number[], steps = attributes.steps as number[];
    let y = g;
    steps.forEach((step, i) => {
      if (step > 1 && y.shape[i] > 0) {
        // Put step - 1 zeros behind every element, then cut the last ones off.
        const n = y.shape[i];
        const wide = reshape(y, [...y.shape.slice(0, i), n, 1, ...y.shape.slice(i + 1)]);
        const zerosBehind = wide.shape.map((_, j) => j === i + 1 ? step - 1 : 0);
        const padded = pad(wide, wide.shape.map(() => 0), zerosBehind);
        y = reshape(padded, [...y.shape.slice(0, i), n * step, ...y.shape.slice(i + 1)]);
        y = narrow(y, i, 0, (n - 1) * step + 1);
      }
    });
    return [pad(y, starts, x.shape.map((d, i) => d - starts[i] - y.shape[i]))];
  },
  pad: ({ inputs: [x], attributes }, g) => {
    const before = attributes.before as number[];
    return [x.shape.reduce((y, d, i) => narrow(y, i, before[i], d), g)];
  },
  flip: ({ attributes }, g) => [flip(g, attributes.axes as number[])],
  cat: ({ inputs, attributes }, g) => {
    const axis = attributes.axis as number;
    let at = 0;
    return inputs.map((p) => narrow(g, axis, (at += p.shape[axis]) - p.shape[axis], p.shape[axis]));
  },

  sum: (node, g) => [spread(node, g)],
  prod: productGradient,
  max: extreme,
  min: extreme,
  logsumexp: (node, g) => {
    const [x] = node.inputs;
    return [mul(spread(node, g), exp(sub(x, spread(node, node.outputs[0]))))];
  },

  // A quarter turn's inverse is its opposite.
  rotate_half: ({ inputs: [x] }, g) => [neg(makeTensor("rotate_half", [g], {}, x.shape, g.dtype))],
  // Both halves at once, which have the sigmoid in common.
  swiglu: ({ inputs: [x] }, g) => [makeTensor("swiglu_gradient", [x, g], {}, x.shape, x.dtype)],
  swiglu_gradient: ({ inputs }, u, _, differentiate) => {
    // Tensors of their own: the gradient may be computed from the operand.
    const own = inputs.map((x) => makeTensor("identity", [x], {}, x.shape, x.dtype));
    return differentiate(swigluGradient(own[0], own[1]), own, u);
  },
  // The whole derivative, so none is left for the largest element and the sum.
  softmax: ({ outputs: [y], attributes }, g) => {
    const along = { axes: attributes.axis as number, keepDims: true };
    return [mul(y, sub(g, sum(mul(g, y), along))), undefined, undefined];
  },
  log_softmax: ({ outputs: [y], attributes }, g) => {
    const along = { axes: attributes.axis as number, keepDims: true };
    return [sub(g, mul(exp(y), sum(g, along))), undefined, undefined];
  },
  class_loss: ({ inputs: [x, index, top, total] }, g) => {
    const across = (t: Tensor) => expand(unsqueeze(t, 1), x.shape);
    const operands = [x, across(top), across(total)];
    const probabilities = makeTensor("softmax", operands, { axis: 1 }, x.shape, x.dtype);
    const hit = cast(equal(across(index), iota(x.shape, 1)), "f32");
    return [mul(across(g), sub(probabilities, hit))];
  },

  // A transposed operand, such as a weight [out, in], gets its gradient in its own layout: the two
  // transpositions cancel, and no kernel has to copy it.
  matmul: ({ inputs: [a, b] }, g) => [
    matmul(g, transpose(b)),
    b.node.op === "permute" ? transpose(matmul(transpose(g), a)) : matmul(transpose(a), g),
  ],
  grouped_matmul: (node, g) => {
    const [x, weight, tileGroup, offsets] = node.inputs;
    const { transposed, tile, groups: count } = node.attributes as {
      transposed: boolean;
      tile: number;
      groups: number;
    };
    const groups = { count, tile, tileGroup, offsets };
    return [
      groupedMatmul(g, weight, groups, { transposed: !transposed }),
      transposed ? groupedOuter(x, g, groups) : groupedOuter(g, x, groups),
    ];
  },
  grouped_outer: (node, g) => {
    // y[e] = a[e]ᵀ b[e]: da = b gᵀ, db = a g, row by row with the matrix of the row's group.
    const [a, b, tileGroup, offsets] = node.inputs;
    const { tile, groups: count } = node.attributes as { tile: number; groups: number };
    const groups = { count, tile, tileGroup, offsets };
    return [groupedMatmul(b, g, groups), groupedMatmul(a, g, groups, { transposed: true })];
  },

  flash_attention: flashGradients,
  flash_attention_queries: secondGradients,
  flash_attention_keys: secondGradients,

  take: (node, g) => [takeGradient(node, g), undefined],
  take_along: ({ inputs: [x, index], attributes }, g) => {
    const axis = attributes.axis as number;
    const single = index.shape[axis] === 1 &&
      index.shape.every((d, i) => i === axis || d === x.shape[i]);
    if (single) {
      // One element of each row: a comparison instead of a scatter, so that it fuses.
      const at = expand(cast(index, "i32"), x.shape);
      return [where(equal(iota(x.shape, axis), at), expand(g, x.shape), 0), undefined];
    }
    const full = scatterAdd(g, index, x.shape[axis], axis);
    const short = x.shape.some((d, i) => i !== axis && d !== index.shape[i]);
    return [
      short ? pad(full, x.shape.map(() => 0), x.shape.map((d, i) => d - full.shape[i])) : full,
      undefined,
    ];
  },
  take_or_zero: ({ inputs: [x, index] }, g) => [indexAdd(g, index, x.shape[0]), undefined],
  index_add: ({ inputs: [source, index] }, g) => [
    reshape(takeRowsOrZero(g, index), source.shape),
    undefined,
  ],
  scatter_add: ({ inputs: [, index], attributes }, g) => {
    const axis = attributes.axis as number, at = cast(index, "i32");
    // takeAlong() limits indices to the axis; those outside were ignored and get nothing.
    const inside = logicalAnd(lessEqual(0, at), less(at, g.shape[axis]));
    return [where(inside, takeAlong(g, index, axis), 0), undefined];
  },
  dispatch_rows: ({ inputs: [, position, item], attributes }, g) => [
    combineRows(g, { position, item }, attributes.slots as number),
    undefined,
    undefined,
  ],
  combine_rows: ({ inputs: [rows, position, item, weights], attributes }, g) => {
    const map = { position, item }, slots = attributes.slots as number;
    const back = dispatchRows(g, map, slots);
    if (!weights) return [back, undefined, undefined];
    const weight = dispatchRows(reshape(weights, [weights.size, 1]), map, 1);
    const byRow = sum(mul(back, rows), { axes: 1, keepDims: true });
    const byItem = reshape(combineRows(byRow, map, 1), weights.shape);
    return [mul(back, weight), undefined, undefined, byItem];
  },
};
