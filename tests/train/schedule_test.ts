import { assertAlmostEquals, assertEquals } from "@std/assert";
import { constantWithWarmup, cosineWithWarmup, linearWithWarmup } from "../../src/train/mod.ts";

const steps = [0, 1, 2, 3, 4, 5, 6];

Deno.test("constantWithWarmup() rises in equal steps and stays", () => {
  assertEquals(steps.map(constantWithWarmup(4)), [0, 0.25, 0.5, 0.75, 1, 1, 1]);
  assertEquals(steps.map(constantWithWarmup(0)), [1, 1, 1, 1, 1, 1, 1]);
});

Deno.test("linearWithWarmup() rises, then falls to 0 at the total and stays there", () => {
  assertEquals(steps.map(linearWithWarmup(2, 6)), [0, 0.5, 1, 0.75, 0.5, 0.25, 0]);
  assertEquals(linearWithWarmup(2, 6)(9), 0);
});

Deno.test("cosineWithWarmup() rises, then falls as half a cosine to 0 at the total", () => {
  const at = cosineWithWarmup(2, 6), half = Math.SQRT1_2 / 2;
  const want = [0, 0.5, 1, 0.5 + half, 0.5, 0.5 - half, 0];
  steps.forEach((step) => assertAlmostEquals(at(step), want[step], 1e-15));
});

Deno.test("cosineWithWarmup() ends at a share of the rate, or makes several waves, when asked to", () => {
  const least = cosineWithWarmup(0, 10, 0.5, 0.1);
  assertAlmostEquals(least(0), 1, 1e-15);
  assertAlmostEquals(least(5), 0.55, 1e-15);
  assertAlmostEquals(least(10), 0.1, 1e-15);
  const waves = cosineWithWarmup(0, 12, 1.5);
  [1, 0.5, 0, 0.5, 1, 0.5, 0].forEach((want, i) => assertAlmostEquals(waves(2 * i), want, 1e-15));
});

Deno.test("schedules make no NaN when there are no steps behind the warm-up", () => {
  for (const at of [cosineWithWarmup(3, 3), linearWithWarmup(3, 3)]) {
    assertEquals([0, 1, 2].map(at), [0, 1 / 3, 2 / 3]);
    assertEquals(Number.isFinite(at(3)), true);
  }
});
