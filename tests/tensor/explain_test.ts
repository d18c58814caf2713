import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { explain, gelu, linear, mul, softmax, sum, tensor } from "../../src/tensor/mod.ts";
import { test } from "./harness.ts";

const zeros = (...shape: number[]) =>
  tensor(new Float32Array(shape.reduce((a, b) => a * b)), { shape });

Deno.test("explain() lists fused kernels with their reads, bytes and operations when given a graph", () => {
  const x = zeros(32, 64), w = zeros(128, 64), b = zeros(128);
  const plan = explain(gelu(linear(x, w, b)));
  assertEquals(plan.dispatches, 1, String(plan));
  const [step] = plan.steps;
  assertEquals(step.flops, 2 * 32 * 128 * 64 + 6 * 32 * 128);
  assertEquals(step.bytes, 4 * (32 * 64 + 128 * 64 + 128 + 32 * 128));
  assertEquals(step.fused.toSorted(), ["add ×2", "erf", "mul ×3"]);
  assertEquals(step.writes, ["f32[32,128]"]);
  assertEquals([plan.bytes, plan.flops], [step.bytes, step.flops]);
  assertEquals(plan.inputs, 4 * (32 * 64 + 128 * 64 + 128));
  assertEquals(plan.planned, 4 * 32 * 128);
  assert(x.storage === undefined, "nothing may be computed or uploaded");
});

Deno.test("explain() says how much memory sharing saves when results die early", () => {
  const chain = sum(softmax(softmax(softmax(zeros(64, 64), 0)), 0));
  const plan = explain(chain);
  assert(plan.planned < plan.unshared, String(plan));
  assertStringIncludes(String(plan), `${plan.dispatches} kernels`);
});

Deno.test("explain() plans several tensors together when given a list", () => {
  const product = linear(zeros(4, 8), zeros(8, 8));
  const both = explain([sum(product), mul(product, 2)]);
  const products = both.steps.filter(({ kernel }) => kernel.startsWith("matmul"));
  assertEquals(products.length, 1, "the shared product is computed once");
});

Deno.test("explain() has no kernel to show when the values are there", () => {
  assertEquals(explain(zeros(3)).dispatches, 0);
  assertStringIncludes(String(explain(zeros(3))), "nothing is left to compute");
});

test("explain() shows WGSL when it is asked for", () => {
  const y = softmax(zeros(4, 8), 0);
  assertEquals(explain(y).steps.map(({ wgsl }) => wgsl), [undefined, undefined]);
  const plan = explain(y, { wgsl: true });
  for (const { wgsl } of plan.steps) assertStringIncludes(wgsl!, "@compute");
  assertStringIncludes(String(plan), "// 2: softmax -> f32[4,8]");
});
