import { assert, assertEquals } from "@std/assert";
import {
  type Lvlm,
  type LvlmConfig,
  lvlmConfig,
  makeLvlm,
  modelParameters,
  summarize,
  upcycle,
} from "../../src/models/mod.ts";
import { dense, modalityMoe, moiie, vanillaMoe } from "../../src/moe/mod.ts";
import { Random } from "../../src/tensor/mod.ts";
import "../nn/shared.ts";
import { mixture, thimble } from "./shared.ts";

/**
 * Elements of a built model, and those of them that one token uses: of each layer top-k experts and
 * the larger router.
 */
function counted(model: Lvlm): { total: number; active: number } {
  let total = 0, idle = 0;
  for (const t of modelParameters(model).values()) total += t.size;
  for (const { ffn: { table, routers, gateUp, down } } of model.language.blocks) {
    idle += (gateUp.size + down.size) * (1 - table.topK / table.experts.length);
    const sizes = routers.map((r) => r.size).sort((a, b) => b - a);
    idle += sizes.slice(1).reduce((a, b) => a + b, 0);
  }
  return { total, active: total - idle };
}

const TABLES = {
  dense: dense(),
  vanilla: vanillaMoe(),
  "vanilla of one expert": vanillaMoe({ experts: 1, topK: 1 }),
  "modality 2 + 2": modalityMoe(),
  "modality 1 + 1": modalityMoe({ vision: 1, language: 1 }),
  MoIIE: moiie(),
  "MoIIE 3/3/2 top-3": moiie({ vision: 3, language: 3, shared: 2, topK: 3 }),
  "MoIIE in slices": moiie({ split: 3 }),
  "MoIIE with always-on experts": moiie({ alwaysOn: { experts: 2, gate: true } }),
  "MoIIE with one expert for images": moiie({ vision: 0, language: 1, shared: 1, topK: 1 }),
};

for (const [name, ffn] of Object.entries(TABLES)) {
  for (const placement of ["interleaved", "full", "none", [0, 3]] as const) {
    Deno.test(`summarize() counts what a built model has when it is ${name}, placed ${placement}`, async () => {
      const config = thimble({ ffn, placement });
      const { total, active, rows } = summarize(config);
      const model = await mixture(config);
      assertEquals({ total, active }, counted(model));
      assertEquals(rows.reduce((n, r) => n + r.total, 0), total);
      assert(rows.every((r) => r.active <= r.total));
    });
  }
}

Deno.test("summarize() counts what a built model has when it is a preset", async () => {
  for (const preset of ["tiny", "small"]) {
    const config = lvlmConfig(preset, { ffn: moiie() });
    const model = await upcycle(makeLvlm(new Random(1), config), new Random(1));
    const { total, active } = summarize(config);
    assertEquals({ total, active }, counted(model));
  }
});

/** The paper's models: SigLIP so400m/14-384 with Phi-3-mini or LLaMA3-8B. */
function published(language: Partial<LvlmConfig["language"]>, placement?: "full"): LvlmConfig {
  return lvlmConfig("tiny", {
    ffn: moiie(),
    placement,
    vision: { imageSize: 27 * 14, patch: 14, width: 1152, layers: 27, heads: 16, hidden: 4304 },
    language: { layers: 32, heads: 32, ...language },
  });
}

Deno.test("summarize() gives the published model's numbers when it has the sizes of Phi-3-mini", () => {
  const phi3 = { vocabulary: 32064, width: 3072, hidden: 8192 };
  const { rows, total, active } = summarize(published(phi3));
  const part = (name: string) => rows.find((r) => r.part === name)!;
  // Without SigLIP's pooling head of 15,238,352, which this encoder does not have.
  assertEquals(part("vision encoder").total, 428_225_600 - 15_238_352);
  assertEquals(part("connector").total, 12_982_272);
  assertEquals(part("token embedding").total, 98_500_608);
  assertEquals(part("language head").total, 98_500_608);
  assertEquals(part("attention").total, 1_207_959_552);
  assertEquals(part("norms").total, 199_680);
  assertEquals(part("dense FFN").total, 1_207_959_552);
  assertEquals(part("experts (moiie)").total, 4_831_838_208);
  assertEquals(part("routers").total, 294_912);
  assertEquals(total, 7_886_460_992 - 15_238_352);
  assertEquals(active, 5_470_394_432 - 15_238_352);
  const full = summarize(published(phi3, "full"));
  assertEquals([full.total, full.active].map((n) => (n / 1e9).toFixed(2)), ["11.50", "6.66"]);
});
