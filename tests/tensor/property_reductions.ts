/** Reductions, softmax, running sums, order, matrix products of random graphs. */
import * as t from "../../src/tensor/mod.ts";
import { away, type Family, MARGIN } from "./property_draft.ts";
import * as ref from "./reference.ts";
import { type Arr, reduce } from "./reference.ts";
import { bestAlong, running, takenAlong } from "./reference_functions.ts";

type Reduction = (x: t.Tensor, o: t.ReduceOptions) => t.Tensor;

/** With the fewest elements they make sense for. */
const REDUCTIONS: [string, Reduction, (v: number[]) => number, number][] = [
  ["sum", t.sum, ref.total, 0],
  ["prod", t.prod, ref.product, 0],
  ["mean", t.mean, ref.mean, 1],
  ["variance", t.variance, (v) => ref.variance(v), 2],
  ["variance 0", (x, o) => t.variance(x, { ...o, correction: 0 }), (v) => ref.variance(v, 0), 1],
  [
    "deviation",
    (x, o) => t.sqrt(t.add(t.variance(x, o), 0.1)),
    (v) => Math.sqrt(ref.variance(v) + 0.1),
    2,
  ],
  ["norm", t.norm, (v) => Math.hypot(...v), 1],
  ["logSumExp", t.logSumExp, ref.logSumExp, 1],
  ["max", t.max, (v) => Math.max(...v), 1],
  ["min", t.min, (v) => Math.min(...v), 1],
];

/** Whether the elements of every list over some axes differ clearly. */
const distinct = (x: Arr, axes: readonly number[], by = MARGIN): boolean =>
  reduce(x, axes, (v) => {
    const sorted = [...v].sort((a, b) => a - b);
    return sorted.every((w, i) => i === 0 || w - sorted[i - 1] >= by) ? 1 : 0;
  }).data.every((ok) => ok === 1);

export const reduced: Family = (d) => {
  const { random } = d, from = d.pick(), shape = d.shapeOf(from);
  const [name, f, g, fewest] = random.pick(REDUCTIONS);
  const all = shape.map((_, i) => i), keepDims = random.bool(0.4);
  const some = random.shuffle([...all]).slice(0, 1 + random.int(Math.max(1, all.length)));
  const axes = random.bool(0.15) ? all : some;
  if (ref.sizeOf(axes.map((a) => shape[a])) < fewest) return false;
  if (axes.length === 0 && name.startsWith("deviation")) return false;
  return d.add({
    name: `${name} over ${axes}${keepDims ? ", kept" : ""}`,
    from: [from],
    device: (x) => f(x, { axes, keepDims }),
    reference: (x) => reduce(x, axes, g, keepDims),
    steady: name === "max" || name === "min"
      ? (x) => distinct(x, axes)
      : name === "norm"
      ? (x) => away(reduce(x, axes, (v) => Math.hypot(...v)), 0, 0.1)
      : undefined,
  });
};

/** Whole numbers are reduced exactly, equal ones too. */
export const wholeReduced: Family = (d) => {
  const from = d.pick("i32", 1), shape = d.shapeOf(from), axis = d.random.int(shape.length);
  if (shape[axis] === 0) return false;
  const [name, f, g] = d.random.pick<[string, Reduction, (v: number[]) => number]>([
    ["sum", t.sum, ref.total],
    ["max", t.max, (v) => Math.max(...v)],
    ["min", t.min, (v) => Math.min(...v)],
  ]);
  return d.add({
    name: `${name} over ${axis}`,
    from: [from],
    dtype: "i32",
    device: (x) => f(x, { axes: axis }),
    reference: (x) => reduce(x, [axis], g),
  });
};

export const normalizedExponentials: Family = (d) => {
  const from = d.pick("f32", 1), shape = d.shapeOf(from), axis = d.random.int(shape.length);
  if (shape[axis] === 0) return false;
  return d.random.bool()
    ? d.add({
      name: `softmax ${axis}`,
      from: [from],
      device: (x) => t.softmax(x, axis),
      reference: (x) => ref.softmax(x, axis),
    })
    : d.add({
      name: `logSoftmax ${axis}`,
      from: [from],
      device: (x) => t.logSoftmax(x, axis - shape.length),
      reference: (x) => ref.zip((v, l) => v - l, x, reduce(x, [axis], ref.logSumExp, true)),
    });
};

export const accumulated: Family = (d) => {
  const dtype = d.random.pick(["f32", "f32", "f32", "i32"] as const), from = d.pick(dtype, 1);
  const axis = d.random.int(d.shapeOf(from).length);
  if (d.random.bool(0.7) || dtype === "i32") {
    return d.add({
      name: `cumsum ${axis}`,
      from: [from],
      dtype,
      device: (x) => t.cumsum(x, axis),
      reference: (x) => running(x, axis, (a, b) => a + b),
    });
  }
  return d.add({
    name: `cumprod ${axis}`,
    from: [from],
    device: (x) => t.cumprod(x, axis),
    reference: (x) => running(x, axis, (a, b) => a * b),
    steady: (x) => away(x, 0, 0.05),
  });
};

