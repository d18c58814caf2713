/** How many kernels a layer becomes, and how many have to be compiled: fusion must not come undone. */
import { assertEquals, assertLessOrEqual } from "@std/assert";
import {
  applyFeedForward,
  makeFeedForward,
  moiie,
  type PoolTable,
  vanillaMoe,
} from "../../src/moe/mod.ts";
import { parameters } from "../../src/nn/mod.ts";
import { explain, type Explanation, gradients, Random, sum, tensor } from "../../src/tensor/mod.ts";
import "../nn/shared.ts";

const TOKENS = 256, WIDTH = 128, HIDDEN = 512;

/** The plan of a layer of experts, half of the tokens image tokens. */
function planned(table: PoolTable, backward: boolean): Explanation {
  const layer = makeFeedForward(new Random(1, "layer"), table, { width: WIDTH, hidden: HIDDEN });
  const x = tensor(new Random(2, "x").normals(TOKENS * WIDTH), { shape: [TOKENS, WIDTH] });
  const modality = tensor(Int32Array.from({ length: TOKENS }, (_, i) => i % 2));
  const { y } = applyFeedForward(layer, x, { modality });
  if (!backward) return explain([y], { wgsl: true });
  const loss = sum(y);
  return explain([loss, ...gradients(loss, [x, ...parameters(layer).values()])], { wgsl: true });
}

const texts = ({ steps }: Explanation): number => new Set(steps.map(({ wgsl }) => wgsl)).size;

Deno.test("routing takes four kernels from the router's outputs to the rows of the experts", () => {
  const operations = planned(moiie(), false).steps.map(({ kernel }) => kernel.split(" ->")[0]);
  const router = operations.indexOf("matmul"),
    experts = operations.indexOf("grouped_matmul+swiglu");
  assertEquals(operations.slice(router + 1, experts), [
    "where+softmax_stats",
    "top_few+take_along+sum+div",
    "sort_by_group",
    "dispatch_rows",
  ]);
});

Deno.test("MoIIE needs one kernel more than vanilla MoE: it joins its routers' weights", () => {
  const ours = planned(moiie(), false), vanilla = planned(vanillaMoe(), false);
  assertEquals(ours.dispatches, vanilla.dispatches + 1);
});

Deno.test("forward and backward of a layer of experts compile few kernels", () => {
  const plan = planned(moiie(), true);
  assertLessOrEqual(plan.dispatches, 27);
  assertLessOrEqual(texts(plan), 24);
});
