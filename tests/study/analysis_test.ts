import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { addRecords, cellOf, modalityMoe, moiie, vanillaMoe } from "../../src/moe/mod.ts";
import {
  analyseExperts,
  balanceInputs,
  denseVectors,
  expertChoices,
  expertScores,
  loadInputs,
  mergeAnalyses,
  pathInputs,
  planStudy,
  readAnalyses,
  recordedSteps,
  type RunAnalysis,
  storeAnalysis,
  storedAnalyses,
  StudyDatabase,
  studyNamed,
  summaryOf,
  trainingRouting,
  type VariantScores,
  writeAnalyses,
} from "../../src/study/mod.ts";
import {
  activationProportions,
  balanceMetrics,
  expertAnalysis,
  loadOverTraining,
  pathFlow,
  pathways,
} from "../../src/plot/mod.ts";
import { DATA, smallest } from "../train/shared.ts";
import "../nn/shared.ts";
import { knownModel, randomModel } from "./shared.ts";

Deno.test("expertChoices() names every expert, and groups of several", () => {
  const names = (table: Parameters<typeof expertChoices>[0]) => new Set(expertChoices(table));
  assertEquals(names(moiie()), new Set(["V1", "L1", "S1", "S2", "shared"]));
  assertEquals(names(modalityMoe({ vision: 1, language: 1 })), new Set(["V1", "L1"]));
  assertEquals(
    names(moiie({ split: 2 })),
    new Set(["V1", "L1", "S1", "S2", "shared"]),
  );
  assertEquals(
    names(moiie({ vision: 3, language: 3, shared: 3 })),
    new Set(["V1", "vision", "L1", "language", "S1", "shared"]),
  );
  assertEquals(names(vanillaMoe()).size, 5);
});

Deno.test("analyseExperts() of a model whose experts give nothing finds the same accuracy without them", async () => {
  const model = await knownModel(DATA);
  const found = await analyseExperts(model, DATA, { limit: 3, initial: await denseVectors(model) });
  assert(found.full.macro > 0, "the model knows some answers");
  assertEquals(found.kept.map((s) => s.which), expertChoices(model.config.ffn));
  assertEquals(found.ablated.map((s) => s.which), expertChoices(model.config.ffn));
  for (const { macro, families } of [...found.kept, ...found.ablated]) {
    assertEquals(macro, found.full.macro);
    assertEquals(families, found.full.families);
  }
  assertEquals(found.kept.find((s) => s.which === "S2")!.group, "shared");
  assertEquals(found.routing.map((r) => r.benchmark), [...DATA.families]);
  assertEquals(found.weights.map((w) => w.layer), [0, 1]);
  // The model itself still has all its experts and weights.
  const again = await analyseExperts(model, DATA, { limit: 3 });
  assertEquals(again.full, found.full);
  assertEquals(again.routing, found.routing);
});

Deno.test("analyseExperts() refuses a dense model", async () => {
  await assertRejects(() => analyseExperts(smallest(), DATA, { limit: 1 }), RangeError);
});

/** Analyses of two seeds, the second with other accuracies. */
async function analyses(): Promise<RunAnalysis[]> {
  const found = await analyseExperts(await randomModel(DATA), DATA, { limit: 2 });
  const shift = (s: VariantScores): VariantScores => ({ ...s, macro: s.macro + 0.1 });
  const first = { ...found, run: "a", variant: "moiie", label: "MoIIE", seed: 7 };
  const second = {
    ...first,
    run: "b",
    seed: 8,
    full: shift(first.full),
    kept: first.kept.map(shift),
  };
  return [first, second];
}
const ANALYSES = await analyses();

