/** The element type f16: what is stored, what is computed in f32, gradients, and devices without it. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import * as t from "../../src/tensor/mod.ts";
import type { HostData, Tensor } from "../../src/tensor/mod.ts";
import { readSafetensors, writeSafetensors } from "../../src/models/safetensors.ts";
import { failure, session, test as onDevice } from "./harness.ts";
import * as r from "./reference.ts";
import type { Arr } from "./reference.ts";

/** Registers a test of kernels that store f16; skipped where the device has none. */
function test(name: string, fn: () => Promise<void>): void {
  onDevice(name, async () => {
    if (session().gpu.adapter.f16) await fn();
  });
}

const round = (v: number): number => Math.f16round(Math.fround(v));

/** Half of the distance between neighbouring f16 numbers, relative to them. */
const ULP = 2 ** -11;

/** Random f16 numbers, as a tensor and as a float64 array. */
function random(shape: readonly number[], seed = 1, std = 1): { x: Tensor; a: Arr } {
  const data = Float16Array.from(new t.Random(seed, "f16").normals(r.sizeOf(shape), 0, std));
  return { x: t.tensor(data, { shape }), a: { shape, data: [...data] } };
}

/** Every number within some roundings to f16 of the expected one, or of the largest of them. */
function assertHalf(got: HostData, want: readonly number[], what: string, roundings = 1): void {
  assert(got instanceof Float16Array, `${what} is ${got.constructor.name}`);
  assertEquals(got.length, want.length, `${what}: number of elements`);
  const scale = Math.max(2 ** -14, ...want.map(Math.abs));
  want.forEach((w, i) =>
    assert(
      Math.abs(got[i] - w) <= roundings * ULP * scale * 1.01,
      `${what}: element ${i} is ${got[i]} instead of ${w}`,
    )
  );
}

/** Numbers at the edges of f16: overflow, ties, subnormals, zeros. */
const EDGES = [
  ...[65504, 65519, 65519.996, 65520, 1e9, -1e9, Infinity, -Infinity, NaN, 0, -0, 0.1, -3.3],
  ...[1 + 2 ** -11, 1 + 3 * 2 ** -11, 2 ** -14, 2 ** -14 - 2 ** -26, 6.1e-5, 2 ** -24, 2 ** -25],
  ...[1.5 * 2 ** -25, 2.5 * 2 ** -24, 8.9e-8, 1e-8, -1e-8],
];

test("cast() to f16 rounds to nearest even, to subnormals and to infinity, stored or not", async () => {
  const x = t.tensor(EDGES), want = EDGES.map(round);
  assertEquals([...await t.cast(x, "f16").data()], want);
  // There and back inside one kernel, which a driver's compiler likes to leave out.
  assertEquals([...await t.cast(t.cast(x, "f16"), "f32").data()], want);
  assertEquals([...await t.cast(t.mul(t.cast(t.cast(x, "f16"), "f32"), 1), "f16").data()], want);
});

test("cast() to f16 equals Math.f16round of floats of every exponent", async () => {
  const bits = Uint32Array.from({ length: 1 << 16 }, (_, i) => (i * 65537 + (i >> 3)) >>> 0);
  const floats = new Float32Array(bits.buffer);
  const got = await t.cast(t.tensor(floats), "f16").data();
  const wrong = [...got.keys()].filter((i) => !Object.is(got[i], Math.f16round(floats[i])));
  assertEquals(wrong.map((i) => floats[i]), []);
});

test("cast() between f16 and the other types cuts, compares and counts", async () => {
  const x = t.tensor([-2.5, 0, 0.75, 3], { dtype: "f16" });
  assertEquals([...await t.cast(x, "i32").data()], [-2, 0, 0, 3]);
  assertEquals([...await t.cast(x, "bool").data()], [1, 0, 1, 1]);
  assertEquals([...await t.cast(t.tensor([2049, -70000], { dtype: "i32" }), "f16").data()], [
    2048,
    -Infinity,
  ]);
  assertEquals([...await t.cast(t.greater(x, 0.5), "f16").data()], [0, 0, 1, 1]);
});

onDevice(
  "tensors of f16 come back as they are: odd sizes, none at all, changed in place",
  async () => {
    assertEquals(String(t.tensor(new Float16Array(3))), "f16[3]");
    assertEquals(String(t.tensor([[1, 2]], { dtype: "f16" })), "f16[1,2]");
    for (const size of [0, 1, 2, 3, 5, 127]) {
      const values = Float16Array.from({ length: size }, (_, i) => i / 3);
      const x = t.tensor(values);
      assertEquals(await x.data(), values);
      // Read by a kernel, which uploads it.
      assertEquals([...await t.cast(x, "f32").data()], [...values]);
      assertEquals(await x.data(), values);
      t.setValues(x, values.map((v) => v + 1));
      assertEquals(await x.data(), values.map((v) => v + 1));
    }
  },
);

