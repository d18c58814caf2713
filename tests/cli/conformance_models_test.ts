import { assertEquals } from "@std/assert";
import { routerResults } from "../../src/cli/conformance/router_results.ts";
import { moiie, type Routing, vanillaMoe } from "../../src/moe/mod.ts";
import { tensor } from "../../src/tensor/mod.ts";
import { session } from "../nn/shared.ts";

/** Routing of three tokens: image, text, image. */
function routing(table: Routing["table"], chosen: number[]): Routing {
  const experts = table.experts.length;
  const scores = Float32Array.from({ length: 3 * experts }, (_, i) => i);
  const floats = (n: number) => tensor(new Float32Array(3 * n), { shape: [3, n] });
  return {
    table,
    modality: tensor(Int32Array.from([1, 0, 1])),
    scores: tensor(scores, { shape: [3, experts] }),
    probabilities: floats(experts),
    chosen: tensor(Int32Array.from(chosen), { shape: [3, 2] }),
    weights: floats(2),
  };
}

Deno.test("routerResults() holds every token and expert when there is one router", async () => {
  assertEquals(session.seed, 7);
  const found = await routerResults([routing(vanillaMoe(), [0, 1, 3, 2, 1, 0])], [1, 0, 1]);
  assertEquals([...found.keys()], ["router_logits.0", "selected.router_logits.0"]);
  const logits = found.get("router_logits.0")!, selected = found.get("selected.router_logits.0")!;
  assertEquals([logits.shape, logits.rows], [[3, 4], [1, 0, 1]]);
  assertEquals(logits.values, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  assertEquals(selected.values, [0, 1, 3, 2, 1, 0]);
});

Deno.test("routerResults() holds a modality's tokens and pool when there are two routers", async () => {
  const table = moiie();
  const [text, image] = table.pools.map((p) => [...p.experts]);
  const chosen = [image[0], image[2], text[2], text[0], image[1], image[0]];
  const found = await routerResults([routing(table, chosen)], undefined);
  const read = (name: string) => found.get(name)!;
  assertEquals(read("lan_router_logits.0").values, text.map((e) => 4 + e));
  assertEquals(read("vis_router_logits.0").shape, [2, 3]);
  assertEquals(
    read("vis_router_logits.0").values,
    [0, 8].flatMap((at) => image.map((e) => at + e)),
  );
  assertEquals(read("selected.lan_router_logits.0").values, [2, 0]);
  assertEquals(read("selected.vis_router_logits.0").values, [0, 2, 1, 0]);
});
