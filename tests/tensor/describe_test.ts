import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { add, describe, tensor } from "../../src/tensor/mod.ts";
import { test } from "./harness.ts";

Deno.test("describe() gives statistics of the finite values and counts the others", async () => {
  const t = tensor([1, 2, 3, 4, 0, NaN, Infinity, -Infinity], { shape: [2, 4], name: "x" });
  const d = await describe(t);
  assertEquals([d.name, d.dtype, [...d.shape], d.bytes], ["x", "f32", [2, 4], 32]);
  assertEquals([d.nan, d.infinite, d.zeros, d.min, d.max, d.mean], [1, 2, 1, 0, 4, 2]);
  assertAlmostEquals(d.std, Math.sqrt(2), 1e-12);
  assertEquals(d.histogram.range, [0, 4]);
  // 24 parts of a sixth each: the values 0 to 4 fall into every sixth, the last into the last.
  assertEquals(d.histogram.counts.flatMap((n, i) => n ? [i] : []), [0, 6, 12, 18, 23]);
});

Deno.test("describe() keeps its digits when the mean is large", async () => {
  const d = await describe(tensor([1e6 - 1, 1e6, 1e6 + 1]));
  assertAlmostEquals(d.std, Math.sqrt(2 / 3), 1e-9);
});

Deno.test("describe() gives NaN when there is no finite value, and one part when all are equal", async () => {
  const none = await describe(tensor([], { shape: [0, 3] }));
  assert([none.min, none.max, none.mean, none.std].every(Number.isNaN));
  const same = await describe(tensor([2, 2, 2]));
  assertEquals([same.min, same.max, same.std, same.histogram.counts[0]], [2, 2, 0, 3]);
});

test("describe() computes what is not computed yet", async () => {
  const d = await describe(add(tensor([1, 2]), tensor([10, 20])));
  assertEquals([...d.values], [11, 22]);
});