Deno.test("analyses are stored with a study, replaced, merged, and written as JSON", async () => {
  const folder = await Deno.makeTempDir();
  try {
    using a = new StudyDatabase(`${folder}/a.db`);
    using b = new StudyDatabase(`${folder}/b.db`);
    const plans = planStudy(studyNamed("ablations"), { seeds: [7, 8], steps: 2 })
      .filter((p) => p.kind === "model" && p.variant === "moiie");
    for (const database of [a, b]) database.plan("ablations", plans);
    const found = ANALYSES.map(({ run: _, variant: __, label: ___, seed: ____, ...rest }) => rest);
    for (const i of [0, 1, 0]) storeAnalysis(a, plans[i].id, found[i]);
    assertEquals(storedAnalyses(a).map((x) => [x.variant, x.seed]), [["moiie", 7], ["moiie", 8]]);
    const { run, variant: _, label, seed: __, ...stored } = storedAnalyses(a)[0];
    assertEquals([run, label], [plans[0].id, plans[0].label]);
    assertEquals(stored, JSON.parse(JSON.stringify(found[0])));
    storeAnalysis(b, plans[1].id, found[1]);
    assertEquals([mergeAnalyses(a, b), mergeAnalyses(a, b)], [1, 0]);
    assertEquals(storedAnalyses(b).map((x) => x.run), plans.map((p) => p.id));
    await writeAnalyses(`${folder}/a.json`, storedAnalyses(a));
    const [read] = await readAnalyses(`${folder}/a.json`);
    assertEquals(read.kept.map((s) => s.which), ANALYSES[0].kept.map((s) => s.which));
    assertEquals(cellOf(read.routing[0]).choices, cellOf(ANALYSES[0].routing[0]).choices);
    await Deno.writeTextFile(`${folder}/x.json`, "{}");
    await assertRejects(() => readAnalyses(`${folder}/x.json`), SyntaxError, "no expert analyses");
    const [record] = ANALYSES[0].routing;
    const steps = ["1", "2", "2"].map((stage, step) => ({ stage, step, routing: record }));
    a.setExtra(plans[0].id, "training", recordedSteps([...steps, { stage: "2", step: 9 }]));
    assertEquals(trainingRouting(a, plans[0].id).map((s) => s.step), [1, 2]);
    assertEquals(trainingRouting(a, plans[0].id, "1").map((s) => s.step), [0]);
    assertEquals(trainingRouting(a, plans[1].id), []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("expertScores() are means over seeds in percent, with intervals and the full model beside", () => {
  const [mean, family] = expertScores(ANALYSES, { variant: "moiie" });
  const [a] = ANALYSES;
  assertEquals(mean.benchmark, "mean");
  assertEquals(mean.rows.map((r) => r.kept).at(-1), "mean of shared");
  mean.rows.forEach((row, i) => {
    assertEquals(row.n, 2);
    assert(Math.abs(row.mean - 100 * (a.kept[i].macro + 0.05)) < 1e-9);
    assert(row.low! < row.mean && row.mean < row.high!);
  });
  assertEquals(family.rows[0].low, family.rows[0].high);
  const without = expertScores(ANALYSES, { variant: "moiie", from: "ablated" });
  assertStringIncludes(without[0].rows[0].kept, "without ");
  const rows = [{ name: "shared experts", variant: "moiie", which: "S1" }];
  assertEquals(
    expertScores(ANALYSES, { variant: "moiie", rows })[0].rows[0].kept,
    "shared experts",
  );
  assertThrows(() => expertScores(ANALYSES, { variant: "vanilla" }), RangeError, "study analyse");
  const unknown = [{ variant: "moiie", which: "S9" }];
  assertThrows(() => expertScores(ANALYSES, { variant: "moiie", rows: unknown }), RangeError, "S9");
});

Deno.test("the figures draw what was found", () => {
  const [a, b] = ANALYSES;
  const summaries = a.routing.map(summaryOf);
  const training = [0, 50].map((step) => ({ stage: "2", step, routing: a.routing[0] }));
  const figures = [
    pathways(summaries),
    activationProportions(summaries),
    balanceMetrics([a, b].flatMap((x) => balanceInputs(addRecords(x.routing), x.seed))),
    pathFlow(pathInputs(a)),
    pathFlow(pathInputs(a, "pattern")),
    expertAnalysis(expertScores(ANALYSES, { variant: "moiie" })),
    loadOverTraining(loadInputs(training)),
  ];
  for (const { data } of figures) assert(data.length > 0);
  assertEquals(loadInputs([]), []);
  for (const { steps, shares } of loadInputs(training)) {
    assertEquals(steps, [0, 50]);
    const sum = shares.reduce((n, row) => n + row[0], 0);
    assert(Math.abs(sum - 1) < 1e-12);
  }
});
