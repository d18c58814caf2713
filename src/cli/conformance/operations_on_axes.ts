/**
 * How operations on axes and positions are computed here: selection, gathering and scattering,
 * reductions, shapes. Where a case's name but no parameter says which axis is meant, the name
 * decides.
 *
 * @module
 */
import {
  add,
  argmax,
  argmin,
  cat,
  chunk,
  cumprod,
  cumsum,
  expand,
  flip,
  indexAdd,
  maskedScatter,
  maskedSelect,
  max,
  mean,
  mul,
  narrow,
  nonzero,
  norm,
  pad,
  permute,
  prod,
  repeat,
  repeatInterleave,
  reshape,
  roll,
  scatter,
  scatterAdd,
  slice,
  sort,
  split,
  squeeze,
  stack,
  standardDeviation,
  sum,
  take,
  takeAlong,
  type Tensor,
  topK,
  transpose,
  tril,
  triu,
  unbind,
  unsqueeze,
  variance,
  where,
} from "../../tensor/mod.ts";
import type { Compute, Inputs, Results, Table } from "./operation.ts";

/** The axis: the parameter, else `dim0`, `dim-1` or a last digit in the name, else `otherwise`. */
function axisOf(c: Inputs, otherwise = -1): number {
  const named = /dim(-?\d+)|(-?\d+)$/.exec(c.name);
  return c.number("dim", named ? Number(named[1] ?? named[2]) : otherwise);
}

/** The best element along an axis with its position. */
function best(largest: boolean): Compute {
  return (c) => {
    const axis = axisOf(c), { values, indices } = topK(c.in("x"), 1, { axis, largest });
    if (c.params.keepdim === true) return { values, indices };
    return { values: squeeze(values, axis), indices: squeeze(indices, axis) };
  };
}

const sorted = (descending: boolean): Compute => (c) => ({
  ...sort(c.in("x"), { axis: axisOf(c), descending }),
});

/** Selection. */
export const SELECTION: Table = [
  [/^topk/, (c) => {
    const options = { axis: axisOf(c), largest: c.params.largest !== false };
    return { ...topK(c.in("x"), c.number("k"), options) };
  }],
  [/^sort_desc/, sorted(true)],
  [/^sort/, sorted(false)],
  [/^argmax/, (c) => argmax(c.in("x"), axisOf(c))],
  [/^argmin/, (c) => argmin(c.in("x"), axisOf(c))],
  [/^max_/, best(true)],
  [/^min_/, best(false)],
];

/** Rows of `source` added to `x` along an axis. */
function addAlong(x: Tensor, source: Tensor, index: Tensor, axis: number): Tensor {
  const axes = x.shape.map((_, i) => i);
  [axes[0], axes[axis]] = [axis, 0];
  return add(x, permute(indexAdd(permute(source, axes), index, x.shape[axis]), axes));
}

const gather: Compute = (c) => takeAlong(c.in("x"), c.in("idx"), axisOf(c, 1));

/** Gathering and scattering. */
export const GATHER_SCATTER: Table = [
  [/^gather/, gather],
  ["scatter_unique", (c) => scatter(c.in("x"), c.in("idx"), c.in("src"), axisOf(c, 1))],
  [/^scatter_add/, (c) => {
    const x = c.in("x"), axis = axisOf(c, 1);
    return add(x, scatterAdd(c.in("src"), c.in("idx"), x.shape[axis], axis));
  }],
  [/^index_select/, (c) => take(c.in("x"), c.in("idx"), axisOf(c, 0))],
  [
    /^index_add/,
    (c) => addAlong(c.in("x"), mul(c.in("src"), c.number("alpha", 1)), c.in("idx"), axisOf(c, 0)),
  ],
  ["masked_fill", (c) => where(c.mask("mask"), c.number("value"), c.in("x"))],
  ["where", (c) => where(c.mask("mask"), c.in("a"), c.in("b"))],
  ["masked_select", (c) => maskedSelect(c.in("x"), c.mask("mask"))],
  ["masked_scatter", (c) => maskedScatter(c.in("x"), c.mask("mask"), c.in("src"))],
  ["row_mask_index", (c) => maskedSelect(c.in("x"), c.mask("mask"))],
  ["nonzero", (c) => nonzero(c.mask("mask"))],
  ["index_pairs", (c) => {
    const x = c.in("x");
    return take(reshape(x, [x.size]), add(mul(c.in("i"), x.shape[1]), c.in("j")));
  }],
];

