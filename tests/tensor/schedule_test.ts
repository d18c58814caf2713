import { assertEquals, assertGreater, assertLess, assertLessOrEqual } from "@std/assert";
import * as t from "../../src/tensor/mod.ts";
import { plan } from "../../src/tensor/plan.ts";
import { schedule, stepReads } from "../../src/tensor/schedule.ts";
import { assertNear, session, test } from "./harness.ts";

/** Number of kernels that some results take. */
const kernels = (...roots: t.Tensor[]): number => schedule(roots).steps.length;

const x = t.zeros([6, 8]), w = t.placeholder([5, 8], "f32"), b = t.placeholder([5], "f32");
const input = (...shape: number[]): t.Tensor => t.placeholder(shape, "f32");

// First in the file: no garbage of other tests is collected meanwhile.
test("evaluate() gives back all memory but the results", async () => {
  const { live, buffers } = session().memory();
  const a = t.tensor(new t.Random(1).normals(64 * 64), { shape: [64, 64] });
  let y: t.Tensor = a;
  for (let i = 0; i < 5; i++) y = t.softmax(t.matmul(y, a));
  const loss = t.mean(t.square(y)), [da] = t.gradients(loss, [a]);
  await t.evaluate(loss, da);
  assertEquals(session().memory().buffers - buffers, 3); // a, its gradient, the loss
  for (const it of [a, da, loss]) it.dispose();
  assertEquals([session().memory().live, session().memory().buffers], [live, buffers]);
});

test("a chain of elementwise operations is one kernel", () => {
  const a = input(4, 5), c = input(5);
  assertEquals(kernels(t.mul(t.exp(t.add(a, c)), t.sigmoid(t.neg(a)))), 1);
  assertEquals(kernels(t.gelu(t.flip(t.transpose(t.pad(a, [1, 0], [0, 2])), [0]))), 1);
  assertEquals(kernels(t.where(t.less(a, 0), t.take(c, t.cast(t.abs(a), "i32")), a)), 1);
});

test("a product with bias, activation and residual is one kernel", () => {
  const rows = input(6, 8), residual = input(6, 5);
  assertEquals(kernels(t.add(t.gelu(t.linear(rows, w, b)), residual)), 1);
  assertEquals(
    kernels(t.matmul(t.transpose(rows), t.reshape(t.expand(input(1, 3), [6, 3]), [6, 3]))),
    1,
  );
});

test("a reduction takes what is before and behind it into its kernel", () => {
  const rows = input(6, 8);
  assertEquals(kernels(t.sqrt(t.add(t.sum(t.square(t.sub(rows, 1)), { axes: 1 }), 1))), 1);
  assertEquals(kernels(t.softmax(rows, 0)), 2); // largest and sum of every column, the quotient
});

test("what two kernels need is stored if it is dear, and computed again if it is cheap", () => {
  const a = input(6, 8);
  const twice = (y: t.Tensor) => [t.sum(y, { axes: 0 }), t.prod(y, { axes: 0 })];
  assertEquals(kernels(...twice(t.add(a, 1))), 2);
  assertEquals(kernels(...twice(t.gelu(t.sin(a)))), 3);
});

test("a result that is asked for is stored even if a kernel could take it in", () => {
  const product = t.matmul(input(6, 8), input(8, 3));
  assertEquals(kernels(t.relu(product)), 1);
  assertEquals(kernels(t.relu(product), product), 2);
});

test("a product that is read at other places is not taken into the kernel that reads it", () => {
  const product = t.matmul(input(6, 8), input(8, 6));
  assertEquals(kernels(t.add(product, t.transpose(product))), 2);
  assertEquals(kernels(t.flip(product, [0])), 2);
});

test("no kernel reads more tensors than a device has to allow", () => {
  const many = Array.from({ length: 40 }, () => input(3, 4));
  const sum = many.map((v) => t.sin(v)).reduce((a, c) => t.add(a, c));
  const balanced = (list: t.Tensor[]): t.Tensor =>
    list.length === 1
      ? list[0]
      : t.mul(balanced(list.slice(0, list.length >> 1)), balanced(list.slice(list.length >> 1)));
  for (
    const root of [
      sum,
      balanced(many),
      t.cat(many, 1),
      t.softmax(balanced(many)),
      t.sum(t.stack(many)),
    ]
  ) {
    const { steps, isStored } = schedule([root]);
    for (const step of steps) {
      // What WebGPU promises: maxStorageBuffersPerShaderStage is at least 8.
      assertLessOrEqual(stepReads(step, isStored).length + step.writes.length, 8);
    }
  }
});

test("a long chain is cut into kernels of bounded depth", () => {
  let y: t.Tensor = input(4);
  for (let i = 0; i < 1000; i++) y = t.sin(y);
  const count = kernels(y);
  assertGreater(count, 3);
  assertLess(count, 50);
});

test("memory is used again by results that are not alive together", () => {
  let y: t.Tensor = input(64, 64);
  for (let i = 0; i < 20; i++) y = t.matmul(y, w.shape.length ? input(64, 64) : x);
  const { slots, steps } = plan([y]);
  assertEquals(steps.length, 20);
  assertLessOrEqual(slots.length, 3);
});

test("packed tensors are computed where they lie", async () => {
  const a = t.tensor([1, 2, 3]), c = t.tensor([[4, 5], [6, 7]]);
  const flat = t.pack([t.mul(a, 2), t.matmul(c, c), t.neg(a)]);
  assertEquals(schedule([flat]).steps.filter((s) => s.node.op !== "pack").length, 3);
  const values = [...await flat.data()];
  const want = new Array(192).fill(0);
  want.splice(0, 3, 2, 4, 6);
  want.splice(64, 4, 46, 55, 66, 79);
  want.splice(128, 3, -1, -2, -3);
  assertEquals(values, want);
});

test("evaluate() computes a shared part once, and a later read takes it up", async () => {
  const a = t.tensor([1, 2, 3]), shared = t.exp(a);
  const y = t.add(shared, 1), z = t.mul(shared, 2);
  const before = session().gpu.counters.dispatches;
  await t.evaluate(shared, y, z);
  assertEquals(session().gpu.counters.dispatches - before, 1);
  await y.data();
  await z.data();
  assertEquals(session().gpu.counters.dispatches - before, 1);
  assertNear(await t.sub(z, y).data(), [1, 2, 3].map((v) => Math.exp(v) - 1), "later use");
});

test("evaluations under way at the same time do not disturb each other", async () => {
  const a = t.tensor(new t.Random(2).normals(1000)), shared = t.tanh(a);
  const sums = Array.from({ length: 8 }, (_, i) => t.sum(t.mul(shared, i)));
  const values = await Promise.all(sums.map((s) => s.item()));
  const one = [...await shared.data()].reduce((s, v) => s + v, 0);
  values.forEach((v, i) => assertNear([v], [one * i], `sum ${i}`, 1e-4));
});
