/** SwiGLU by the kernel of the product in front of it. */
import { assert, assertEquals } from "@std/assert";
import * as t from "../../src/tensor/mod.ts";
import type { Tensor } from "../../src/tensor/mod.ts";
import { plan } from "../../src/tensor/plan.ts";
import { labelOf } from "../../src/tensor/webgpu/lower.ts";
import { runnable } from "../../src/tensor/webgpu/variants.ts";
import { targetOf } from "../../src/tensor/webgpu/execute.ts";
import { assertNear, session, test } from "./harness.ts";
import { computedFor } from "./with_target.ts";

const random = new t.Random(8, "pairs");
const normal = (...shape: number[]): Tensor => t.tensor(random.normals(t.sizeOf(shape)), { shape });

/** Labels of the kernels that make tensors. */
const kernels = (...roots: Tensor[]): string[] => plan(roots).steps.map(labelOf);

/** Both halves of a product x Wᵀ and what SwiGLU makes of them, in float64. */
function reference(x: ArrayLike<number>, w: ArrayLike<number>, [m, k, n]: readonly number[]) {
  const product = new Float64Array(m * n), gated = new Float64Array(m * n / 2);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      for (let c = 0; c < k; c++) product[i * n + j] += x[i * k + c] * w[j * k + c];
    }
    for (let j = 0; j < n / 2; j++) {
      const gate = product[i * n + j], up = product[i * n + n / 2 + j];
      gated[i * n / 2 + j] = gate / (1 + Math.exp(-gate)) * up;
    }
  }
  return { product, gated };
}

/** Rows, summands, and columns of both halves together. */
const SIZES = [[1, 4, 2], [33, 20, 66], [70, 64, 258], [3, 5, 34]];

test("SwiGLU is written by the product's kernel, alone or beside the product, in every variant", async () => {
  for (const size of SIZES) {
    const [m, k, n] = size;
    const x = normal(m, k), w = normal(n, k);
    const { product, gated } = reference(
      await x.data() as Float32Array,
      await w.data() as Float32Array,
      size,
    );
    const alone = () => [t.swiglu(t.linear(x, w))];
    const both = () => {
      const y = t.linear(x, w);
      return [t.swiglu(y), y];
    };
    assertEquals(kernels(...alone()), [`matmul+swiglu -> f32[${m},${n / 2}]`]);
    assertEquals(kernels(...both()), [`matmul+swiglu -> f32[${m},${n / 2}]`]);
    for (const matmul of runnable("matmul", targetOf(session().gpu))) {
      const forced = { matmul }, label = `${matmul}, ${size}`;
      const [only] = await computedFor({ forced }, alone());
      const [beside, kept] = await computedFor({ forced }, both());
      assertNear(only, gated, label, 1e-5);
      assertEquals(beside, only, `${label}: beside the product`);
      assertNear(kept, product, `${label}: the product`, 1e-5);
    }
  }
});

test("the gradient of SwiGLU is written by the kernel of the product behind it, in every variant", async () => {
  for (const [m, k, n] of SIZES) {
    const x = normal(m, n), down = normal(k, n / 2), upstream = normal(m, k);
    // A copy of the gradient on its way keeps the kernels apart.
    const build = (apart: boolean) => {
      const h = t.swiglu(x), y = t.linear(h, down);
      if (!apart) return t.gradients(y, [x], upstream);
      const [g] = t.gradients(y, [h], upstream);
      return t.gradients(h, [x], t.add(g, 0));
    };
    const label = `matmul+swiglu_gradient -> f32[${m},${n}]`;
    assertEquals(kernels(...build(false)), [label]);
    assertEquals(kernels(...build(true)).length, 2);
    for (const matmul of runnable("matmul", targetOf(session().gpu))) {
      const forced = { matmul };
      const [want] = await computedFor({ forced }, build(true));
      const [got] = await computedFor({ forced }, build(false));
      assertEquals(got, want, `${matmul}, ${[m, k, n]}`);
    }
  }
});