test("results of f16 have odd sizes, too, and results of none are empty", async () => {
  for (const shape of [[0], [1], [3], [2, 0, 3], [7, 3], [4099]]) {
    const { x, a } = random(shape);
    assertHalf(await t.add(x, 1).data(), a.data.map((v) => v + 1), `add of [${shape}]`);
    assertHalf(await t.sum(x, { axes: -1 }).data(), r.reduce(a, [-1], r.total).data, "sum");
  }
  const [y, z] = [random([3]).x, random([5]).x];
  await t.evaluate(t.add(y, y), t.add(z, z));
});

test("a chain of operations on f16 is rounded once, and a number is not rounded first", async () => {
  const { x, a } = random([301]);
  const chain = t.add(t.mul(x, 0.1), 1e-3);
  assertEquals(String(chain), "f16[301]");
  assertEquals([...await chain.data()], a.data.map((v) => round(v * Math.fround(0.1) + 1e-3)));
  // Larger than f16 in between only.
  assertEquals(await t.sqrt(t.mul(t.tensor([300], { dtype: "f16" }), 300)).item(), 300);
});

test("moving f16 changes no bit", async () => {
  const { x, a } = random([3, 5]);
  assertEquals([...await t.transpose(x).data()], [...r.permute(a, [1, 0]).data]);
  assertEquals([...await t.cat([x, x], 1).data()].slice(0, 5), a.data.slice(0, 5));
  assertEquals([...await t.pad(x, [0, 1], [0, 0], 0.5).data()].slice(0, 2), [0.5, a.data[0]]);
  const rows = t.tensor([2, 0], { dtype: "i32" });
  assertEquals([...await t.take(x, rows).data()], [...a.data.slice(10), ...a.data.slice(0, 5)]);
  assertEquals([...await t.topK(x, 1).values.data()], r.reduce(a, [1], (v) => Math.max(...v)).data);
});

test("functions of f16 equal float64 within a rounding", async () => {
  const { x, a } = random([33]);
  const positive = t.tensor(a.data.map((v) => Math.abs(v) + 0.1), { dtype: "f16" });
  const b = a.data.map((v) => round(Math.abs(v) + 0.1));
  const sigmoid = (v: number) => 1 / (1 + Math.exp(-v));
  for (
    const [name, y, want] of [
      ["exp", t.exp(x), a.data.map(Math.exp)],
      ["log", t.log(positive), b.map(Math.log)],
      ["rsqrt", t.rsqrt(positive), b.map((v) => 1 / Math.sqrt(v))],
      ["tanh", t.tanh(x), a.data.map(Math.tanh)],
      ["erf", t.erf(x), a.data.map(r.erf)],
      ["silu", t.silu(x), a.data.map((v) => v * sigmoid(v))],
      ["relu", t.relu(x), a.data.map((v) => Math.max(0, v))],
      ["neg", t.neg(x), a.data.map((v) => -v)],
      ["pow", t.pow(positive, 3), b.map((v) => v ** 3)],
      ["softplus", t.softplus(x), a.data.map((v) => Math.log1p(Math.exp(v)))],
    ] as const
  ) assertHalf(await y.data(), want, name);
});

test("reductions of f16 are formed in f32", async () => {
  // In f16 the sum would stop at 2048, where 1 is half the distance to the next number.
  const many = t.cat([t.ones([4096], "f16"), t.full([1], 4, "f16")]);
  assertEquals(await t.sum(many).item(), 4100);
  assertEquals(
    await t.sum(t.ones([3, 4096], "f16"), { axes: 1 }).data(),
    Float16Array.of(4096, 4096, 4096),
  );
  // Longer than one kernel sums; and a sum beyond f16 whose mean is not.
  assertEquals(await t.mean(t.full([20000], 100, "f16")).item(), 100);
  assertEquals(await t.sum(t.full([20000], 100, "f16")).item(), Infinity);
  const { x, a } = random([5, 333]);
  const rows = (f: (v: number[]) => number) => r.reduce(a, [1], f).data;
  const over = { axes: 1 };
  for (
    const [name, y, want] of [
      ["sum", t.sum(x, over), rows(r.total)],
      ["max", t.max(x, over), rows((v) => Math.max(...v))],
      ["min", t.min(x, over), rows((v) => Math.min(...v))],
      ["variance", t.variance(x, over), rows((v) => r.variance(v))],
      ["norm", t.norm(x, over), rows((v) => Math.hypot(...v))],
      ["logSumExp", t.logSumExp(x, over), rows(r.logSumExp)],
      ["softmax", t.softmax(x), r.softmax(a).data],
      ["logSoftmax", t.logSoftmax(x), r.softmax(a).data.map(Math.log)],
      ["cumsum", t.cumsum(x), a.data.map((_, i) => r.total(a.data.slice(i - i % 333, i + 1)))],
    ] as const
  ) assertHalf(await y.data(), want, name);
  const small = random([4, 3], 2);
  assertHalf(await t.prod(small.x, over).data(), r.reduce(small.a, [1], r.product).data, "prod");
});

