import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { explain, gelu, linear, softmax, sum, tensor } from "../../src/tensor/mod.ts";
import { session } from "./harness.ts";

Deno.test("explain() lists fused kernels with their reads, bytes and operations when given a graph", () => {
  session();
  const x = tensor(new Float32Array(32 * 64), { shape: [32, 64] });
  const w = tensor(new Float32Array(128 * 64), { shape: [128, 64] });
  const b = tensor(new Float32Array(128));
  const plan = explain(gelu(linear(x, w, b)));
  assertEquals(plan.steps.length, 1, String(plan));
  const [step] = plan.steps;
  assertEquals(step.flops, 2 * 32 * 128 * 64);
  assertEquals(step.bytes, 4 * (32 * 64 + 128 * 64 + 128 + 32 * 128));
  assertEquals(step.writes, ["f32[32,128]"]);
  assertStringIncludes(step.wgsl, "@compute");
  assert(x.storage === undefined, "nothing may be computed or uploaded");
});

Deno.test("explain() says how much memory sharing saves when results die early", () => {
  session();
  const x = tensor(new Float32Array(4096), { shape: [64, 64] });
  const chain = sum(softmax(softmax(softmax(x))));
  const plan = explain(chain);
  assert(plan.planned < plan.unshared, String(plan));
  assertStringIncludes(String(plan), `${plan.steps.length} kernels`);
});
