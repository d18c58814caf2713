import { assert, assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import { cellOf, interModalityRatios, patternShares } from "../../src/moe/mod.ts";
import {
  countRecords,
  gatherResults,
  idleFact,
  interModalityFindings,
  interModalityTable,
  isIdle,
  modalityInformationTable,
  noResults,
  pathwayFacts,
  patternTable,
  patternUse,
  routingBySeed,
  routingMeasuresTable,
  type RunAnalysis,
  sharedByUse,
  type StudyResults,
} from "../../src/study/mod.ts";
import { recorded } from "./recorded.ts";

/** Choices of V1, L1, S1 and S2 by layer and modality. */
type Choices = Readonly<Record<number, { image: number[]; text: number[] }>>;

/** Two seeds of MoIIE; the second one names the shared experts the other way round. */
const CHOICES: readonly Choices[] = [
  {
    1: { image: [50, 0, 90, 60], text: [0, 100, 80, 20] },
    3: { image: [9, 0, 9, 182], text: [0, 20, 90, 90] },
  },
  {
    1: { image: [54, 0, 58, 88], text: [0, 96, 24, 80] },
    3: { image: [9, 0, 182, 9], text: [0, 24, 88, 88] },
  },
];

const RESULTS: StudyResults = (() => {
  using database = recorded({ moiie: { 7: 60, 8: 61 } });
  const gathered = gatherResults(database);
  return {
    ...gathered,
    runs: gathered.runs.map((run, i) => ({
      ...run,
      routing: ["general", "ocr"].map((benchmark) => ({
        benchmark,
        layers: Object.entries(CHOICES[i]).map(([layer, counts]) => ({
          layer: Number(layer),
          modalities: Object.entries(counts).map(([name, counts]) => (
            { name, tokens: 100, counts, chanceShared: 2 / 3 }
          )),
        })),
      })),
    })),
  };
})();
const NONE = noResults("tiny");

Deno.test("countRecords() gives one record a family, and pairs that follow from the counts", () => {
  const [general, ocr] = countRecords(RESULTS, RESULTS.runs[0]);
  assertEquals([general.benchmark, ocr.benchmark], ["general", "ocr"]);
  assertEquals(cellOf(general, { layer: 1, modality: "text" }).tokens, 100);
  // 60 of 100 image tokens chose S2, so 40 chose V1 and S1.
  assertEquals(
    Object.fromEntries(patternShares(general, 1, "image").map((p) => [p.pattern, p.tokens])),
    { "V1+S1": 40, "V1+S2": 10, "S1+S2": 50 },
  );
  assert(Number.isNaN(cellOf(general, { layer: 1 }).entropy));
});

Deno.test("routingBySeed() adds families up, or takes one, or an analysis that is at hand", () => {
  const tokens = (found: ReturnType<typeof routingBySeed>) =>
    found.map(({ seed, record }) => [seed, cellOf(record, { layer: 1, modality: "image" }).tokens]);
  assertEquals(tokens(routingBySeed(RESULTS, "moiie")), [[7, 200], [8, 200]]);
  assertEquals(tokens(routingBySeed(RESULTS, "moiie", { family: "ocr" })), [[7, 100], [8, 100]]);
  assertEquals(routingBySeed(RESULTS, "dense"), []);
  const [run] = RESULTS.runs;
  const routing = countRecords(RESULTS, run).slice(0, 1);
  const analyses = [{ run: run.id, routing } as unknown as RunAnalysis];
  assertEquals(tokens(routingBySeed(RESULTS, "moiie", { analyses })), [[7, 100], [8, 200]]);
});

Deno.test("sharedByUse() orders the shared experts anew in every seed", () => {
  assertEquals(
    routingBySeed(RESULTS, "moiie").map(({ record }) => sharedByUse(record, 1)),
    [[2, 3], [3, 2]],
  );
});

Deno.test("interModalityTable() sets shares of the shared experts against chance", () => {
  const { rows, head, caption } = interModalityTable(RESULTS, "moiie");
  assertEquals(head.slice(-2), ["general", "ocr"]);
  assertEquals(rows.map((row) => row.slice(0, 3)), [
    ["1", "text", "66.7"],
    ["1", "image", "66.7"],
    ["3", "text", "66.7"],
    ["3", "image (idle)", "66.7"],
  ]);
  // 50 % and 52 % of the text tokens' choices.
  assertMatch(rows[0][3], /^51\.0 \(38\.3 to 63\.7\)$/);
  assertMatch(rows[0][4], /^-15\.7 \(-28\.4 to -3\.0\), lower$/);
  assertMatch(caption, /Idle: layer 3 is the last/);
  assertEquals(interModalityTable(NONE, "moiie").rows, []);
});

Deno.test("isIdle() is true of image tokens in the network's last layer only", () => {
  const idle = (layer: number, modality: string) => isIdle(RESULTS, "moiie", { layer, modality });
  assertEquals([idle(3, "image"), idle(3, "text"), idle(1, "image")], [true, false, false]);
  assertEquals(idleFact(NONE, "moiie"), "");
});

Deno.test("routingMeasuresTable() defines what it can measure, and leaves out what it cannot", () => {
  const { rows, caption } = routingMeasuresTable(RESULTS, "moiie");
  assertEquals(rows.map(([name]) => name), [
    "MaxVio",
    "load CV",
    "load entropy",
    "effective experts",
    "Gini",
    "dead experts",
  ]);
  // Text, layer 1: the fullest of three has 100 and 96 of 200, 1.5 and 1.44 times the mean.
  assertMatch(rows[0][3], /^0\.47 \(/);
  assertMatch(caption, /need an analysis/);
  assertEquals(routingMeasuresTable(NONE, "moiie").rows, []);
});

Deno.test("modalityInformationTable() shows what a router without preference would have", () => {
  const [[layer, , , random, shared, divergence]] = modalityInformationTable(RESULTS, "moiie").rows;
  assertEquals(layer, "1");
  // Of 6 choices 4 say nothing, 2 all: ln 2 / 3 nats, of ln 2.
  assertEquals(random, "0.33");
  assert(Number.parseFloat(shared) > 0 && Number.parseFloat(divergence) > 0);
});

Deno.test("patternUse() orders pairs by use, with shares that add up to one", () => {
  const use = patternUse(routingBySeed(RESULTS, "moiie"))
    .filter((p) => p.layer === 1 && p.modality === "text");
  assertEquals(use.map((p) => p.pattern), [
    "1st shared + 2nd shared",
    "own + 1st shared",
    "own + 2nd shared",
  ]);
  assertEquals(use[1].share.seeds, [0.8, 0.76]);
  assertAlmostEquals(use.reduce((sum, p) => sum + p.share.mean, 0), 1);
  assertAlmostEquals(use[0].chance, 1 / 3);
  assertEquals(patternTable(RESULTS, "moiie").rows.length, 12);
});

Deno.test("interModalityFindings() leaves idle layers out, and compares depth by family", () => {
  const texts = interModalityFindings(RESULTS, "moiie", { families: true }).map((f) => f.text);
  assertEquals(texts.length, 3 + 3);
  assert(texts.every((text) => !/image tokens, layer 3/.test(text)));
  assertMatch(
    texts[0],
    /^MoIIE .*: share of .* − at random, text tokens, layer 1: -15\.7 .*: lower/,
  );
  assertMatch(
    texts[3],
    /layer 3 − layer 1, .* text tokens: \+38\.0 .*: higher\. The paper: higher\.$/,
  );
  assertMatch(texts[5], /text tokens, ocr: /);
  assertEquals(interModalityFindings(NONE, "moiie"), []);
});

Deno.test("pathwayFacts() counts seeds in which both modalities prefer one shared expert", () => {
  const facts = pathwayFacts(RESULTS, "moiie");
  assertMatch(facts[0], /^Every token used at least one shared expert/);
  assertMatch(facts[1], /^Layer 1: .* most in 2 of 2 seeds; one in 2 would by chance/);
  assertMatch(facts[2], /^Idle: layer 3/);
  assertEquals(pathwayFacts(NONE, "moiie"), []);
});

Deno.test("interModalityRatios() of counts is that of the record", () => {
  const [{ record }] = routingBySeed(RESULTS, "moiie");
  const found = interModalityRatios(record).find((r) => r.layer === 1 && r.modality === "image")!;
  assertAlmostEquals(found.ratio, 0.75);
});