for (
  const [m, k, n] of [[1, 1, 1], [3, 5, 7], [16, 16, 64], [65, 33, 67], [7, 300, 9], [2, 0, 3]]
) {
  test(`matmul() of f16 sums in f32 for [${m}, ${k}] by [${k}, ${n}]`, async () => {
    const x = random([m, k], 1), y = random([k, n], 2);
    const want = r.matmul(x.a, y.a);
    assertHalf(await t.matmul(x.x, y.x).data(), want.data, "product");
    const across = t.matmul(
      x.x,
      t.transpose(t.tensor(r.transpose(y.a).data, {
        shape: [n, k],
        dtype: "f16",
      })),
    );
    assertHalf(await across.data(), want.data, "by a transposed operand");
    // With a following sum in the product's kernel, in f32 to the end.
    const more = t.mul(t.cast(t.matmul(x.x, y.x), "f32"), 2);
    const exact = (await more.data()) as Float32Array;
    want.data.forEach((w, i) => assert(Math.abs(exact[i] - 2 * w) <= 1e-5 * (k + 1)));
  });
}

test("matmul() of f16 rows of 4,096 ones is 4,096 where f16 sums would stop at 2,048", async () => {
  const y = t.matmul(t.ones([2, 4096], "f16"), t.ones([4096, 3], "f16"));
  assertEquals([...await y.data()], new Array(6).fill(4096));
});

/** Derivatives of Σ f · upstream by all inputs, in float64. */
function slopes(f: (...x: Arr[]) => Arr, at: Arr[], upstream: readonly number[]): number[][] {
  return at.map((x, i) =>
    x.data.map((_, j) => r.derivative(f, at, i, x.data.map((_, l) => l === j ? 1 : 0), upstream))
  );
}

test("gradients of f16 are f16 and equal float64 within a few roundings", async () => {
  const a = random([4, 6], 1), b = random([6, 5], 2), w = random([5], 3);
  const relu = (x: Arr) => r.map(x, (v) => v / (1 + Math.exp(-v)));
  const reference = (x: Arr, y: Arr, z: Arr) =>
    r.zip((p, q) => p * q, r.softmax(relu(r.matmul(x, y))), z);
  const y = t.mul(t.softmax(t.silu(t.matmul(a.x, b.x))), w.x);
  const up = random([4, 5], 4);
  const grads = t.gradients(y, [a.x, b.x, w.x], up.x);
  assertEquals(grads.map(String), ["f16[4,6]", "f16[6,5]", "f16[5]"]);
  await t.evaluate(y, ...grads);
  assertHalf(await y.data(), reference(a.a, b.a, w.a).data, "forward", 2);
  const want = slopes(reference, [a.a, b.a, w.a], up.a.data);
  for (const [i, g] of grads.entries()) assertHalf(await g.data(), want[i], `gradient ${i}`, 6);
});

test("the gradient through a cast has the type of what was cast", async () => {
  const x = t.tensor([1, 2, 3]), h = t.tensor([1, 2, 3], { dtype: "f16" });
  const loss = t.sum(t.square(t.cast(t.cast(x, "f16"), "f32")));
  const wide = t.sum(t.square(t.cast(h, "f32")));
  const narrow = t.sum(t.cast(t.square(x), "f16"));
  const grads = [
    ...t.gradients(loss, [x]),
    ...t.gradients(wide, [h]),
    ...t.gradients(narrow, [x]),
    ...t.gradients(t.sum(h), [h, x]),
  ];
  assertEquals(grads.map((g) => g.dtype), ["f32", "f16", "f32", "f16", "f32"]);
  for (const g of grads.slice(0, 3)) assertEquals([...await g.data()], [2, 4, 6]);
  assertEquals([...await grads[3].data()], [1, 1, 1]);
  // The gradient passes f16 on its way, where it is rounded.
  const [rounded] = t.gradients(t.sum(t.mul(t.cast(t.cast(x, "f16"), "f32"), 1 / 3)), [x]);
  assertEquals([...await rounded.data()], new Array(3).fill(round(1 / 3)));
});

