import { assert, assertEquals } from "@std/assert";
import { questionBatches } from "../../src/data/mod.ts";
import { type Lvlm, makeLvlm, upcycle } from "../../src/models/mod.ts";
import { modalityMoe, moiie } from "../../src/moe/mod.ts";
import { recordRouting, type RoutingSummary } from "../../src/study/mod.ts";
import { Random } from "../../src/tensor/mod.ts";
import "../nn/shared.ts";
import { DATA, smallest } from "../train/shared.ts";
import { configOf, randomModel } from "./shared.ts";

/** Rows and text tokens of a family's questions, counted from the batches. */
function tokensOf(family: string, limit = Infinity) {
  const batches = questionBatches(DATA, "val", {
    tokenizer: DATA.tokenizer,
    length: 48,
    imageTokens: 16,
    batchSize: 50,
    families: [family as "ocr"],
    limit,
  });
  let image = 0, text = 0;
  for (const { batch } of batches) {
    batch.valid.forEach((v, i) => {
      if (v === 1 && batch.modality[i] === 1) image++;
      if (v === 1 && batch.modality[i] === 0) text++;
    });
  }
  return { image, text };
}

const sum = (xs: readonly number[]) => xs.reduce((a, b) => a + b, 0);

function check(summaries: RoutingSummary[], model: Lvlm, limit?: number): void {
  const { ffn } = model.config;
  assertEquals(summaries.map((s) => s.benchmark), [...DATA.families]);
  for (const { benchmark, experts, layers } of summaries) {
    assertEquals(experts, ffn.experts);
    const tokens: Record<string, number> = tokensOf(benchmark!, limit);
    for (const { modalities } of layers) {
      assertEquals(modalities.map((m) => m.name), ["text", "image"]);
      modalities.forEach(({ name, tokens: routed, counts }, m) => {
        assertEquals(routed, tokens[name], `${benchmark} ${name}`);
        assertEquals(sum(counts), routed * ffn.topK);
        counts.forEach((c, e) => {
          if (!ffn.pools[m].experts.includes(e)) assertEquals(c, 0);
          assert(c <= routed);
        });
      });
    }
  }
}

Deno.test("recordRouting() counts k choices of every token of each family, in each mixture layer", async () => {
  const model = await randomModel(DATA);
  const summaries = await recordRouting(model, DATA);
  check(summaries, model);
  for (const { layers } of summaries) {
    assertEquals(layers.map((l) => l.layer), [0, 1]);
    for (const { modalities } of layers) {
      assertEquals(modalities.map((m) => m.chanceShared), [2 / 3, 2 / 3]);
    }
  }
  const used = summaries[0].layers[0].modalities[0].counts.filter((c) => c > 0).length;
  assert(used >= 2, "decisive routers choose different experts");
});

Deno.test("recordRouting() counts the same whatever the size of the batches", async () => {
  const model = await randomModel(DATA);
  const few = await recordRouting(model, DATA, { batchSize: 4, limit: 6 });
  check(few, model, 6);
  assertEquals(few, await recordRouting(model, DATA, { limit: 6 }));
});

Deno.test("recordRouting() counts hard assignments too", async () => {
  const config = configOf(DATA, modalityMoe({ vision: 1, language: 1 }));
  const model = await upcycle(makeLvlm(new Random(1), config), new Random(1));
  const [general] = await recordRouting(model, DATA, { limit: 2 });
  const [text, image] = general.layers[0].modalities;
  assertEquals([text.counts, image.counts], [[0, text.tokens], [image.tokens, 0]]);
  assertEquals([text.chanceShared, image.chanceShared], [0, 0]);
});

Deno.test("recordRouting() records nothing when no layer is a mixture", async () => {
  assertEquals(await recordRouting(smallest({ ffn: moiie() }), DATA), []);
});
