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
import * as ref from "./reference.ts";
import { type Arr, at, build, matmul, transpose, zip } from "./reference.ts";
import {
  attend,
  convolved,
  entropy,
  normalised,
  rotated,
  running,
  scaled,
} from "./reference_functions.ts";

test("rmsNorm() and layerNorm() match the reference", async () => {
  const rms = (x: Arr) => scaled(x, 1e-5);
  await checkOperation("rmsNorm", [normal(2, 5, 7)], (x) => t.rmsNorm(x, undefined, 1e-5), rms);
  await checkOperation(
    "rmsNorm with weight",
    [normal(2, 5, 7), normal(7)],
    (x, w) => t.rmsNorm(x, w, 1e-5),
    (x, w) => zip((a, b) => a * b, rms(x), w),
  );
  await checkOperation(
    "layerNorm",
    [normal(3, 130)],
    (x) => t.layerNorm(x),
    (x) => normalised(x, [-1], 1e-5),
  );
  const affine = (x: Arr, w: Arr, b: Arr) =>
    zip((a, c, d) => a * c + d, normalised(x, [-1], 1e-6), w, b);
  await checkOperation(
    "layerNorm with weight and bias",
    [normal(4, 6), normal(6), normal(6)],
    (x, w, b) => t.layerNorm(x, w, b, 1e-6),
    affine,
  );
  await checkOperation(
    "layerNorm over two",
    [normal(2, 3, 4)],
    (x) => t.layerNorm(x, undefined, undefined, 1e-5, 2),
    (x) => normalised(x, [1, 2], 1e-5),
  );
});

test("crossEntropy() matches the reference with ignored targets, smoothing and every reduction", async () => {
  for (const reduction of ["mean", "sum", "none"] as const) {
    for (const labelSmoothing of [0, 0.2]) {
      const targets = whole([6], [0, 4, -100, 2, 2, -100]);
      await checkOperation(
        `crossEntropy ${reduction} ${labelSmoothing}`,
        [normal(6, 5), targets],
        (x, i) => t.crossEntropy(x, i, { reduction, labelSmoothing }),
        (x, i) => entropy(x, i, labelSmoothing, reduction),
      );
    }
  }
  const x = t.tensor([[1, 2], [3, 4]]), none = t.tensor(new Int32Array([-100, -100]));
  const loss = t.crossEntropy(x, none), [dx] = t.gradients(loss, [x]);
  assertNear([await loss.item(), ...await dx.data()], [0, 0, 0, 0, 0], "nothing counts");
});

const NEVER = -1e30;

test("attention() matches the reference: full, causal, masked, with fewer key heads", async () => {
  const q = normal(2, 4, 5, 6), k = normal(2, 4, 5, 6), v = normal(2, 4, 5, 3);
  const both = (o: t.AttentionOptions) => (a: t.Tensor, b: t.Tensor, c: t.Tensor) => {
    const { output, probabilities } = t.attention(a, b, c, o);
    return [output, probabilities];
  };
  const causal = ([, , i, j]: readonly number[]) => j > i ? NEVER : 0;
  await checkOperation("attention", [q, k, v], both({}), (a, b, c) => attend(a, b, c, () => 0));
  await checkOperation(
    "causal",
    [q, k, v],
    both({ causal: true }),
    (a, b, c) => attend(a, b, c, causal),
  );
  await checkOperation(
    "grouped",
    [q, normal(2, 2, 5, 6), normal(2, 2, 5, 3)],
    both({ causal: true }),
    (a, b, c) => attend(a, b, c, causal),
  );
  await checkOperation(
    "one key head",
    [q, normal(2, 1, 5, 6), normal(2, 1, 5, 3)],
    both({}),
    (a, b, c) => attend(a, b, c, () => 0),
  );
  await checkOperation(
    "longer keys",
    [q, normal(2, 4, 8, 6), normal(2, 4, 8, 3)],
    both({ causal: true }),
    (a, b, c) => attend(a, b, c, ([, , i, j]) => j > i + 3 ? NEVER : 0),
  );
  const keep = truth([2, 1, 1, 5], [1, 1, 1, 0, 0, 1, 1, 1, 1, 1]);
  await checkOperation(
    "padded",
    [q, k, v, keep],
    (a, b, c, m) => both({ mask: m })(a, b, c),
    (a, b, c, m) => attend(a, b, c, ([n, , , j]) => at(m, [n, 0, 0, j]) ? 0 : NEVER),
  );
  const bias: Input = normal(5, 5);
  await checkOperation(
    "additive mask",
    [q, k, v, bias],
    (a, b, c, m) => both({ mask: m })(a, b, c),
    (a, b, c, m) => attend(a, b, c, ([, , i, j]) => at(m, [i, j])),
  );
});

test("attention() of a row that may see nothing stays finite", async () => {
  const x = t.tensor(new t.Random(1).normals(8), { shape: [1, 1, 2, 4] });
  const { output } = t.attention(x, x, x, { mask: t.zeros([1, 1, 2, 2], "bool") });
  const [dx] = t.gradients(t.sum(output), [x]);
  assertEquals([...await output.data(), ...await dx.data()].every(Number.isFinite), true);
});