const over = (f: (x: Tensor, options: { axes: number }) => Tensor): Compute => (c) =>
  f(c.in("x"), { axes: axisOf(c) });

/** All axes but the last. */
const leading = (x: Tensor): number[] => x.shape.map((_, i) => i).slice(0, -1);

/** Reductions. */
export const REDUCTIONS: Table = [
  ["sum_all", (c) => sum(c.in("x"))],
  [/^sum_dims/, (c) => {
    const { dims, keepdim } = c.params;
    return sum(c.in("x"), { axes: dims as number[], keepDims: keepdim === true });
  }],
  ["mean_all", (c) => mean(c.in("x"))],
  [/^mean_/, over(mean)],
  ["var_unbiased", (c) => variance(c.in("x"), { axes: -1 })],
  ["var_biased_keep", (c) => variance(c.in("x"), { axes: -1, correction: 0, keepDims: true })],
  ["var_all", (c) => variance(c.in("x"))],
  [/^std_/, over(standardDeviation)],
  ["norm2", (c) => norm(c.in("x"))],
  ["norm2_dim", (c) => norm(c.in("x"), { axes: -1 })],
  [/^prod_/, over(prod)],
  ["amax_dims", (c) => max(c.in("x"), { axes: leading(c.in("x")) })],
  [/^(int_)?cumsum/, (c) => cumsum(c.in("x"), axisOf(c))],
  [/^cumprod/, (c) => cumprod(c.in("x"), axisOf(c))],
  ["sum_big", (c) => sum(c.in("x"), { axes: -1 })],
  [/^sum_/, over(sum)],
];

/** Several results as y0, y1, … */
function listed(tensors: readonly Tensor[]): Results {
  return Object.fromEntries(tensors.map((t, i) => [`y${i}`, t]));
}

/** A function of x and its sizes. */
const shaped = (f: (x: Tensor, d: readonly number[]) => Results): Compute => (c) =>
  f(c.in("x"), c.in("x").shape);

/** Shapes; the formulas are those of the index. */
export const SHAPES: Table = [
  ["permute", shaped((x) => permute(x, [2, 0, 1]))],
  ["transpose_reshape", shaped((x, d) => reshape(transpose(x, 0, 1), [d[1], d[0] * d[2]]))],
  [
    "heads",
    shaped((x, d) => {
      const h = d[2] % 2 === 0 ? 2 : 1;
      return transpose(reshape(x, [d[0], d[1], h, d[2] / h]), 1, 2);
    }),
  ],
  ["expand", shaped((x, d) => expand(narrow(x, 1, 0, 1), [d[0], 4, d[2]]))],
  ["repeat", shaped((x) => repeat(x, [2, 1, 3]))],
  ["repeat_interleave", shaped((x) => repeatInterleave(x, 3, 1))],
  ["slice_step", shaped((x) => slice(x, undefined, { step: 2 }, { start: 1 }))],
  [
    "narrow_cat",
    shaped((x, d) => cat([narrow(x, -1, 1, d[2] - 1), mul(narrow(x, -1, 0, 1), 2)], -1)),
  ],
  ["flip", shaped((x) => flip(x, [-1]))],
  ["roll", shaped((x) => roll(x, 1, 1))],
  [
    "chunk",
    shaped((x, d) => {
      const even = d[2] - d[2] % 2;
      return listed(chunk(narrow(permute(x, [0, 2, 1]), 1, 0, even), 2, 1));
    }),
  ],
  ["split_uneven", shaped((x, d) => listed(split(x, [1, d[1] - 1], 1)))],
  ["tril", shaped((x) => tril(x))],
  ["triu1", shaped((x) => triu(x, 1))],
  ["pad", shaped((x) => pad(x, [0, 0, 1], [0, 1, 2], 0.5))],
  // In front and behind, added up.
  [
    "unsqueeze_squeeze",
    shaped((x) => add(squeeze(unsqueeze(x, 0), 0), squeeze(unsqueeze(x, -1), -1))),
  ],
  ["stack", shaped((x) => stack([x, mul(x, 3)], 1))],
  ["unbind", shaped((x) => listed(unbind(x, 1)))],
  [/^cat/, (c) => cat([c.in("a"), c.in("b"), c.in("c")], c.number("dim"))],
];
