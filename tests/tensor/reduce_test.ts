import * as t from "../../src/tensor/mod.ts";
import { assertNear, between, checkOperation, normal, test, whole } from "./harness.ts";
import * as ref from "./reference.ts";
import { type Arr, reduce } from "./reference.ts";

const AXES: [number[], number[] | undefined][] = [
  [[2, 3, 5], undefined],
  [[2, 3, 5], [0]],
  [[2, 3, 5], [1]],
  [[2, 3, 5], [-1]],
  [[2, 3, 5], [0, 2]],
  [[2, 3, 5], [1, 2]],
  [[7, 300], [1]],
  [[300, 7], [0]],
  [[1, 1], [0]],
  [[], undefined],
];

const all = (shape: readonly number[]): number[] => shape.map((_, i) => i);

test("sums, products and extremes match the reference over all kinds of axes", async () => {
  const operations: [
    string,
    (x: t.Tensor, o: t.ReduceOptions) => t.Tensor,
    (v: number[]) => number,
  ][] = [
    ["sum", t.sum, ref.total],
    ["mean", t.mean, ref.mean],
    ["max", t.max, (v) => Math.max(...v)],
    ["min", t.min, (v) => Math.min(...v)],
    ["norm", t.norm, (v) => Math.hypot(...v)],
  ];
  for (const [name, f, g] of operations) {
    for (const [shape, axes] of AXES) {
      for (const keepDims of [false, true]) {
        if (keepDims && name !== "sum") continue;
        await checkOperation(
          `${name} over ${axes}`,
          [normal(...shape)],
          (x) => f(x, { axes, keepDims }),
          (x) => reduce(x, axes ?? all(shape), g, keepDims),
        );
      }
    }
  }
});

test("products match the reference, and their gradients where factors are zero", async () => {
  await checkOperation(
    "prod",
    [between(0.5, 1.5, 3, 5)],
    (x) => t.prod(x, { axes: 1 }),
    (x) => reduce(x, [1], ref.product),
  );
  const zeroes = { shape: [4, 3], data: [1, 2, 3, 0, 2, 3, 0, 0, 3, 0, 0, 0] };
  await checkOperation(
    "prod with zeros",
    [zeroes],
    (x) => t.prod(x, { axes: 1 }),
    (x) => reduce(x, [1], ref.product),
  );
  await checkOperation(
    "prod of all",
    [between(0.5, 1.5, 7)],
    (x) => t.prod(x),
    (x) => reduce(x, [0], ref.product),
  );
});

test("variance and standard deviation match the reference", async () => {
  for (const correction of [0, 1]) {
    const g = (v: number[]) => ref.variance(v, correction);
    await checkOperation(
      "variance",
      [normal(2, 3, 5)],
      (x) => t.variance(x, { axes: [0, 2], correction }),
      (x) => reduce(x, [0, 2], g),
    );
    await checkOperation(
      "deviation",
      [normal(4, 6)],
      (x) => t.standardDeviation(x, { axes: -1, correction, keepDims: true }),
      (x) => reduce(x, [1], (v) => Math.sqrt(g(v)), true),
    );
  }
});

test("long sums stay accurate, whatever their length", async () => {
  for (const n of [8191, 8192, 8193, 65536, 100003]) {
    const values = new t.Random(3, `${n}`).uniforms(n, 0, 1);
    const exact = values.reduce((s, v) => s + v, 0);
    const sums = [t.sum(t.tensor(values)), t.sum(t.tensor(values, { shape: [1, n] }), { axes: 1 })];
    for (const s of sums) assertNear([await s.item() / exact], [1], `sum of ${n}`, 1e-6);
    const x = t.tensor(values), [dx] = t.gradients(t.sum(t.square(x)), [x]);
    assertNear((await dx.data()).slice(-3), values.slice(-3).map((v) => 2 * v), `gradient of ${n}`);
  }
});

test("integers are summed and compared exactly", async () => {
  const x = whole([2, 3], [2 ** 30, -5, 7, 2 ** 24 + 1, 1, -(2 ** 24)]);
  await checkOperation("sum", [x], (v) => t.sum(v, { axes: 1 }), (v) => reduce(v, [1], ref.total), {
    tolerance: 0,
  });
  await checkOperation(
    "max",
    [x],
    (v) => t.max(v, { axes: 0 }),
    (v) => reduce(v, [0], (w) => Math.max(...w)),
    { tolerance: 0 },
  );
  await checkOperation(
    "min",
    [x],
    (v) => t.min(v),
    (v) => reduce(v, [0, 1], (w) => Math.min(...w)),
    { tolerance: 0 },
  );
});

