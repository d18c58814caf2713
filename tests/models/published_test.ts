import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  type Placement,
  publishedModel,
  type PublishedName,
  summarize,
} from "../../src/models/mod.ts";
import { dense, modalityMoe, moiie, type PoolTable, vanillaMoe } from "../../src/moe/mod.ts";

/** Rows of the accounting: parameters with Phi-3-mini and with LLaMA3-8B. */
const ROWS: readonly [part: string, phi3: number, llama3: number][] = [
  ["vision encoder", 428_225_600, 428_225_600],
  ["connector", 12_982_272, 21_504_000],
  ["token embedding", 98_500_608, 525_336_576],
  ["language head", 98_500_608, 525_336_576],
  ["attention", 1_207_959_552, 1_342_177_280],
  ["norms", 199_680, 266_240],
  ["dense FFN", 1_207_959_552, 2_818_572_288],
  ["experts (moiie)", 4_831_838_208, 11_274_289_152],
  ["routers", 294_912, 393_216],
];

const NAMES: readonly PublishedName[] = ["phi-3-mini", "llama3-8b"];

NAMES.forEach((name, column) => {
  Deno.test(`publishedModel() has the parameters of every part when it is ${name}`, () => {
    const { rows } = summarize(publishedModel(name, moiie()));
    assertEquals(
      rows.map(({ part, total }) => [part, total]).sort(),
      ROWS.map((row) => [row[0], row[1 + column]]).sort(),
    );
  });
});

Deno.test("publishedModel() has the paper's totals to the digit", () => {
  const [small, large] = NAMES.map((name) => summarize(publishedModel(name, moiie())));
  assertEquals([small.active, small.total], [5_470_394_432, 7_886_460_992]);
  assertEquals([large.active, large.total], [11_298_759_744, 16_936_100_928]);
});

Deno.test("publishedModel() has the language model's totals to the digit", () => {
  const language = (name: PublishedName) =>
    summarize(publishedModel(name, moiie())).rows
      .filter(({ part }) => part !== "vision encoder" && part !== "connector");
  const sum = (name: PublishedName, count: "total" | "active") =>
    language(name).reduce((n, row) => n + row[count], 0);
  assertEquals(NAMES.map((name) => sum(name, "total")), [7_445_253_120, 16_486_371_328]);
  assertEquals(NAMES.map((name) => sum(name, "active")), [5_029_186_560, 10_849_030_144]);
});

Deno.test("publishedModel() takes one FFN of the language model as an expert", () => {
  NAMES.forEach((name, i) => {
    const experts = summarize(publishedModel(name, moiie())).rows
      .find(({ part }) => part.startsWith("experts"))!;
    assertEquals(experts.total / (16 * 4), [75_497_472, 176_160_768][i]);
    assertEquals(experts.active, 16 * 2 * [75_497_472, 176_160_768][i]);
  });
});

Deno.test("publishedModel() has a vision tower whose parts are those of SigLIP", () => {
  const config = publishedModel("phi-3-mini", moiie());
  const size = (change: Partial<typeof config.vision>) =>
    summarize({ ...config, vision: { ...config.vision, ...change } }).rows[0].total;
  const whole = size({});
  assertEquals(whole - size({ pooling: false }), 15_238_352);
  assertEquals(size({ pooling: false }) - size({ pooling: false, layers: 0 }), 411_466_608);
  const lastNorm = 2_304;
  assertEquals(size({ pooling: false, layers: 0 }) - lastNorm, 1_518_336);
  // What the features of the last block but one need.
  assertEquals(size({ pooling: false, layers: 26 }) - lastNorm, 397_745_440);
});

/** Variants in billions, all and activated, with Phi-3-mini and with LLaMA3-8B. */
const VARIANTS: readonly {
  name: string;
  ffn: PoolTable;
  placement?: Placement;
  billions: readonly [number, number, number, number];
}[] = [
  { name: "Dense", ffn: dense(), billions: [4.262, 4.262, 8.480, 8.480] },
  { name: "Vanilla MoE", ffn: vanillaMoe(), billions: [7.886, 5.470, 16.936, 11.299] },
  {
    name: "Modality MoE, 1 + 1",
    ffn: modalityMoe({ vision: 1, language: 1 }),
    billions: [5.470, 4.262, 11.299, 8.480],
  },
  { name: "Modality MoE, 2 + 2", ffn: modalityMoe(), billions: [7.886, 5.470, 16.936, 11.299] },
  {
    name: "MoIIE in all layers",
    ffn: moiie(),
    placement: "full",
    billions: [11.511, 6.679, 25.392, 14.118],
  },
  {
    name: "MoIIE of 8 experts",
    ffn: moiie({ vision: 2, language: 2, shared: 4 }),
    billions: [12.719, 5.471, 28.211, 11.299],
  },
];

for (const { name, ffn, placement, billions } of VARIANTS) {
  Deno.test(`publishedModel() counts ${name}`, () => {
    const found = NAMES.flatMap((model) => {
      const { total, active } = summarize(publishedModel(model, ffn, placement));
      return [total / 1e9, active / 1e9];
    });
    found.forEach((n, i) => assertAlmostEquals(n, billions[i], 5.1e-4, `${name}, number ${i}`));
  });
}

Deno.test("publishedModel() names the models that there are when another is asked for", () => {
  assertThrows(() => publishedModel("phi-3" as PublishedName, moiie()), RangeError, "phi-3-mini");
  assertThrows(() => publishedModel("phi-3-mini", moiie(), [32]), RangeError, "layer 32 of 32");
});
