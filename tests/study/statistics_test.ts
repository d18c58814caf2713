import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { wilson } from "../../src/study/mod.ts";

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
