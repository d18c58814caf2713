import { assertEquals } from "@std/assert";
import * as t from "../../src/tensor/mod.ts";
import {
  assertNear,
  between,
  checkOperation,
  type Input,
  normal,
  test,
  truth,
  whole,
} from "./harness.ts";
import { type Arr, at, build, erf, map, zip } from "./reference.ts";

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

test("binary operations match the reference and broadcast", async () => {
  const shapes: [Input, Input][] = [
    [between(0.5, 2, 3, 1, 5), between(0.5, 2, 4, 5)],
    [between(0.5, 2, 7), between(0.5, 2)],
    [between(0.5, 2, 2, 3), between(2.5, 3, 2, 3)],
    [between(0.5, 2, 0, 3), between(0.5, 2, 3)],
  ];
  const operations: [
    string,
    (a: t.Tensor, b: t.Tensor) => t.Tensor,
    (a: number, b: number) => number,
  ][] = [
    ["add", t.add, (a, b) => a + b],
    ["sub", t.sub, (a, b) => a - b],
    ["mul", t.mul, (a, b) => a * b],
    ["div", t.div, (a, b) => a / b],
    ["maximum", t.maximum, Math.max],
    ["minimum", t.minimum, Math.min],
  ];
  for (const [name, f, g] of operations) {
    for (const inputs of shapes) {
      await checkOperation(name, inputs, f, (a, b) => zip(g, a, b));
    }
  }
});

test("a number stands for a tensor of the other operand's type, on either side", async () => {
  await checkOperation(
    "2 - a / 3",
    [normal(5)],
    (a) => t.sub(2, t.div(a, 3)),
    (a) => map(a, (v) => 2 - v / 3),
  );
  const integers = t.add(t.tensor([1, 2], { dtype: "i32" }), 2);
  assertEquals([integers.dtype, [...await integers.data()]], ["i32", [3, 4]]);
});

test("unary operations match the reference", async () => {
  const positive = between(0.1, 3, 3, 7), any = between(-3, 3, 5, 13);
  const operations: [string, Input, (x: t.Tensor) => t.Tensor, (x: number) => number][] = [
    ["exp", any, t.exp, Math.exp],
    ["log", positive, t.log, Math.log],
    ["sqrt", positive, t.sqrt, Math.sqrt],
    ["rsqrt", positive, t.rsqrt, (x) => 1 / Math.sqrt(x)],
    ["reciprocal", positive, t.reciprocal, (x) => 1 / x],
    ["square", any, t.square, (x) => x * x],
    ["neg", any, t.neg, (x) => -x],
    ["abs", any, t.abs, Math.abs],
    ["sign", any, t.sign, Math.sign],
    ["floor", any, t.floor, Math.floor],
    ["sin", any, t.sin, Math.sin],
    ["cos", any, t.cos, Math.cos],
    ["tanh", any, t.tanh, Math.tanh],
    ["sigmoid", any, t.sigmoid, sigmoid],
    ["erf", any, t.erf, erf],
    ["softplus", any, t.softplus, (x) => Math.log1p(Math.exp(x))],
    ["relu", any, t.relu, (x) => Math.max(0, x)],
    ["silu", any, t.silu, (x) => x * sigmoid(x)],
    ["gelu", any, t.gelu, (x) => x * 0.5 * (1 + erf(x / Math.SQRT2))],
    [
      "geluTanh",
      any,
      t.geluTanh,
      (x) => x * 0.5 * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
    ],
    ["quickGelu", any, t.quickGelu, (x) => x * sigmoid(1.702 * x)],
    ["clamp", any, (x) => t.clamp(x, -0.7, 0.9), (x) => Math.min(0.9, Math.max(-0.7, x))],
    ["stopGradient + x", any, (x) => t.add(x, 0), (x) => x],
  ];
  for (const power of [0, 1, 2, 3, 4, 5, -1, -2, 0.5, -0.5, 1.7, -1.3]) {
    operations.push([`pow ${power}`, positive, (x) => t.pow(x, power), (x) => x ** power]);
  }
  for (const [name, input, f, g] of operations) {
    await checkOperation(name, [input], f, (x) => map(x, g));
  }
});

test("a negative number has whole powers", async () => {
  await checkOperation(
    "pow 3",
    [between(-2, -1, 4)],
    (x) => t.pow(x, 3),
    (x) => map(x, (v) => v ** 3),
  );
  await checkOperation(
    "pow -4",
    [between(-2, -1, 4)],
    (x) => t.pow(x, -4),
    (x) => map(x, (v) => v ** -4),
  );
});