test("equal extremes share the gradient", async () => {
  const x = t.tensor([[1, 3, 3], [2, 2, 2]]);
  const [largest] = t.gradients(t.sum(t.max(x, { axes: 1 })), [x]);
  assertNear(await largest.data(), [0, 0.5, 0.5, 1 / 3, 1 / 3, 1 / 3], "max");
  const [all] = t.gradients(t.min(x), [x]);
  assertNear(await all.data(), [1, 0, 0, 0, 0, 0], "min");
});

test("softmax, its logarithm and logSumExp match the reference along every axis", async () => {
  for (
    const [shape, axis] of [[[3, 4, 7], -1], [[3, 4, 7], 1], [[3, 4, 7], 0], [[2, 600], 1], [
      [5],
      0,
    ], [[3, 1], 1]] as const
  ) {
    const x = normal(...shape), at = axis < 0 ? axis + shape.length : axis;
    await checkOperation(
      `softmax ${axis}`,
      [x],
      (v) => t.softmax(v, axis),
      (v) => ref.softmax(v, at),
    );
    await checkOperation(
      `logSoftmax ${axis}`,
      [x],
      (v) => t.logSoftmax(v, axis),
      (v) => ref.map(ref.softmax(v, at), Math.log),
    );
    await checkOperation(
      `logSumExp ${axis}`,
      [x],
      (v) => t.logSumExp(v, { axes: axis }),
      (v) => reduce(v, [at], ref.logSumExp),
    );
  }
  await checkOperation(
    "logSumExp of all",
    [normal(3, 4)],
    (v) => t.logSumExp(v, { keepDims: true }),
    (v) => reduce(v, [0, 1], ref.logSumExp, true),
  );
});

test("softmax survives large, masked and single elements", async () => {
  const rows: Arr = {
    shape: [4, 3],
    data: [1e4, 1e4 - 1, -1e4, -Infinity, 0, 1, -Infinity, -Infinity, 5, 88, -88, 0],
  };
  const x = t.tensor(rows.data as number[], { shape: rows.shape });
  assertNear(await t.softmax(x).data(), ref.softmax(rows).data, "softmax", 1e-6);
  assertNear(
    await t.logSumExp(x, { axes: 1 }).data(),
    reduce(rows, [1], ref.logSumExp).data,
    "logSumExp",
    1e-6,
  );
  const [dx] = t.gradients(t.sum(t.square(t.softmax(x))), [x]);
  assertNear(
    [...await dx.data()].map((v) => Number.isFinite(v) ? 0 : 1),
    new Array(12).fill(0),
    "gradient",
  );
  assertNear(await t.logSumExp(t.full([2, 2], -Infinity), { axes: 1 }).data(), [
    -Infinity,
    -Infinity,
  ], "nothing");
});

test("reductions over nothing give the neutral element", async () => {
  const none = normal(3, 0), gone = normal(0, 3);
  for (const [f, v] of [[t.sum, 0], [t.prod, 1]] as const) {
    await checkOperation(
      "over an empty axis",
      [none],
      (x) => f(x, { axes: 1 }),
      () => ({ shape: [3], data: [v, v, v] }),
    );
    await checkOperation(
      "over an empty first axis",
      [gone],
      (x) => f(x, { axes: 0 }),
      () => ({ shape: [3], data: [v, v, v] }),
    );
    await checkOperation(
      "of an empty tensor",
      [none],
      (x) => f(x),
      () => ({ shape: [], data: [v] }),
    );
    await checkOperation(
      "to an empty tensor",
      [gone],
      (x) => f(x, { axes: 1 }),
      () => ({ shape: [0], data: [] }),
    );
  }
});

test("elementwise work in front of and behind a reduction gives the same numbers", async () => {
  await checkOperation(
    "centred rows",
    [normal(5, 9), normal(9)],
    (x, w) => t.mul(t.sub(t.exp(x), t.mean(t.exp(x), { axes: 1, keepDims: true })), w),
    (x, w) => {
      const e = ref.map(x, Math.exp);
      return ref.zip((v, m, k) => (v - m) * k, e, reduce(e, [1], ref.mean, true), w);
    },
  );
  await checkOperation(
    "sum of a product with a transposed operand",
    [normal(4, 6), normal(6, 4)],
    (a, b) => t.sqrt(t.add(t.square(t.sum(t.mul(a, t.transpose(b)), { axes: 0 })), 1)),
    (a, b) =>
      ref.map(
        reduce(ref.zip((v, w) => v * w, a, ref.transpose(b)), [0], ref.total),
        (v) => Math.sqrt(v * v + 1),
      ),
  );
});
