/**
 * Random graphs: whatever is composed of what, values and gradients agree with the float64
 * reference. `deno task properties` runs any number of them (10,000 every night), and one by its
 * number. MOIIE_PROPERTY_CASES asks for more here.
 *
 * The mix of the 500: 420 cases of one to three operations, 40 of four to eight, 20 of ten to
 * eighteen, 20 of large tensors (see property_cases.ts); every second batch of ten at once, the
 * others as a compiled function or with the kernels meant for a real GPU. Three quarters compare the
 * gradient by one or two inputs too. More of everything would take longer than a suite may: a
 * software driver compiles 20 kernels a second.
 */
import { assertEquals, assertStringIncludes } from "@std/assert";
import * as t from "../../src/tensor/mod.ts";
import { test } from "./harness.ts";
import { checkCases, report } from "./property_check.ts";
import { Draft } from "./property_draft.ts";
import * as ref from "./reference.ts";

const CASES = Number(Deno.env.get("MOIIE_PROPERTY_CASES") ?? 500);

/** Cases of one test. */
const STEP = 100;

for (let first = 0; first < CASES; first += STEP) {
  const count = Math.min(STEP, CASES - first);
  test(`random graphs ${first} to ${first + count - 1} have the reference's values and gradients`, async () => {
    assertEquals((await checkCases(0, first, count)).join("\n\n"), "");
  });
}

test("a random graph with an operation that is wrong is found and made small", async () => {
  const d = new Draft(new t.Random(1, "wrong"), 100);
  d.input([3, 4]);
  d.add({
    name: "transpose",
    from: [0],
    device: (x) => t.transpose(x),
    reference: ref.transpose,
  });
  d.add({
    name: "sine",
    from: [1],
    device: t.sin,
    reference: (x) => ref.map(x, (v) => Math.sin(v) + 1e-3),
  });
  d.add({
    name: "sum",
    from: [2],
    device: (x) => t.sum(x),
    reference: (x) => ref.reduce(x, [0, 1], ref.total),
  });
  const text = await report(5, 40, ["sum is off"], d.graph([3]));
  assertStringIncludes(text, "case 40 of seed 5 (evaluate): sum is off");
  assertStringIncludes(text, "again: deno task properties --seed 5 --case 40");
  const [, smaller] = text.split("smaller: ");
  assertEquals(smaller.split("\n").slice(1), [
    "   0: input -> f32[4,3]",
    "   1: sine of 0 -> f32[4,3] (result)",
  ]);
});

test("a random graph with a gradient that is wrong is found", async () => {
  const d = new Draft(new t.Random(1, "wrong"), 100);
  d.input([5]);
  d.add({
    name: "square of the stopped",
    from: [0],
    device: (x) => t.mul(x, t.stopGradient(x)),
    reference: (x) => ref.map(x, (v) => v * v),
  });
  let text = "";
  for (let number = 0; number < 8 && !text.includes("smaller"); number++) {
    text = await report(5, number, [], d.graph([1]));
  }
  assertStringIncludes(text, "the gradient by 0 gives the slope");
});