test("functions keep their digits in the tails and near zero", async () => {
  const xs = Float32Array.from([
    -1e4,
    -100,
    -20,
    -5,
    -1e-3,
    -1e-7,
    0,
    1e-7,
    1e-3,
    0.25,
    5,
    20,
    100,
    1e4,
  ]);
  const functions: [string, (x: t.Tensor) => t.Tensor, (x: number) => number][] = [
    ["tanh", t.tanh, Math.tanh],
    ["erf", t.erf, erf],
    ["sigmoid", t.sigmoid, sigmoid],
    ["sin", t.sin, Math.sin],
    ["cos", t.cos, Math.cos],
    ["silu", t.silu, (x) => x * sigmoid(x)],
    ["softplus", t.softplus, (x) => x > 50 ? x : Math.log1p(Math.exp(x))],
  ];
  for (const [name, f, g] of functions) {
    const got = await f(t.tensor(xs)).data();
    xs.forEach((x, i) => {
      const want = g(x);
      assertNear([got[i]], [want], `${name}(${x})`, 4e-7);
      // Odd functions are the argument itself near zero, to the last digits.
      if (["tanh", "sin"].includes(name) && Math.abs(x) < 1e-2 && x !== 0) {
        assertNear([got[i] / x], [want / x], `${name}(${x}) / x`, 4e-7);
      }
    });
  }
});

test("comparisons, logic and choice match the reference", async () => {
  const a: Input = { shape: [2, 3], data: [1, 2, 3, 4, 5, 6], fixed: true };
  const b: Input = { shape: [3], data: [3, 2, 5], fixed: true };
  const comparisons: [
    string,
    (a: t.Tensor, b: t.Tensor) => t.Tensor,
    (a: number, b: number) => boolean,
  ][] = [
    ["less", t.less, (x, y) => x < y],
    ["lessEqual", t.lessEqual, (x, y) => x <= y],
    ["greater", t.greater, (x, y) => x > y],
    ["greaterEqual", t.greaterEqual, (x, y) => x >= y],
    ["equal", t.equal, (x, y) => x === y],
    ["notEqual", t.notEqual, (x, y) => x !== y],
  ];
  for (const [name, f, g] of comparisons) {
    await checkOperation(name, [a, b], f, (x, y) => zip((v, w) => Number(g(v, w)), x, y));
    const integers = [whole(a.shape, a.data!), whole(b.shape, b.data!)];
    await checkOperation(
      `${name} of i32`,
      integers,
      f,
      (x, y) => zip((v, w) => Number(g(v, w)), x, y),
    );
  }
  const p = truth([4], [0, 0, 1, 1]), q = truth([4], [0, 1, 0, 1]);
  await checkOperation("and", [p, q], t.logicalAnd, (x, y) => zip((v, w) => v & w, x, y));
  await checkOperation("or", [p, q], t.logicalOr, (x, y) => zip((v, w) => v | w, x, y));
  await checkOperation("not", [p], t.logicalNot, (x) => map(x, (v) => 1 - v));
  await checkOperation(
    "equal of bool",
    [p, q],
    t.equal,
    (x, y) => zip((v, w) => Number(v === w), x, y),
  );
  const choice = (c: Arr, x: Arr, y: Arr) => zip((k, v, w) => k ? v : w, c, x, y);
  await checkOperation("where", [truth([2, 1], [1, 0]), normal(3), normal(2, 3)], t.where, choice);
  await checkOperation(
    "where with numbers",
    [truth([3], [1, 0, 1])],
    (c) => t.where(c, 2, -1),
    (c) => map(c, (k) => k ? 2 : -1),
  );
});

test("cast converts between all types", async () => {
  const x = [-2.7, -1, 0, 0.4, 1, 3.9];
  await checkOperation(
    "f32 to i32",
    [{ shape: [6], data: x, fixed: true }],
    (v) => t.cast(v, "i32"),
    (v) => map(v, Math.trunc),
  );
  await checkOperation(
    "f32 to bool",
    [{ shape: [6], data: x, fixed: true }],
    (v) => t.cast(v, "bool"),
    (v) => map(v, (w) => Number(w !== 0)),
  );
  await checkOperation("i32 to f32", [whole([3], [-5, 0, 7])], (v) => t.cast(v, "f32"), (v) => v);
  await checkOperation("i32 to u32", [whole([2], [0, 7])], (v) => t.cast(v, "u32"), (v) => v);
  await checkOperation("bool to f32", [truth([2], [0, 1])], (v) => t.cast(v, "f32"), (v) => v);
  await checkOperation("bool to i32", [truth([2], [0, 1])], (v) => t.cast(v, "i32"), (v) => v);
});

test("integers are divided towards zero", async () => {
  const quotient = t.div(
    t.tensor([-7, 7, 9], { dtype: "i32" }),
    t.tensor([2, -2, 3], { dtype: "i32" }),
  );
  assertEquals([...await quotient.data()], [-3, -3, 3]);
});

