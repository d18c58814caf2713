/** Work on rows that becomes one kernel, in every variant of that kernel. */
import { assertEquals } from "@std/assert";
import * as t from "../../src/tensor/mod.ts";
import { schedule } from "../../src/tensor/schedule.ts";
import { targetOf } from "../../src/tensor/webgpu/execute.ts";
import { runnable } from "../../src/tensor/webgpu/variants.ts";
import { assertNear, session, test } from "./harness.ts";
import { computedFor } from "./with_target.ts";

const kernels = (...roots: t.Tensor[]): number => schedule(roots).steps.length;
const input = (...shape: number[]): t.Tensor => t.placeholder(shape, "f32");
const random = new t.Random(3, "rows");
const normals = (...shape: number[]): t.Tensor =>
  t.tensor(random.normals(shape.reduce((a, b) => a * b, 1)), { shape });

/** All variants of the kernel that this device can run, its own first. */
const variants = (): string[] => runnable("rows", targetOf(session().gpu));

/** Values of tensors computed together with a variant of the kernel. */
const run = async (roots: t.Tensor[], rows: string): Promise<number[][]> =>
  (await computedFor({ forced: { rows } }, roots)).map((values) => [...values]);

/** Rows of a flat list. */
const rowsOf = (values: ArrayLike<number>, count: number): number[][] =>
  Array.from(
    { length: values.length / count },
    (_, i) => Array.from({ length: count }, (_, j) => values[i * count + j]),
  );

const total = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

test("softmax, norms and their gradients are one kernel each", () => {
  const x = input(40, 24), g = input(40, 24);
  assertEquals(kernels(t.softmax(x)), 1);
  assertEquals(kernels(t.logSoftmax(x)), 1);
  assertEquals(kernels(t.rmsNorm(x, input(24))), 1);
  assertEquals(kernels(t.layerNorm(x, input(24), input(24))), 1);
  assertEquals(kernels(t.layerNorm(input(5, 4, 6), undefined, undefined, 1e-5, 2)), 1);
  const past = (y: t.Tensor) => t.stopGradient(y);
  const y = t.softmax(x);
  assertEquals(kernels(past(y), ...t.gradients(y, [x], g)), 1);
  assertEquals(kernels(...t.gradients(t.rmsNorm(x, input(24)), [x], g)), 1);
  assertEquals(kernels(...t.gradients(t.layerNorm(x), [x], g)), 1);
});

test("a loss of classes stores neither probabilities nor their gradient", () => {
  const logits = input(40, 24), targets = t.placeholder([40], "i32");
  const loss = t.crossEntropy(logits, targets);
  const { steps } = schedule([loss, ...t.gradients(loss, [logits])]);
  assertEquals(steps.length, 3); // of every row, of all rows, the gradient
  const large = steps.flatMap(({ writes }) => writes).filter(({ size }) => size === logits.size);
  assertEquals(large.length, 1);
});

test("elementwise steps over the same elements share a kernel", () => {
  const x = input(30, 16), dear = t.gelu(t.sin(x)), both = [t.exp(dear), t.tanh(dear)];
  assertEquals(kernels(...both), 1);
  assertEquals(kernels(t.exp(dear), t.flip(t.tanh(dear), [0])), 2);
});

test("rows of any size come out right in every variant", async () => {
  for (const variant of variants()) {
    for (const [rows, count] of [[1, 2], [17, 8], [130, 31], [16, 300], [3, 2100]]) {
      const x = normals(rows, count), w = normals(count), of = `[${rows}, ${count}] ${variant}`;
      const roots = [t.softmax(x), t.logSumExp(x, { axes: 1 }), t.layerNorm(x, w, w)];
      const got = await run([...roots, t.max(x, { axes: 1 })], variant);
      const lists = rowsOf(await x.data(), count), weight = [...await w.data()];
      const sums = lists.map((row) => total(row.map(Math.exp)));
      assertNear(got[0], lists.flatMap((row, i) => row.map((v) => Math.exp(v) / sums[i])), of);
      assertNear(got[1], sums.map(Math.log), of);
      const normal = lists.flatMap((row) => {
        const mean = total(row) / count, centred = row.map((v) => v - mean);
        const scale = 1 / Math.sqrt(total(centred.map((v) => v * v)) / count + 1e-5);
        return centred.map((v, j) => v * scale * weight[j] + weight[j]);
      });
      assertNear(got[2], normal, of, 1e-4);
      assertEquals(got[3], lists.map((row) => Math.max(...row)), of);
      for (const it of [x, w]) it.dispose();
    }
  }
});

test("gradients of rows are the same in every variant", async () => {
  const x = normals(17, 24), w = normals(24), b = normals(24), g = normals(17, 24);
  const results = [t.layerNorm(x, w, b)].flatMap((y) => [
    y,
    ...t.gradients(y, [x, w, b], g),
  ]);
  const [own, ...others] = await Promise.all(variants().map((variant) => run(results, variant)));
  for (const values of others) {
    results.forEach((_, i) => assertNear(values[i], own[i], `result ${i}`, 1e-4));
  }
});

test("rows of -∞ and of one number are rows like others", async () => {
  const x = t.tensor([
    ...new Array(8).fill(-Infinity),
    ...new Array(8).fill(3),
    1,
    -Infinity,
    0,
    0,
    0,
    0,
    0,
    0,
  ], {
    shape: [3, 8],
  });
  for (const variant of variants()) {
    const [lse, p] = await run([t.logSumExp(x, { axes: 1 }), t.softmax(x)], variant);
    assertNear(lse, [-Infinity, 3 + Math.log(8), Math.log(Math.E + 6)], "logSumExp");
    assertNear(p.slice(8, 16), new Array(8).fill(1 / 8), "even");
    assertEquals(p[17], 0);
  }
});

test("what lies elsewhere in what a kernel makes is not read in that kernel", async () => {
  const x = normals(24, 24), values = rowsOf(await x.data(), 24);
  const means = t.mean(x, { axes: 1 });
  // The mean of row j taken from column j: other rows' numbers.
  const across = t.sub(x, t.expand(t.unsqueeze(means, 0), [24, 24]));
  assertEquals(kernels(across), 2);
  const rowMeans = values.map((row) => total(row) / 24);
  assertNear(await across.data(), values.flatMap((row) => row.map((v, j) => v - rowMeans[j])), "");
  // The softmax of a matrix plus its transpose.
  const p = t.softmax(x), both = t.add(p, t.transpose(p));
  const want = values.map((row) => {
    const sum = total(row.map(Math.exp));
    return row.map((v) => Math.exp(v) / sum);
  });
  assertNear(await both.data(), want.flatMap((row, i) => row.map((v, j) => v + want[j][i])), "");
  // Shifted along the row, by one.
  const shifted = t.sub(t.narrow(p, 1, 1, 23), t.narrow(p, 1, 0, 23));
  assertNear(
    await shifted.data(),
    want.flatMap((row) => row.slice(1).map((v, j) => v - row[j])),
    "shifted",
  );
});

test("f16 numbers are rounded before they are used again", async () => {
  if (!session().gpu.adapter.f16) return; // without_f16_test.ts says what happens there
  const x = t.cast(normals(20, 16), "f16");
  const y = t.gelu(t.sin(x)), z = t.sum(t.cast(y, "f32"), { axes: 1 });
  await t.evaluate(x);
  const alone = t.tensor(await t.gelu(t.sin(x)).data(), { shape: [20, 16] });
  const [, got] = await t.readAll(y, z);
  assertNear(got, await t.sum(t.cast(alone, "f32"), { axes: 1 }).data(), "sums");
});
