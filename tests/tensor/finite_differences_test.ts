import { assertEquals, assertGreater } from "@std/assert";
import * as nn from "../../src/nn/mod.ts";
import { GRADIENT_RULES } from "../../src/tensor/gradient_rules.ts";
import * as t from "../../src/tensor/mod.ts";
import { type Check, check, slopes } from "./finite_differences.ts";
import { CHECKS, WITHOUT } from "./finite_differences_table.ts";
import { normal, test } from "./harness.ts";

/** Functions computed together. */
const BATCH = 25;

const ALL = Object.entries(CHECKS).flatMap(([name, list]) =>
  list.map((c, i): [string, Check] => [list.length > 1 ? `${name}, ${i + 1}` : name, c])
);

/** Operations that gradients went through so far. */
const operations = new Set<string>();

for (let i = 0; i < ALL.length; i += BATCH) {
  const part = ALL.slice(i, i + BATCH);
  test(`gradients are the slopes of ${part[0][0]} to ${part.at(-1)![0]}`, async () => {
    const wrong: string[] = [];
    for (const s of await slopes(part)) {
      s.operations.forEach((op) => operations.add(op));
      if (!(Math.abs(s.got - s.wanted) <= s.limit)) {
        wrong.push(`${s.name}: gradient gives ${s.got}, differences ${s.wanted} (± ${s.limit})`);
      }
    }
    assertEquals(wrong, []);
  });
}

test("every gradient rule was checked against differences", () => {
  assertEquals(Object.keys(GRADIENT_RULES).filter((op) => !operations.has(op)), []);
});

Deno.test("every exported function is differentiated, or listed with the reason why not", () => {
  const exported = Object.entries({ ...t, ...nn }).filter(([, it]) => typeof it === "function")
    .map(([name]) => name);
  const known = new Set([...Object.keys(CHECKS), ...Object.keys(WITHOUT)]);
  assertGreater(exported.length, 100);
  assertEquals(exported.filter((name) => !known.has(name)), [], "neither checked nor listed");
  assertEquals([...known].filter((name) => !exported.includes(name)), [], "no longer exported");
  assertEquals(Object.keys(CHECKS).filter((name) => name in WITHOUT), [], "checked and listed");
});

test("a gradient that is wrong is not the slope", async () => {
  const [s] = await slopes([["x²", check((x) => t.mul(x, t.stopGradient(x)), normal(5))]]);
  assertGreater(Math.abs(s.got - s.wanted), 100 * s.limit);
});