/** topK, sort, argmax and argmin: values and positions. */
export const ordered: Family = (d) => {
  const { random } = d, from = d.pick("f32", 1), shape = d.shapeOf(from);
  const axis = random.int(shape.length), n = shape[axis];
  if (n === 0) return false;
  const largest = random.bool(), k = random.bool(0.3) ? n : 1 + random.int(n);
  const steady = (x: Arr) => distinct(x, [axis]);
  if (random.bool(0.25)) {
    return d.add({
      name: `${largest ? "argmax" : "argmin"} ${axis}`,
      from: [from],
      dtype: "i32",
      device: (x) => largest ? t.argmax(x, axis) : t.argmin(x, axis),
      reference: (x) =>
        ref.reshape(bestAlong(x, 1, axis, largest), shape.filter((_, i) => i !== axis)),
      steady,
    });
  }
  const sorted = (x: t.Tensor) =>
    k === n
      ? t.sort(x, { axis, descending: largest })
      : t.topK(x, k, { axis: axis - shape.length, largest });
  const name = `${k === n ? "sort" : `top ${k}`} ${largest ? "largest" : "smallest"} along ${axis}`;
  return random.bool(0.7)
    ? d.add({
      name: `values of ${name}`,
      from: [from],
      device: (x) => sorted(x).values,
      reference: (x) => takenAlong(x, bestAlong(x, k, axis, largest), axis),
      steady,
    })
    : d.add({
      name: `indices of ${name}`,
      from: [from],
      dtype: "i32",
      device: (x) => sorted(x).indices,
      reference: (x) => bestAlong(x, k, axis, largest),
      steady,
    });
};

/**
 * Products with batches that broadcast, vectors, and operands seen through strides. Their kernel is
 * by far the longest, but the same for all sizes as long as nothing is fused with it.
 */
export const product: Family = (d) => {
  const { random } = d, i = d.pick("f32", 1), shape = d.shapeOf(i);
  const k = shape[shape.length - 1], lead = shape.slice(0, -2), n = d.size(9);
  const weight = random.bool(0.2) ? d.operand([k]) : d.operand([
    ...(random.bool() ? [] : lead.map((v) => random.bool(0.3) ? 1 : v)),
    k,
    n,
  ]);
  return d.add({
    name: "matmul",
    from: [i, weight],
    device: t.matmul,
    reference: (a, b) => {
      const row = a.shape.length === 1, column = b.shape.length === 1;
      const x = row ? ref.reshape(a, [1, k]) : a, w = column ? ref.reshape(b, [k, 1]) : b;
      const y = ref.matmul(x, w);
      const to = [...y.shape];
      if (column) to.pop();
      if (row) to.splice(column ? to.length - 1 : to.length - 2, 1);
      return ref.reshape(y, to);
    },
  });
};

/** A matrix with its own transpose. */
export const gram: Family = (d) => {
  return d.add({
    name: "matmul with its own transpose",
    from: [d.pick("f32", 2)],
    device: (x) => t.matmul(x, t.transpose(x)),
    reference: (x) => ref.matmul(x, ref.transpose(x)),
  });
};

/** A left operand that broadcasts over the batch of the right one. */
export const leftProduct: Family = (d) => {
  const i = d.pick("f32", 2), shape = d.shapeOf(i), k = shape.at(-2)!, m = d.size(9);
  const lead = shape.slice(0, -2).slice(d.random.int(Math.max(1, shape.length - 1)));
  return d.add({
    name: "matmul from the left",
    from: [d.operand([...lead, m, k]), i],
    device: t.matmul,
    reference: ref.matmul,
  });
};

export const fullyConnected: Family = (d) => {
  const i = d.pick("f32", 1), inputs = d.shapeOf(i).at(-1)!, outputs = d.size(9);
  const bias = d.random.bool(0.7) ? [d.operand([outputs])] : [];
  return d.add({
    name: "linear",
    from: [i, d.operand([outputs, inputs]), ...bias],
    device: (x, w, b?: t.Tensor) => t.linear(x, w, b),
    reference: (x, w, b?: Arr) => {
      const rows = ref.reshape(x, [ref.sizeOf(x.shape.slice(0, -1)), inputs]);
      const y = ref.reshape(ref.matmul(rows, ref.transpose(w)), [...x.shape.slice(0, -1), outputs]);
      return b ? ref.zip((v, s) => v + s, y, b) : y;
    },
  });
};
