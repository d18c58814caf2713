/** Elementwise operations of random graphs: numbers, whole numbers, truth values. */
import * as t from "../../src/tensor/mod.ts";
import { away, type Family, MARGIN } from "./property_draft.ts";
import * as ref from "./reference.ts";
import { type Arr, zip } from "./reference.ts";

const sigmoid = (v: number): number => 1 / (1 + Math.exp(-v));
const geluTanh = (v: number): number =>
  0.5 * v * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3)));

/** Smooth everywhere. */
const SMOOTH: [string, (x: t.Tensor) => t.Tensor, (v: number) => number][] = [
  ["sin", t.sin, Math.sin],
  ["cos", t.cos, Math.cos],
  ["tanh", t.tanh, Math.tanh],
  ["sigmoid", t.sigmoid, sigmoid],
  ["erf", t.erf, ref.erf],
  ["silu", t.silu, (v) => v * sigmoid(v)],
  ["gelu", t.gelu, (v) => v * 0.5 * (1 + ref.erf(v / Math.SQRT2))],
  ["geluTanh", t.geluTanh, geluTanh],
  ["quickGelu", t.quickGelu, (v) => v * sigmoid(1.702 * v)],
  ["softplus", t.softplus, (v) => Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v)))],
  ["neg", t.neg, (v) => -v],
  ["square", t.square, (v) => v * v],
  ["pow 3", (x) => t.pow(x, 3), (v) => v ** 3],
  ["pow 4", (x) => t.pow(x, 4), (v) => v ** 4],
  ["root", (x) => t.sqrt(t.add(t.square(x), 1)), (v) => Math.sqrt(v * v + 1)],
  ["log", (x) => t.log(t.add(t.square(x), 0.5)), (v) => Math.log(v * v + 0.5)],
  ["inverse root", (x) => t.rsqrt(t.add(t.square(x), 0.5)), (v) => 1 / Math.sqrt(v * v + 0.5)],
  ["power", (x) => t.pow(t.add(t.square(x), 0.5), 1.3), (v) => (v * v + 0.5) ** 1.3],
  ["inverse", (x) => t.reciprocal(t.add(t.square(x), 1)), (v) => 1 / (v * v + 1)],
  ["pow -2", (x) => t.pow(t.add(t.square(x), 1), -2), (v) => (v * v + 1) ** -2],
  ["exp", (x) => t.exp(t.minimum(x, 3)), (v) => Math.exp(Math.min(v, 3))],
];

export const smooth: Family = (d) => {
  const [name, device, f] = d.random.pick(SMOOTH);
  const steady = name === "exp" ? (x: Arr) => away(x, 3) : undefined;
  return d.add({ name, from: [d.pick()], device, reference: (x) => ref.map(x, f), steady });
};

/** Bent or with jumps, where given. */
const BENT: [string, (x: t.Tensor) => t.Tensor, (v: number) => number, number[]][] = [
  ["abs", t.abs, Math.abs, [0]],
  ["relu", t.relu, (v) => Math.max(v, 0), [0]],
  ["sign", t.sign, Math.sign, [0]],
  ["clamp", (x) => t.clamp(x, -0.7, 0.9), (v) => Math.min(Math.max(v, -0.7), 0.9), [-0.7, 0.9]],
];

export const bent: Family = (d) => {
  const [name, device, f, places] = d.random.pick(BENT);
  const steady = (x: Arr) => places.every((p) => away(x, p));
  return d.add({ name, from: [d.pick()], device, reference: (x) => ref.map(x, f), steady });
};

/** Whether all elements are away from whole numbers. */
const fractional = (x: Arr): boolean => x.data.every((v) => Math.abs(v - Math.round(v)) > MARGIN);

export const rounded: Family = (d) => {
  const from = [d.pick()];
  return d.random.bool(0.4)
    ? d.add({
      name: "floor",
      from,
      device: t.floor,
      reference: (x) => ref.map(x, Math.floor),
      steady: fractional,
    })
    : d.add({
      name: "cast to i32",
      from,
      dtype: "i32",
      device: (x) => t.cast(x, "i32"),
      reference: (x) => ref.map(x, (v) => Math.trunc(v) + 0),
      steady: fractional,
    });
};

export const stopped: Family = (d) =>
  d.add({
    name: "stopGradient",
    from: [d.pick()],
    device: t.stopGradient,
    reference: (x) => x,
    constant: true,
  });

type Two = (a: t.Tensor, b: t.Tensor) => t.Tensor;

/** Functions of two numbers, and where they jump or bend. */
const BINARY: [string, Two, (a: number, b: number) => number, boolean][] = [
  ["add", t.add, (a, b) => a + b, false],
  ["sub", t.sub, (a, b) => a - b, false],
  ["mul", t.mul, (a, b) => a * b, false],
  ["div", (a, b) => t.div(a, t.add(t.square(b), 1)), (a, b) => a / (b * b + 1), false],
  ["maximum", t.maximum, Math.max, true],
  ["minimum", t.minimum, Math.min, true],
  [
    "where less",
    (a, b) => t.where(t.less(a, b), t.sin(a), b),
    (a, b) => a < b ? Math.sin(a) : b,
    true,
  ],
];

/** Whether corresponding elements differ clearly. */
const apart = (a: Arr, b: Arr): boolean => away(zip((v, w) => v - w, a, b));