test("every gradient rule keeps f16", async () => {
  const x = random([4, 6]).x, index = t.tensor([3, 0, 3], { dtype: "i32" });
  const along = t.tensor([[0], [5], [2], [2]], { dtype: "i32" });
  const map = t.sortByGroup(t.tensor([1, 0, 1, 0], { dtype: "i32" }), 2, 16);
  const weight = random([2, 5, 6], 9).x;
  type Function = (x: Tensor) => Tensor;
  // Those whose gradients have rules of their own or constants are computed, too.
  const computed = new Set<Function>([
    ...[t.floor, t.gelu, t.softmax, t.logSumExp, t.max, t.prod, t.rmsNorm],
    (x) => t.maximum(x, t.minimum(x, 0.5)),
    (x) => t.takeAlong(x, along, 1),
    (x) => t.indexAdd(x, t.tensor([0, 1, 1, 0], { dtype: "i32" }), 2),
  ]);
  const functions: Function[] = [
    ...computed,
    ...[t.abs, t.sign, t.erf, t.sin, t.cos, t.tanh, t.sigmoid, t.neg],
    ...[t.logSoftmax, t.cumsum, t.transpose, t.square, t.relu],
    ...[t.sum, t.min, t.mean, t.variance, t.norm, t.layerNorm],
    (x) => t.div(1, t.add(t.exp(x), 1)),
    (x) => t.clamp(x, -1, 1),
    (x) => t.sqrt(t.log(t.add(t.square(x), 2))),
    (x) => t.take(x, index),
    (x) => t.takeAlong(x, t.cat([along, along], 1), 1),
    (x) => t.slice(x, { start: 0, end: 3, step: 2 }),
    (x) => t.flip(t.pad(t.cat([x, x]), [1, 0], [0, 2]), [0]),
    (x) => t.combineRows(t.groupedMatmul(t.dispatchRows(x, map, 1), weight, map), map, 1),
    (x) => t.groupedOuter(t.dispatchRows(x, map, 1), t.dispatchRows(x, map, 1), map),
  ];
  const all: Tensor[] = [], wide: Tensor[] = [];
  for (const f of functions) {
    const y = f(x), z = t.cast(x, "f32");
    assertEquals(y.dtype, "f16", f.toString());
    const [g] = t.gradients(t.sum(y), [x]);
    assertEquals(String(g), "f16[4,6]", f.toString());
    if (!computed.has(f)) continue;
    all.push(g);
    wide.push(t.gradients(t.sum(f(z)), [z])[0]);
  }
  await t.evaluate(...all, ...wide);
  for (const [i, g] of all.entries()) {
    assertHalf(await g.data(), [...await wide[i].data()], `gradient of function ${i}`, 8);
  }
});

test("groupedMatmul() and groupedOuter() of f16 equal those of f32 within a rounding", async () => {
  const groups = t.sortByGroup(t.tensor([2, 0, 2, 2, 0], { dtype: "i32" }), 3, 16);
  const { x } = random([5, 40]), w = random([3, 33, 40], 2).x;
  const rows = t.dispatchRows(x, groups, 1), wide = t.cast(rows, "f32");
  for (const transposed of [false, true]) {
    const weight = transposed ? t.permute(w, [0, 2, 1]) : w;
    const y = t.groupedMatmul(rows, weight, groups, { transposed });
    const want = t.groupedMatmul(wide, t.cast(weight, "f32"), groups, { transposed });
    assertHalf(await y.data(), [...await want.data()], "rows");
  }
  const outer = t.groupedOuter(rows, rows, groups);
  assertHalf(await outer.data(), [...await t.groupedOuter(wide, wide, groups).data()], "outer");
});