test("SwiGLU is written by the kernel of a grouped product, forward and backward", async () => {
  for (const [tile, k, n] of [[16, 33, 20], [128, 20, 132]]) {
    const chosen = Int32Array.from({ length: 150 }, () => [0, 2, 3, 3, 3, -1][random.int(6)]);
    const map = t.sortByGroup(t.tensor(chosen), 5, tile);
    const tokens = normal(150, k), experts = normal(5, n, k), down = normal(5, 9, n / 2);
    await t.evaluate(map.position, map.item, map.tileGroup, map.offsets);
    const rows = t.dispatchRows(tokens, map, 1);
    const fused = () => t.swiglu(t.groupedMatmul(rows, experts, map));
    // The same of a copy, which is what keeps the kernels apart.
    const apart = () => t.swiglu(t.mul(t.groupedMatmul(rows, experts, map), 1));
    const results = (h: Tensor) => {
      const y = t.combineRows(t.groupedMatmul(h, down, map), map, 1);
      return [y, ...t.gradients(t.sum(t.sin(y)), [tokens, experts, down])];
    };
    const size = `f32[${rows.shape[0]},${n / 2}]`;
    assert(kernels(fused()).includes(`grouped_matmul+swiglu -> ${size}`), `${kernels(fused())}`);
    assert(kernels(apart()).includes(`swiglu -> ${size}`), `${kernels(apart())}`);
    // The gradient reads the product too.
    assert(kernels(...results(fused())).includes(`grouped_matmul+swiglu -> ${size}`));
    const variants = runnable("matmul", targetOf(session().gpu));
    for (const matmul of variants) {
      const forced = { matmul };
      // Gradients come from other kernels, so once is enough for them.
      const some = (h: Tensor) => matmul === variants[0] ? results(h) : [h, results(h)[0]];
      const want = await computedFor({ forced }, some(apart()));
      const got = await computedFor({ forced }, some(fused()));
      for (const [i, values] of got.entries()) {
        assertEquals(values, want[i], `${matmul}, tiles of ${tile}, result ${i}`);
      }
    }
  }
});

test("SwiGLU of a product in f16 is computed in f32 and rounded where it is stored", async () => {
  if (!targetOf(session().gpu).f16) return;
  const size = [20, 36, 66], [m, k, n] = size;
  const [xs, ws] = [m * k, n * k].map((count) => Float16Array.from(random.normals(count)));
  const { product, gated } = reference(xs, ws, size);
  const y = t.linear(t.tensor(xs, { shape: [m, k] }), t.tensor(ws, { shape: [n, k] }));
  const [got, kept] = await t.readAll(t.swiglu(y), y);
  const check = (values: ArrayLike<number>, want: Float64Array, what: string) =>
    want.forEach((w, i) => {
      const error = Math.abs(values[i] - w);
      assert(error <= 2 ** -11 * Math.abs(w) + 2e-5, `${what} ${i}: ${values[i]}, not ${w}`);
    });
  check(got, gated, "swiglu");
  check(kept, product, "product");
});

test("SwiGLU stays a kernel of its own where columns are neighbours in memory, or much reads them", async () => {
  const x = normal(6, 8), columns = normal(8, 12), rows = normal(12, 8), bias = normal(12);
  await t.evaluate(x, columns, rows, bias);
  const own = "swiglu -> f32[6,6]";
  assertEquals(kernels(t.swiglu(t.matmul(x, columns))).at(-1), own);
  assertEquals(kernels(t.swiglu(t.linear(x, rows, bias))).at(-1), own);
  const map = t.sortByGroup(t.tensor(new Int32Array(6)), 1, 16);
  const turned = t.groupedMatmul(
    t.dispatchRows(x, map, 1),
    t.reshape(columns, [1, 8, 12]),
    map,
    { transposed: true },
  );
  assertEquals(kernels(t.swiglu(turned)).at(-1), "swiglu -> f32[32,6]");
  const [a, b] = [t.swiglu(t.matmul(x, columns)), t.swiglu(t.linear(x, t.transpose(columns)))];
  const [got, want] = await t.readAll(a, b);
  assertEquals(got, want);
});

test("rows of more dimensions and a product that is asked for twice make one kernel", () => {
  const x = normal(2, 3, 8), w = normal(12, 8);
  assertEquals(kernels(t.swiglu(t.linear(x, w))), ["matmul+swiglu -> f32[2,3,6]"]);
  const y = t.linear(x, w);
  assertEquals(kernels(t.swiglu(y), t.swiglu(y), t.relu(y)), [
    "matmul+swiglu -> f32[2,3,6]",
    "swiglu -> f32[2,3,6]",
    "where -> f32[2,3,12]",
  ]);
});
