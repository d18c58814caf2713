import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import {
  expertDriftTable,
  expertFindings,
  expertScoresTable,
  expertSimilarityTable,
  gatherResults,
  idleExperts,
  noResults,
  paperWayTable,
  type RunAnalysis,
  studyAnalyses,
  writeAnalyses,
} from "../../src/study/mod.ts";
import { recorded } from "./recorded.ts";

const scores = (which: string, group: string, accuracy: number) => ({
  which,
  group,
  macro: accuracy,
  families: { ocr: { accuracy, correct: 0, n: 0, low: 0, high: 1 } },
});

/** A run whose shared experts do as well as all, and others worse, by half a point more each seed. */
function analysis(variant: string, seed: number, run = `${variant}-${seed}`): RunAnalysis {
  const off = (seed - 7) / 200;
  const kept = variant === "moiie"
    ? [
      scores("V1", "vision", 0.5 + off),
      scores("L1", "language", 0.52 - off),
      scores("S1", "shared", 0.6),
      scores("S2", "shared", 0.6),
      scores("shared", "shared", 0.61),
    ]
    : [scores("V1", "vision", 0.4 + off), scores("L1", "language", 0.45)];
  return {
    run,
    variant,
    label: variant,
    seed,
    split: "val",
    full: scores("all", "mixed", 0.62 + off),
    kept,
    ablated: variant === "moiie" ? [scores("S1", "shared", 0.55)] : [],
    routing: [],
    paths: [],
    weights: [{
      layer: 3,
      experts: ["V1", "L1", "S1", "S2"],
      cosine: [[1, 0.9, 0.8, 0.6], [0.9, 1, 0.9, 0.9], [0.8, 0.9, 1, 0.5], [0.6, 0.9, 0.5, 1]],
      learned: [[NaN, NaN, NaN, NaN], [NaN, 1, 0.2, 0.4], [NaN, 0.2, 1, 0.1], [NaN, 0.4, 0.1, 1]],
      drift: [0, 0.1, 0.2, 0.4],
    }],
  };
}

const MOIIE = [7, 8, 9].map((seed) => analysis("moiie", seed));
const BOTH = [...MOIIE, ...[7, 8, 9].map((seed) => analysis("modality-hard", seed))];

Deno.test("expertScoresTable() compares every changed model with the whole, seed by seed", () => {
  const { rows, head } = expertScoresTable(MOIIE, "moiie");
  assertEquals(rows.map(([name]) => name), [
    "all experts",
    "V1 alone",
    "L1 alone",
    "S1 alone",
    "S2 alone",
    "mean of shared",
    "without S1",
  ]);
  assertEquals(rows[1].slice(1, 2), ["3"]);
  assertEquals(rows[1][3], "-12.0 (-12.0 to -12.0), lower");
  assertEquals(head.at(-1), "ocr %");
  assertEquals(expertScoresTable([], "moiie").rows, []);
});

Deno.test("paperWayTable() takes experts of two models, beside the paper's", () => {
  assertEquals(paperWayTable(BOTH).rows.map((row) => [row[0], row[2], ...row.slice(5)]), [
    ["textual experts", "3", "72.9", "-1.2"],
    ["visual experts", "3", "73.6", "-0.5"],
    ["shared experts", "3", "74.1", ""],
  ]);
});

Deno.test("expertFindings() names what was not analysed, and gives the paper's difference", () => {
  const few = expertFindings(MOIIE, "moiie"), all = expertFindings(BOTH, "moiie");
  assertEquals(few.filter((f) => !f.verdict).length, 2);
  assertMatch(few[0].text, /^V1 alone − mean of the shared experts, val: -10\.5 .*: lower\.$/);
  assertMatch(all.at(-2)!.text, /^visual experts .* lower\. The paper, MMBench: -0\.5, without/);
  assert(all.every((f) => f.verdict));
});

Deno.test("expertSimilarityTable() takes pairs of groups together, expertDriftTable() groups", () => {
  const similar = Object.fromEntries(
    expertSimilarityTable(MOIIE, "moiie").rows.map(([, kind, ...rest]) => [kind, rest]),
  );
  assertEquals(similar["V–S"], ["0.700", "one never moved"]);
  assertEquals(similar["L–S"], ["0.900", "0.300"]);
  assertEquals(similar["S–S"], ["0.500", "0.100"]);
  assertEquals(expertDriftTable(MOIIE, "moiie").rows, [["3", "0.000", "0.100", "0.300"]]);
  assertMatch(idleExperts(MOIIE, "moiie")[0], /none of 3 seeds: V1 of layer 3\./);
  assertEquals(idleExperts([], "moiie"), []);
});

Deno.test("studyAnalyses() reads those of the results' runs, and none where there are none", async () => {
  using database = recorded({ moiie: { 7: 60 } });
  const results = gatherResults(database);
  const folder = await Deno.makeTempDir();
  try {
    const mine = analysis("moiie", 7, results.runs[0].id);
    await writeAnalyses(`${folder}/analysis_tiny_llvmpipe.json`, [mine, analysis("moiie", 8)]);
    const found = await studyAnalyses(results, folder);
    assertEquals(found.map((a) => a.run), [results.runs[0].id]);
    assertEquals((await studyAnalyses(noResults("tiny"), folder)).length, 0);
    await assertRejects(() => studyAnalyses(results, `${folder}/none`), Error, "ENOENT");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