test("rotary embedding matches the reference", async () => {
  const frequencies = t.tensor([1, 0.1, 0.01]);
  const angles = t.rotaryAngles(frequencies, t.tensor([[0, 3], [7, 1000]], { dtype: "i32" }));
  assertEquals(angles.shape, [2, 2, 6]);
  const want = [0, 3, 7, 1000].flatMap((p) =>
    [1, 0.1, 0.01, 1, 0.1, 0.01].map((f) => p * Math.fround(f))
  );
  assertNear(await angles.data(), want, "angles", 1e-7);
  assertNear(await t.sin(angles).data(), want.map((a) => Math.sin(Math.fround(a))), "sin", 1e-6);
  await checkOperation(
    "applyRotary",
    [normal(2, 3, 4, 6), normal(2, 4, 6), normal(2, 4, 6)],
    t.applyRotary,
    rotated,
  );
});

test("cumsum() and cumprod() match the reference, short and in several runs", async () => {
  const sum = (a: number, b: number) => a + b, product = (a: number, b: number) => a * b;
  for (
    const [shape, axis] of [[[2, 3, 5], 0], [[2, 3, 5], 1], [[2, 3, 5], -1], [[2, 64], 1], [
      [1, 65],
      1,
    ], [[200, 2], 0]] as const
  ) {
    const a = axis < 0 ? 2 : axis;
    await checkOperation(
      `cumsum ${axis}`,
      [normal(...shape)],
      (x) => t.cumsum(x, axis),
      (x) => running(x, a, sum),
    );
    await checkOperation(
      `cumprod ${axis}`,
      [between(0.9, 1.1, ...shape)],
      (x) => t.cumprod(x, axis),
      (x) => running(x, a, product),
    );
  }
  const long = new Float32Array(5000).fill(1);
  const y = await t.cumsum(t.tensor(long)).data();
  assertEquals([y[0], y[63], y[64], y[4096], y[4999]], [1, 64, 65, 4097, 5000]);
  assertEquals([...await t.cumsum(t.tensor(new Int32Array([3, -1, 4]))).data()], [3, 2, 6]);
  assertEquals([...await t.cumprod(t.tensor([2, 0, 5, 3])).data()], [2, 0, 0, 0]);
});

test("conv2d() matches the reference: patches, strides, padding", async () => {
  for (
    const [size, kernel, stride, padding] of [
      [[9, 6], [3, 3], [3, 3], [0, 0]],
      [[11, 13], [4, 4], [4, 4], [0, 0]],
      [[5, 4], [3, 3], [1, 1], [1, 1]],
      [[7, 9], [2, 3], [2, 1], [0, 2]],
    ] as const
  ) {
    const inputs = [normal(2, 2, ...size), normal(3, 2, ...kernel), normal(3)];
    await checkOperation(
      "conv2d",
      inputs,
      (x, w, b) => t.conv2d(x, w, b, { stride, padding }),
      (x, w, b) =>
        zip((v, s) => v + s, convolved(x, w, [...stride], [...padding]), ref.reshape(b, [3, 1, 1])),
    );
  }
  await checkOperation("avgPool2d", [normal(1, 2, 5, 7)], (x) => t.avgPool2d(x, [2, 3]), (x) => {
    const k: Arr = build([2, 2, 2, 3], ([o, c]) => o === c ? 1 / 6 : 0);
    return convolved(x, k, [2, 3], [0, 0]);
  });
});

test("interpolate() keeps constants, samples exactly and halves by means", async () => {
  for (const mode of ["nearest", "bilinear", "bicubic", "area"] as const) {
    for (const size of [[5, 9], [2, 3], [3, 4]] as const) {
      const y = t.interpolate(t.full([1, 2, 3, 4], 2.5), size, mode);
      assertEquals(y.shape, [1, 2, ...size]);
      assertNear(
        await y.data(),
        new Array(2 * size[0] * size[1]).fill(2.5),
        `${mode} of a constant`,
      );
    }
    const x = t.tensor(new t.Random(1).normals(12), { shape: [3, 4] });
    assertNear(
      await t.interpolate(x, [3, 4], mode).data(),
      await x.data(),
      `${mode} to the same size`,
    );
  }
  const ramp = t.tensor([[0, 1, 2, 3]]);
  assertNear(await t.interpolate(ramp, [1, 2], "area").data(), [0.5, 2.5], "area");
  assertNear(await t.interpolate(ramp, [1, 8], "bilinear").data(), [
    0,
    0.25,
    0.75,
    1.25,
    1.75,
    2.25,
    2.75,
    3,
  ], "bilinear");
  assertNear(
    await t.interpolate(ramp, [1, 8], "nearest").data(),
    [0, 0, 1, 1, 2, 2, 3, 3],
    "nearest",
  );
  await checkOperation(
    "bicubic",
    [normal(3, 4)],
    (x) => t.interpolate(x, [6, 2], "bicubic"),
    (x) => {
      const cubic = (d: number) => {
        const s = Math.abs(d);
        return s <= 1
          ? 1.25 * s ** 3 - 2.25 * s ** 2 + 1
          : s < 2
          ? -0.75 * (s ** 3 - 5 * s ** 2 + 8 * s - 4)
          : 0;
      };
      const matrix = (from: number, to: number): Arr => {
        const data = new Array<number>(from * to).fill(0);
        for (let i = 0; i < to; i++) {
          const place = (i + 0.5) * from / to - 0.5, first = Math.floor(place);
          for (let j = first - 1; j <= first + 2; j++) {
            data[i * from + Math.min(from - 1, Math.max(0, j))] += cubic(place - j);
          }
        }
        return { shape: [to, from], data };
      };
      return matmul(matmul(matrix(3, 6), x), transpose(matrix(4, 2)));
    },
  );
});
