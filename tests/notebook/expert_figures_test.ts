import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import {
  expertFigure,
  expertTable,
  foundIn,
  notAnalysed,
  pathFigure,
  pathwayFigure,
  routingTable,
} from "../../src/notebook/mod.ts";
import { describeFigure, isFigure } from "../../src/plot/mod.ts";
import { findingOf, gatherResults, noResults, type RunAnalysis } from "../../src/study/mod.ts";
import { recorded } from "../study/recorded.ts";

const RESULTS = (() => {
  using database = recorded({ moiie: { 7: 60, 8: 70 } });
  return gatherResults(database);
})();
const NONE = noResults("tiny");

const scores = (which: string, group: string, macro: number) => ({
  which,
  group,
  macro,
  families: { ocr: { accuracy: macro, correct: 0, n: 0, low: 0, high: 1 } },
});

const analysis = (variant: string, seed: number): RunAnalysis => ({
  run: `${variant}-${seed}`,
  variant,
  label: variant,
  seed,
  split: "val",
  full: scores("all", "mixed", 0.7),
  kept: ["V1", "L1", "S1"].map((name, i) => scores(name, name, 0.5 + i / 100 + seed / 1000)),
  ablated: [scores("V1", "vision", 0.6)],
  routing: [],
  paths: [{
    modality: "text",
    layers: [1, 3],
    tokens: 10,
    paths: [{ experts: ["L1", "S1"], tokens: 7 }],
    patterns: [{ experts: ["L1+S1", "S1+S2"], tokens: 6 }],
    across: [],
    vocabulary: [],
  }],
  weights: [],
});
const MOIIE = [analysis("moiie", 7), analysis("moiie", 8)];
const BOTH = [...MOIIE, analysis("modality-hard", 7)];

Deno.test("figures and tables of experts are a sentence where nothing is recorded", () => {
  for (const kind of ["shared", "measures", "information", "pairs"] as const) {
    assertMatch(String(routingTable(NONE, "moiie", kind)), /^\*Not recorded yet: experts of moiie/);
  }
  assertMatch(String(pathwayFigure(NONE)), /^\*Not recorded yet/);
  const without = [
    pathFigure([]),
    expertFigure([]),
    expertTable([]),
    expertTable([], "moiie", "drift"),
    expertFigure(BOTH, "dense"),
  ];
  for (const value of without) assertStringIncludes(String(value), "`deno task study analyse`");
  assertEquals(String(foundIn(NONE, [])), "*Nothing is recorded yet, so nothing is said.*");
});

Deno.test("the paper's way names the model that was not analysed", () => {
  const text = String(notAnalysed("modality-hard"));
  assertEquals(String(expertTable(MOIIE, "moiie", "paper")), text);
  assertEquals(String(expertFigure(MOIIE, "moiie", "paper")), text);
  const figure = expertFigure(BOTH, "moiie", "paper");
  assert(isFigure(figure));
  assertMatch(JSON.stringify(figure.layout), /paper, table 6/);
});

Deno.test("pathwayFigure() is of one run, and marks what a modality may not use", () => {
  const figure = pathwayFigure(RESULTS, "moiie", 8);
  assert(isFigure(figure));
  assertMatch(describeFigure(figure), /seed 8/);
  assertMatch(JSON.stringify(figure.data), /×/);
  assertMatch(String(pathwayFigure(RESULTS, "moiie", 9)), /^\*Not recorded yet/);
});

Deno.test("pathFigure() draws likeliest experts, or all that were chosen", () => {
  const text = (entry: "first" | "pattern") =>
    JSON.stringify(pathFigure(MOIIE, "moiie", { seed: 8, entry }));
  assertMatch(text("first"), /seed 8.*L1 → S1/);
  assertMatch(text("pattern"), /L1\+S1 → S1\+S2/);
});

Deno.test("foundIn() puts facts behind the findings, and sets off what was shown", () => {
  const shown = { mean: 0.1, low: 0.05, high: 0.15, n: 2, seeds: [0.05, 0.15] };
  const finding = findingOf({ label: "a", reference: "b", what: "c", difference: shown });
  const lines = String(foundIn(RESULTS, [finding], ["A fact."])).split("\n");
  assertEquals(lines.slice(0, 2), [
    "- **a − b, c: +10.0 points (+5.0 to +15.0), n = 2 seeds: higher.**",
    "- A fact.",
  ]);
  assertMatch(lines.at(-1)!, /^- Recorded at scale tiny/);
});