test("constants that overflow give infinities instead of a kernel that does not compile", async () => {
  assertEquals([...await t.exp(t.full([2], 100)).data()], [Infinity, Infinity]);
  assertEquals([...await t.div(t.full([1], -1), t.full([1], 0)).data()], [-Infinity]);
  assertEquals([...await t.neg(t.full([1], -5)).data()], [5]);
  assertEquals([...await t.full([1], -Infinity).data()], [-Infinity]);
  assertEquals([...await t.full([1], NaN).data()], [NaN]);
  assertEquals([...await t.full([2], 2 ** 32 - 1, "u32").data()], [2 ** 32 - 1, 2 ** 32 - 1]);
  assertEquals([...await t.full([1], -(2 ** 31), "i32").data()], [-(2 ** 31)]);
});

test("not-a-number goes through relu and clamp", async () => {
  const x = t.tensor([NaN, -1, 2]);
  assertEquals([...await t.relu(x).data()], [NaN, 0, 2]);
  assertEquals([...await t.clamp(x, 0, 1).data()], [NaN, 0, 1]);
});

test("equal operands of maximum and minimum share the gradient", async () => {
  const a = t.tensor([1, 2, 3]), b = t.tensor([1, 3, 2]);
  for (
    const [f, ga, gb] of [[t.maximum, [0.5, 0, 1], [0.5, 1, 0]], [t.minimum, [0.5, 1, 0], [
      0.5,
      0,
      1,
    ]]] as const
  ) {
    const [da, db] = t.gradients(f(a, b), [a, b], t.ones([3]));
    assertEquals([[...await da.data()], [...await db.data()]], [[...ga], [...gb]]);
  }
});

test("tensors so large that a kernel treats several elements at once are right, too", async () => {
  const cell = (x: Arr, c: number[]) => at(x, c);
  const x = normal(40, 60), exact = { gradient: false };
  await checkOperation(
    "broadcast",
    [x, normal(60), normal(40, 1)],
    (a, b, c) => t.add(t.mul(a, b), c),
    (a, b, c) => zip((u, v, w) => u * v + w, a, b, c),
    exact,
  );
  await checkOperation(
    "comparison",
    [x],
    (a) => t.less(a, 0),
    (a) => map(a, (v) => Number(v < 0)),
    exact,
  );
  await checkOperation(
    "transposed",
    [x],
    (a) => t.exp(t.transpose(a)),
    (a) => build([60, 40], ([i, j]) => Math.exp(cell(a, [j, i]))),
    exact,
  );
  await checkOperation(
    "flipped and shifted",
    [x],
    (a) => t.add(t.flip(a, [1]), t.roll(a, 3)),
    (a) => build([40, 60], ([i, j]) => cell(a, [i, 59 - j]) + cell(a, [i, (j + 57) % 60])),
    exact,
  );
  await checkOperation(
    "cut and padded",
    [x],
    (a) => t.pad(t.slice(a, undefined, { start: 1, step: 3 }), [0, 33], [11, 11], -1),
    (a) =>
      build(
        [51, 64],
        ([i, j]) => i < 40 && j >= 33 && j < 53 ? cell(a, [i, 1 + 3 * (j - 33)]) : -1,
      ),
    exact,
  );
  await checkOperation(
    "joined",
    [x, normal(40, 8)],
    (a, b) => t.sin(t.cat([b, a], 1)),
    (a, b) => build([40, 68], ([i, j]) => Math.sin(j < 8 ? cell(b, [i, j]) : cell(a, [i, j - 8]))),
    exact,
  );
  const index = whole([56], Array.from({ length: 56 }, (_, i) => (i * 7) % 40));
  await checkOperation(
    "taken",
    [x, index],
    (a, i) => t.neg(t.take(a, i)),
    (a, i) => build([56, 60], ([r, c]) => -cell(a, [i.data[r], c])),
    exact,
  );
  await checkOperation(
    "reshaped",
    [x],
    (a) => t.add(t.reshape(a, [2, 30, 40]), t.reshape(a, [2, 30, 40])),
    (a) => ({ shape: [2, 30, 40], data: a.data.map((v) => 2 * v) }),
    exact,
  );
  assertEquals([...await t.iota([3, 1024], 1).data()].slice(1020, 1027), [
    1020,
    1021,
    1022,
    1023,
    0,
    1,
    2,
  ]);
});

test("full, zeros, ones and iota fill shapes", async () => {
  assertEquals([...await t.full([2, 2], 1.5).data()], [1.5, 1.5, 1.5, 1.5]);
  assertEquals([...await t.zeros([3], "i32").data()], [0, 0, 0]);
  assertEquals([...await t.ones([2], "bool").data()], [1, 1]);
  assertEquals([...await t.iota([2, 3], 1).data()], [0, 1, 2, 0, 1, 2]);
  assertEquals([...await t.iota([2, 3], -2).data()], [0, 0, 0, 1, 1, 1]);
});