/** A shape that broadcasts with another, and may have a dimension more. */
function partner(random: t.Random, shape: readonly number[], more = true): number[] {
  const kept = shape.slice(random.int(shape.length + 1));
  const sizes = (random.bool(0.6) ? shape : kept).map((d) => random.bool(0.25) ? 1 : d);
  const wide = more && sizes.length === shape.length && random.bool(0.15);
  return wide ? [1 + random.int(3), ...sizes] : sizes;
}

export const binary: Family = (d) => {
  const [name, device, f, jumps] = d.random.pick(BINARY);
  const i = d.pick(), from = d.random.shuffle([i, d.like(partner(d.random, d.shapeOf(i)))]);
  return d.add({
    name,
    from,
    device,
    reference: (a, b) => zip(f, a, b),
    steady: jumps ? apart : undefined,
  });
};

export const withNumber: Family = (d) => {
  const v = d.random.pick([-1.5, 0.25, 0.5, 3]);
  const [name, device, f] = d.random.pick<
    [string, (x: t.Tensor) => t.Tensor, (x: number) => number]
  >([
    [`add ${v}`, (x) => t.add(x, v), (x) => x + v],
    [`${v} minus`, (x) => t.sub(v, x), (x) => v - x],
    [`mul ${v}`, (x) => t.mul(v, x), (x) => x * v],
    [`div ${v}`, (x) => t.div(x, v), (x) => x / v],
  ]);
  return d.add({ name, from: [d.pick()], device, reference: (x) => ref.map(x, f) });
};

const truth = (v: boolean): number => v ? 1 : 0;

const COMPARISONS: [string, Two, (a: number, b: number) => boolean][] = [
  ["less", t.less, (a, b) => a < b],
  ["lessEqual", t.lessEqual, (a, b) => a <= b],
  ["greater", t.greater, (a, b) => a > b],
  ["greaterEqual", t.greaterEqual, (a, b) => a >= b],
  ["equal", t.equal, (a, b) => a === b],
  ["notEqual", t.notEqual, (a, b) => a !== b],
];

export const compared: Family = (d) => {
  const [name, device, f] = d.random.pick(COMPARISONS);
  const dtype = d.random.pick(["f32", "i32", "u32"] as const), i = d.pick(dtype);
  return d.add({
    name,
    from: [i, d.like(partner(d.random, d.shapeOf(i)), dtype)],
    dtype: "bool",
    device,
    reference: (a, b) => zip((v, w) => truth(f(v, w)), a, b),
    steady: dtype === "f32" ? apart : undefined,
  });
};

export const logical: Family = (d) => {
  const i = d.pick("bool");
  if (d.random.bool(0.3)) {
    const reference = (a: Arr) => ref.map(a, (v) => 1 - v);
    return d.add({ name: "logicalNot", from: [i], dtype: "bool", device: t.logicalNot, reference });
  }
  const both = d.random.bool();
  return d.add({
    name: both ? "logicalAnd" : "logicalOr",
    from: [i, d.like(partner(d.random, d.shapeOf(i)), "bool")],
    dtype: "bool",
    device: both ? t.logicalAnd : t.logicalOr,
    reference: (a, b) => zip((v, w) => both ? v * w : Math.max(v, w), a, b),
  });
};

export const masked: Family = (d) => {
  const dtype = d.random.pick(["f32", "f32", "i32"] as const), i = d.pick(dtype);
  const shape = d.shapeOf(i), mask = d.like(partner(d.random, shape, false), "bool");
  return d.add({
    name: "where",
    from: [mask, i, d.like(partner(d.random, shape), dtype)],
    dtype,
    device: t.where,
    reference: (c, a, b) => zip((u, v, w) => u ? v : w, c, a, b),
  });
};

const WHOLE: [string, Two, (a: number, b: number) => number][] = [
  ["add", t.add, (a, b) => a + b],
  ["sub", t.sub, (a, b) => a - b],
  ["mul", t.mul, (a, b) => a * b],
  ["maximum", t.maximum, Math.max],
  ["minimum", t.minimum, Math.min],
];

export const whole: Family = (d) => {
  const dtype = d.random.pick(["i32", "u32"] as const), i = d.pick(dtype);
  if (d.random.bool(0.25)) {
    const by = d.random.pick([2, 3, 7]);
    return d.add({
      name: `div ${by}`,
      from: [i],
      dtype,
      device: (x) => t.div(x, by),
      reference: (x) => ref.map(x, (v) => Math.trunc(v / by) + 0),
    });
  }
  const [name, device, f] = d.random.pick(WHOLE);
  const from = [i, d.like(partner(d.random, d.shapeOf(i)), dtype)];
  return d.add({ name, from, dtype, device, reference: (a, b) => zip(f, a, b) });
};

export const converted: Family = (d) => {
  const from = d.random.pick(["i32", "u32", "bool", "f32"] as const);
  const to = d.random.pick((["f32", "i32", "u32", "bool"] as const).filter((x) => x !== from));
  const f = (v: number) => to === "bool" ? truth(v !== 0) : Math.trunc(v) + 0;
  return d.add({
    name: `cast to ${to}`,
    from: [d.pick(from)],
    dtype: to,
    device: (x) => t.cast(x, to),
    reference: (x) => ref.map(x, f),
    steady: (x) =>
      (from !== "f32" || fractional(x)) && (to !== "u32" || x.data.every((v) => v >= 0)),
  });
};
