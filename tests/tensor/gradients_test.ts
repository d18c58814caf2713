import { assertEquals, assertStringIncludes } from "@std/assert";
import * as t from "../../src/tensor/mod.ts";
import { assertNear, checkOperation, failure, normal, test } from "./harness.ts";
import * as ref from "./reference.ts";

test("gradients() sums over all uses of a tensor", async () => {
  await checkOperation(
    "x² + x",
    [normal(2, 3)],
    (x) => t.add(t.mul(x, x), x),
    (x) => ref.map(x, (v) => v * v + v),
  );
  await checkOperation(
    "shared weights",
    [normal(3, 4), normal(4, 4)],
    (x, w) => t.tanh(t.matmul(t.tanh(t.matmul(x, w)), w)),
    (x, w) => ref.map(ref.matmul(ref.map(ref.matmul(x, w), Math.tanh), w), Math.tanh),
  );
});

test("gradients() by an intermediate result ends there", async () => {
  const x = t.tensor([1, 2, 3]), y = t.square(x), loss = t.sum(t.square(y));
  const [dy, dx] = t.gradients(loss, [y, x]);
  assertEquals([...await dy.data()], [2, 8, 18]);
  assertEquals([...await dx.data()], [4, 32, 108]);
});

test("gradients() of what does not depend on a tensor are zeros", async () => {
  const x = t.tensor([1, 2]), other = t.tensor([[5, 6, 7]]);
  const [dx, none] = t.gradients(t.sum(x), [x, other]);
  assertEquals([[...await dx.data()], none.shape, [...await none.data()]], [[1, 1], [1, 3], [
    0,
    0,
    0,
  ]]);
});

test("stopGradient() lets values through and no gradient", async () => {
  const x = t.tensor([2, 3]);
  const [dx] = t.gradients(t.sum(t.mul(x, t.stopGradient(x))), [x]);
  assertEquals([...await dx.data()], [2, 3]);
  const [none] = t.gradients(t.sum(t.stopGradient(t.exp(x))), [x]);
  assertEquals([...await none.data()], [0, 0]);
});

test("gradients() of gradients are second derivatives", async () => {
  const x = t.tensor([0.5, -1, 2]);
  const [first] = t.gradients(t.sum(t.mul(t.sin(x), x)), [x]);
  const [second] = t.gradients(t.sum(first), [x]);
  const want = [0.5, -1, 2].map((v) => 2 * Math.cos(v) - v * Math.sin(v));
  assertNear(await second.data(), want, "(x sin x)''");
});

test("gradients() takes the upstream gradient of any shape of loss", async () => {
  const x = t.tensor([[1, 2], [3, 4]]);
  const [dx] = t.gradients(t.square(x), [x], t.tensor([[1, 0], [10, -1]]));
  assertEquals([...await dx.data()], [2, 0, 60, -8]);
});

test("valueAndGrad() gives a function's value and gradients", async () => {
  const f = t.valueAndGrad((a: t.Tensor, b: t.Tensor) => t.sum(t.mul(a, b)));
  const { value, grads } = f(t.tensor([1, 2]), t.tensor([3, 4]));
  assertEquals([await value.item(), [...await grads[0].data()], [...await grads[1].data()]], [11, [
    3,
    4,
  ], [1, 2]]);
});

test("gradients() of integers and truth values flow around them", async () => {
  const x = t.tensor([-1, 2, 5]);
  const kept = t.cast(t.greater(x, 0), "f32"), index = t.cast(t.minimum(t.maximum(x, 0), 2), "i32");
  const [dx] = t.gradients(t.sum(t.add(t.mul(x, kept), t.take(x, index))), [x]);
  // index = 0, 2, 2: element 0 is taken once, element 2 twice.
  assertEquals([...await dx.data()], [1, 1, 3]);
});

test("gradients() refuses what it cannot do", async () => {
  const x = t.tensor([1, 2]);
  const not = await failure(() => t.gradients(t.square(x), [x]));
  assertStringIncludes(not.message, "f32[2] is not a scalar; give the upstream gradient");
  const shape = await failure(() => t.gradients(t.square(x), [x], t.ones([3])));
  assertStringIncludes(shape.message, "upstream f32[3] does not have the shape of f32[2]");
  const effect = await failure(() => t.gradients(t.sum(t.makeEffect("assign", [x, x], {})), [x]));
  assertStringIncludes(effect.message, `operation "assign" making f32[0] has no gradient`);
});

test("a chain of 20,000 operations has values and gradients", async () => {
  const x = t.tensor([0.5, 2]);
  let y: t.Tensor = x;
  for (let i = 0; i < 20_000; i++) y = i % 2 ? t.mul(y, 1.0001) : t.add(y, 1e-4);
  const [dx] = t.gradients(t.sum(y), [x]);
  const slope = 1.0001 ** 10_000;
  await t.evaluate(y, dx);
  assertNear([...await dx.data()].map((v) => v / slope), [1, 1], "gradient", 1e-3);
  let want = 0.5;
  for (let i = 0; i < 20_000; i++) want = i % 2 ? want * 1.0001 : want + 1e-4;
  assertNear([(await y.data())[0] / want], [1], "value", 1e-3);
});

test("gradients() by a transposed tensor see through what undoes it", async () => {
  const x = t.tensor([[1, 2, 3], [4, 5, 6]]), y = t.transpose(x), z = t.transpose(y);
  const [dy, dx] = t.gradients(t.sum(t.square(z)), [y, x]);
  assertEquals([...await dy.data()], [2, 8, 4, 10, 6, 12]);
  assertEquals([...await dx.data()], [2, 4, 6, 8, 10, 12]);
});
