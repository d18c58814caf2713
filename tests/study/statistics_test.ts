import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { estimate, pairedDifference, verdict, wilson } from "../../src/study/mod.ts";

Deno.test("wilson() gives the intervals that Newcombe (1998) prints", () => {
  // Statistics in Medicine 17: 857-872, table I, method 3.
  const printed = [
    [81, 263, 0.2553, 0.3662],
    [15, 148, 0.0624, 0.1605],
    [0, 20, 0, 0.1611],
    [1, 29, 0.0061, 0.1718],
  ];
  for (const [correct, n, low, high] of printed) {
    const got = wilson(correct, n);
    assertAlmostEquals(got[0], low, 5e-5);
    assertAlmostEquals(got[1], high, 5e-5);
  }
});

Deno.test("wilson() is the mirror image when right and wrong change places, and holds the share", () => {
  for (const n of [1, 7, 100]) {
    for (let correct = 0; correct <= n; correct++) {
      const [low, high] = wilson(correct, n), [mirrorLow, mirrorHigh] = wilson(n - correct, n);
      assertAlmostEquals(low, 1 - mirrorHigh, 1e-12);
      assertAlmostEquals(high, 1 - mirrorLow, 1e-12);
      assert(low >= 0 && low <= correct / n + 1e-12 && correct / n <= high + 1e-12 && high <= 1);
    }
  }
});

Deno.test("wilson() says nothing when nothing was asked", () => {
  assertEquals(wilson(0, 0), [0, 1]);
});

Deno.test("estimate() gives the t intervals of printed quantiles", () => {
  // t(0.975, df) as tables print it; the values 1 … n have s² = n (n + 1) / 12.
  const printed = [[2, 12.7062], [3, 4.3027], [5, 2.7764], [10, 2.2622], [31, 2.0423]];
  for (const [n, t] of printed) {
    const { mean, low, high, n: count } = estimate(Array.from({ length: n }, (_, i) => i + 1));
    const half = t * Math.sqrt((n + 1) / 12);
    assertEquals([mean, count], [(n + 1) / 2, n]);
    assertAlmostEquals(low!, mean - half, 1e-4 * half);
    assertAlmostEquals(high!, mean + half, 1e-4 * half);
  }
});

Deno.test("estimate() gives no interval of one value, and nothing of none", () => {
  assertEquals(estimate([0.5]), { mean: 0.5, n: 1, seeds: [0.5] });
  assertThrows(() => estimate([]), RangeError, "no values");
});

Deno.test("pairedDifference() gives the interval of Student's sleep data", () => {
  // Student (1908), Biometrika 6: hours of sleep gained by ten patients with two drugs. R prints
  // t.test(paired = TRUE): mean -1.58, 95 % interval -2.4598858 to -0.7001142.
  const first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0];
  const second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];
  const bySeed = (values: number[]) => new Map(values.map((v, i) => [i, v]));
  const difference = pairedDifference(bySeed(first), bySeed(second))!;
  assertAlmostEquals(difference.mean, -1.58, 1e-12);
  assertAlmostEquals(difference.low!, -2.4598858, 1e-6);
  assertAlmostEquals(difference.high!, -0.7001142, 1e-6);
  assertEquals(verdict(difference), "lower");
});

Deno.test("pairedDifference() compares the seeds that both have, whatever their order", () => {
  const a = new Map([[9, 3], [7, 1], [8, 2]]), b = new Map([[7, 0.5], [9, 1], [1, 5]]);
  assertEquals(pairedDifference(a, b)!.seeds, [0.5, 2]);
  assertEquals(pairedDifference(a, new Map([[1, 1]])), undefined);
});

Deno.test("verdict() claims a difference only when the interval leaves zero out", () => {
  assertEquals(verdict({ low: 0.1, high: 2 }), "higher");
  assertEquals(verdict({ low: -2, high: -0.1 }), "lower");
  for (const [low, high] of [[-1, 1], [0, 1], [-1, 0], [0, 0]]) {
    assertEquals(verdict({ low, high }), "no difference shown");
  }
  assertEquals(verdict({}), "one seed: no interval");
});
