import { assertEquals } from "@std/assert";
import {
  add,
  cat,
  exp,
  expand,
  flashAttention,
  gelu,
  groupedMatmul,
  linear,
  logSumExp,
  makeEffect,
  matmul,
  mean,
  mul,
  narrow,
  permute,
  softmax,
  sortByGroup,
  sum,
  swiglu,
  take,
  type Tensor,
  tensor,
} from "../../src/tensor/mod.ts";
import { type Cost, stepCost } from "../../src/tensor/costs.ts";
import { schedule } from "../../src/tensor/schedule.ts";

const input = (...shape: number[]): Tensor =>
  tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), { shape });

/** Costs of the steps that make some results. */
function costs(...roots: Tensor[]): Cost[] {
  const { steps, isStored } = schedule(roots);
  return steps.map((step) => stepCost(step, isStored));
}

Deno.test("stepCost() counts every element once when a kernel is elementwise", () => {
  const x = input(8, 16), y = input(8, 16);
  // exp(x) * x + y: three operations an element; x is read once though it is used twice.
  assertEquals(costs(add(mul(exp(x), x), y)), [{ bytes: 4 * 3 * 128, flops: 3 * 128 }]);
});

Deno.test("stepCost() counts what a broadcast, a slice and a gather use of a tensor", () => {
  const x = input(8, 16), row = input(16), table = input(1000, 16);
  assertEquals(costs(add(x, row)), [{ bytes: 4 * (128 + 16 + 128), flops: 128 }]);
  assertEquals(costs(exp(narrow(table, 0, 10, 8))), [{ bytes: 4 * (128 + 128), flops: 128 }]);
  const index = tensor([3, 5], { dtype: "i32" });
  assertEquals(costs(take(table, index)), [{ bytes: 4 * (32 + 2 + 32), flops: 0 }]);
  assertEquals(costs(cat([x, x], 0)), [{ bytes: 4 * (128 + 256), flops: 0 }]);
});

Deno.test("stepCost() counts integer arithmetic as no floating-point operation", () => {
  const x = tensor([1, 2, 3], { dtype: "i32" });
  assertEquals(costs(add(x, x)), [{ bytes: 4 * 6, flops: 0 }]);
});

Deno.test("stepCost() counts two operations for each product of a matrix product", () => {
  const a = input(32, 64), b = input(64, 128);
  assertEquals(costs(matmul(a, b)), [{
    bytes: 4 * (32 * 64 + 64 * 128 + 32 * 128),
    flops: 2 * 32 * 64 * 128,
  }]);
  // A batch with one shared right side, which is read through a transposition.
  const c = input(4, 32, 64), d = input(128, 64);
  assertEquals(costs(matmul(c, permute(d, [1, 0]))), [{
    bytes: 4 * (4 * 32 * 64 + 64 * 128 + 4 * 32 * 128),
    flops: 2 * 4 * 32 * 64 * 128,
  }]);
});

Deno.test("stepCost() adds the epilogue to the product that it is fused with", () => {
  const x = input(32, 64), w = input(128, 64), b = input(128);
  // gelu(y + b) = (y + b) · 0.5 · (erf((y + b) · √½) + 1): one addition and five operations.
  assertEquals(costs(gelu(linear(x, w, b))), [{
    bytes: 4 * (32 * 64 + 128 * 64 + 128 + 32 * 128),
    flops: 2 * 32 * 64 * 128 + 6 * 32 * 128,
  }]);
});

Deno.test("stepCost() adds SwiGLU to the product that makes it, which is written only if it is needed", () => {
  const x = input(32, 16), w = input(8, 16);
  // six operations for each result: -gate, exp, +, /, and two products
  const flops = 2 * 32 * 16 * 8 + 6 * 32 * 4, read = 32 * 16 + 8 * 16;
  assertEquals(costs(swiglu(linear(x, w))), [{ bytes: 4 * (read + 32 * 4), flops }]);
  const y = linear(x, w);
  assertEquals(costs(swiglu(y), y), [{ bytes: 4 * (read + 32 * 4 + 32 * 8), flops }]);
});

Deno.test("stepCost() counts prologue, elements and epilogue of a reduction", () => {
  const x = input(8, 100);
  assertEquals(costs(sum(x)), [{ bytes: 4 * 801, flops: 800 }]);
  // A product for each element in front, one for each mean behind.
  assertEquals(costs(mean(mul(x, x), { axes: -1 })), [{ bytes: 4 * 808, flops: 1608 }]);
  assertEquals(costs(logSumExp(x, { axes: -1 })), [{ bytes: 4 * 808, flops: 3200 }]);
});

Deno.test("stepCost() counts both kernels of a softmax of columns", () => {
  const x = input(100, 8);
  assertEquals(costs(softmax(x, 0)), [
    { bytes: 4 * (800 + 16), flops: 4 * 800 },
    { bytes: 4 * (800 + 16 + 800), flops: 3 * 800 },
  ]);
});

Deno.test("stepCost() counts all that one kernel does with rows, and reads and writes once", () => {
  const x = input(8, 100);
  assertEquals(costs(softmax(x)), [{ bytes: 4 * (800 + 800), flops: 7 * 800 }]);
});

Deno.test("stepCost() counts all rows of a grouped product, those of the padding too", () => {
  const groups = sortByGroup(tensor([0, 1, 1, 0], { dtype: "i32" }), 2, 16);
  const rows = groups.item.size;
  const x = input(rows, 8), w = input(2, 4, 8);
  const product = costs(groupedMatmul(x, w, groups)).at(-1)!;
  assertEquals(product.flops, 2 * rows * 8 * 4);
  const tables = groups.tileGroup.size + groups.offsets.size;
  assertEquals(product.bytes, 4 * (rows * 8 + 2 * 4 * 8 + tables + rows * 4));
});

Deno.test("stepCost() counts what is overwritten in place", () => {
  const to = input(10), from = input(10);
  assertEquals(costs(makeEffect("assign", [to, from], {})), [{ bytes: 4 * 20, flops: 0 }]);
  // Parameters and both moments are read and written, gradients, settings and a factor are read.
  const [p, m, v, g] = [0, 1, 2, 3].map(() => input(100));
  const adamw = makeEffect("adamw", [p, m, v, g, input(8), input(1)], { ends: [100] });
  assertEquals(costs(adamw), [{ bytes: 4 * (7 * 100 + 9), flops: 1500 }]);
});

Deno.test("stepCost() counts a value again for every element that recomputes it", () => {
  const row = input(16);
  // The negation is cheap, so each of the eight rows computes it again.
  assertEquals(costs(expand(add(row, 1), [8, 16])), [{ bytes: 4 * (16 + 128), flops: 128 }]);
});

Deno.test("stepCost() counts attention's products for the pairs that are looked at", () => {
  const q = input(2, 4, 6, 8), k = input(2, 2, 6, 8), v = input(2, 2, 6, 16);
  const bytes = 4 * (2 * 4 * 6 * 8 + 2 * 2 * 6 * 8 + 2 * 2 * 6 * 16 + 2 * 4 * 6 * 16 + 2 * 4 * 6);
  const { output } = flashAttention(q, k, v);
  assertEquals(costs(output), [{ bytes, flops: 2 * 4 * 6 * 6 * (2 * (8 + 16) + 5) }]);
  const causal = flashAttention(q, k, v, { causal: true }).output;
  assertEquals(costs(causal), [{ bytes, flops: 2 * 4 * 21 * (2 * (8 + 16) + 5) }]);
});