test("norms, attention and losses of f16 are computed in f32", async () => {
  const { x, a } = random([4, 64], 1, 200); // squares beyond f16
  const weight = t.full([64], 0.3);
  const rms = a.data.map((v, i) => {
    const row = a.data.slice(i - i % 64, i - i % 64 + 64);
    return 0.3 * v / Math.sqrt(r.mean(row.map((u) => u * u)) + 1e-6);
  });
  assertHalf(await t.rmsNorm(x, weight).data(), rms, "rmsNorm");
  const centred = t.layerNorm(t.cast(x, "f32"), weight, weight);
  assertHalf(await t.layerNorm(x, weight, weight).data(), [...await centred.data()], "layerNorm");

  const q = random([1, 2, 8, 16], 6).x, wide = t.cast(q, "f32");
  const mask = t.tensor(new Float32Array(64).map((_, i) => i % 3 ? 0 : -5), { shape: [8, 8] });
  const half = t.attention(q, q, q, { mask, causal: true });
  const full = t.attention(wide, wide, wide, { mask, causal: true });
  assertHalf(await half.output.data(), [...await full.output.data()], "attention", 4);
  const turn = t.rotaryAngles(t.tensor([1, 0.1]), t.tensor([0, 500, 9], { dtype: "i32" }));
  const head = random([1, 1, 3, 4], 5).x;
  const turned = t.applyRotary(t.cast(head, "f32"), t.cos(turn), t.sin(turn));
  assertHalf(
    await t.applyRotary(head, t.cos(turn), t.sin(turn)).data(),
    [...await turned.data()],
    "rotary",
  );

  const targets = t.tensor([3, 1, 4, 1], { dtype: "i32" });
  const [loss, same] = [t.crossEntropy(x, targets), t.crossEntropy(t.cast(x, "f32"), targets)];
  assertEquals(String(loss), "f32[]");
  assertEquals(await loss.item(), await same.item());
});

onDevice("f16 and f32 are not mixed, and numbers take the tensor's type", async () => {
  const h = t.tensor([1], { dtype: "f16" }), x = t.tensor([1]);
  for (
    const f of [
      () => t.add(h, x),
      () => t.where(t.greater(x, 0), h, x),
      () => t.matmul(t.ones([1, 1], "f16"), t.ones([1, 1])),
      () => t.cat([h, x]),
      () => t.gradients(t.sum(h), [h], t.tensor(1)),
    ]
  ) {
    const error = await failure(f);
    assert(error instanceof TypeError, String(error));
    assertMatch(error.message, /type/);
  }
  assertEquals([t.add(h, 1).dtype, t.div(1, h).dtype, t.where(t.greater(h, 0), h, 2).dtype], [
    "f16",
    "f16",
    "f16",
  ]);
  assertEquals(t.linear(t.ones([2, 3], "f16"), t.ones([4, 3]), t.ones([4])).dtype, "f16");
});

test("isFinite() tells infinity and not-a-number", async () => {
  const values = [0, 1, -65504, Infinity, -Infinity, NaN];
  const want = [1, 1, 1, 0, 0, 0];
  assertEquals([...await t.isFinite(t.tensor(values)).data()], want);
  assertEquals([...await t.isFinite(t.tensor(values, { dtype: "f16" })).data()], want);
  const error = await failure(() => t.isFinite(t.ones([1], "i32")));
  assertStringIncludes(error.message, "must be f32 or f16");
});

test("compiled functions take and give f16", async () => {
  const f = t.compile(({ x }: { x: Tensor }) => ({ y: t.mul(x, 2), z: t.cast(x, "f32") }));
  for (const data of [Float16Array.of(1, 2, 3), Float16Array.of(4, 5, 6)]) {
    const { y, z } = await f({ x: { data, shape: [3] } });
    assertEquals(await y.data(), data.map((v) => 2 * v));
    assertEquals([...await z.data()], [...data]);
  }
  f.dispose();
});

test("f16 tensors of a safetensors file stay f16 or are widened, as asked", async () => {
  const path = await Deno.makeTempFile({ suffix: ".safetensors" });
  const data = Float16Array.of(0.1, -2, 65504);
  await writeSafetensors(path, { w: { dtype: "F16", shape: [3], data } });
  using file = readSafetensors(path);
  const { data: kept, shape } = file.tensor("w");
  const half = t.tensor(kept as Float16Array, { shape });
  const wide = t.tensor(file.float32("w"), { shape });
  await Deno.remove(path);
  assertEquals([half.dtype, wide.dtype], ["f16", "f32"]);
  assertEquals([...await t.mul(half, 0.5).data()], [...data].map((v) => v / 2));
  assertEquals([...await wide.data()], [...data]);
});

test("f16 halves the memory of a tensor", () => {
  const { planned } = t.explain(t.softmax(t.ones([1000, 64], "f16")));
  const wide = t.explain(t.softmax(t.ones([1000, 64])));
  assertEquals(wide.planned - planned, 1000 * 64 * 2);
  return Promise.resolve();
});
