/** The kernels that are meant for real GPUs, run wherever the tests run. */
import { assertEquals } from "@std/assert";
import * as t from "../../src/tensor/mod.ts";
import { assertNear, test } from "./harness.ts";
import { computedFor } from "./with_target.ts";

/** Compares the kernels for a GPU without a known subgroup size with those that this device gets. */
async function compare(name: string, ...roots: t.Tensor[]): Promise<void> {
  const got = await computedFor({ software: false, subgroup: undefined }, roots);
  await t.evaluate(...roots);
  for (const [i, root] of roots.entries()) {
    const want = await root.data();
    if (root.dtype === "f32") assertNear(got[i], want, `${name}, result ${i}`, 1e-5);
    else assertEquals(got[i], want, `${name}, result ${i}`);
  }
}

const random = new t.Random(6, "hardware");
const normal = (...shape: number[]): t.Tensor =>
  t.tensor(random.normals(t.sizeOf(shape)), { shape });

test("products of all sizes and layouts agree", async () => {
  for (const [m, k, n] of [[64, 16, 64], [65, 33, 3], [3, 300, 129]]) {
    const a = normal(m, k), b = normal(k, n), c = normal(n, k);
    await compare(`${m} ${k} ${n}`, t.matmul(a, b), t.matmul(a, t.transpose(c)));
  }
  const q = normal(2, 3, 70, 8), k = normal(2, 1, 70, 8);
  await compare(
    "batches",
    t.matmul(q, t.transpose(k)),
    t.gelu(t.add(t.matmul(normal(5, 6), normal(6, 7)), normal(7))),
  );
});

test("grouped products agree for all tile sizes", async () => {
  const tokens = 150, count = 5, d = 20, inner = 70;
  const chosen = Int32Array.from({ length: tokens }, () => Math.min(count - 1, random.int(7)));
  const x = normal(tokens, d), w = normal(count, inner, d);
  for (const tile of [16, 32, 64]) {
    const map = t.sortByGroup(t.tensor(chosen), count, tile);
    const y = t.combineRows(t.groupedMatmul(t.dispatchRows(x, map, 1), w, map), map, 1);
    const [dx, dw] = t.gradients(t.sum(t.sin(y)), [x, w]);
    await compare(`tiles of ${tile}`, y, dx, dw);
  }
});

test("reductions, selections and scatters agree", async () => {
  for (const shape of [[3, 5000], [5000, 3], [2, 300, 7]]) {
    const x = normal(...shape), axes = shape.length > 1 ? 1 : 0;
    await compare(
      `${shape}`,
      t.sum(x),
      t.sum(x, { axes }),
      t.max(x, { axes: 0 }),
      t.logSumExp(x, { axes }),
      t.softmax(x, axes),
    );
  }
  const x = normal(100, 12),
    index = t.tensor(Int32Array.from({ length: 100 }, () => random.int(90)));
  const { values, indices } = t.topK(x, 3);
  await compare(
    "choice",
    values,
    indices,
    t.indexAdd(x, index, 90),
    t.scatterAdd(x, t.topK(x, 12).indices, 15, 1),
  );
});
