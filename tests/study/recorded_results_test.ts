import { assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  accuracies,
  FIRST_STAGE,
  gatherResults,
  loadFindings,
  loadRows,
  loads,
  loadTable,
  noResults,
  paperTable,
  type StudyResults,
  studyResults,
  withFirstStage,
  writeResults,
} from "../../src/study/mod.ts";
import { recorded } from "./recorded.ts";

const ANSWERS = { moiie: { 7: 60, 8: 62 }, "moiie-full": { 7: 61, 8: 60 } };

function resultsOf(device?: string, answers: Record<string, Record<number, number>> = ANSWERS) {
  using database = recorded(answers, { device });
  return gatherResults(database);
}

Deno.test("studyResults() reads files, folders and databases, and of several devices one", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await writeResults(`${folder}/study_tiny_a.json`, resultsOf("a", { moiie: { 7: 60 } }));
    await writeResults(`${folder}/study_tiny_b.json`, resultsOf("b"));
    assertEquals((await studyResults("tiny", { from: folder })).devices, ["b"]);
    assertEquals((await studyResults("tiny", { from: folder, device: "a" })).devices, ["a"]);
    assertEquals(
      (await studyResults("tiny", { from: `${folder}/study_tiny_a.json` })).runs.length,
      1,
    );
    recorded(ANSWERS, { path: `${folder}/x.db` }).close();
    assertEquals((await studyResults("tiny", { from: `${folder}/x.db` })).runs.length, 4);
    await assertRejects(
      () => studyResults("tiny", { from: folder, device: "c" }),
      RangeError,
      "a, b",
    );
    await assertRejects(() => studyResults("small", { from: folder }), RangeError, "no results");
    await assertRejects(
      () => studyResults("tiny", { from: `${folder}/y.db` }),
      Deno.errors.NotFound,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("studyResults() without anything recorded is empty", async () => {
  assertEquals(await studyResults("full"), noResults("full"));
});

/** Results whose routing is set by hand: choices of V1, L1, S1, S2. */
function routed(image: number[], text: number[]): StudyResults {
  const results = resultsOf();
  const layers = [0, 1].map((layer) => ({
    layer,
    modalities: [
      { name: "image", tokens: 1, chanceShared: 0.5, counts: layer === 0 ? image : [1, 0, 1, 1] },
      { name: "text", tokens: 1, chanceShared: 0.5, counts: text },
    ],
  }));
  // The halves of every count in two families: they must be added up.
  const routing = ["ocr", "general"].map((benchmark) => ({ benchmark, layers }));
  return { ...results, runs: results.runs.map((run) => ({ ...run, routing })) };
}

Deno.test("loadRows() measures each modality over its own pool, families added up", () => {
  const rows = loadRows(routed([4, 0, 2, 0], [0, 1, 1, 1]), "moiie");
  assertEquals(rows.length, 2 * 2 * 2); // seeds, layers, modalities
  const image = rows.find((r) => r.layer === 0 && r.modality === "image" && r.seed === 7)!;
  // V1, S1, S2 got 8, 4, 0: the mean is 4.
  assertEquals([image.experts, image.maxVio, image.trivial], [3, 1, false]);
  assertAlmostEquals(image.dead, 1 / 3, 1e-12);
  assertAlmostEquals(image.cv, Math.sqrt(2 / 3), 1e-12);
  const text = rows.find((r) => r.layer === 0 && r.modality === "text")!;
  assertEquals([text.maxVio, text.dead], [0, 0]);
  assertEquals(loadRows(routed([1, 0, 1, 1], [0, 1, 1, 1]), "dense"), []);
});

Deno.test("loads() are means over layers, by seed", () => {
  const results = routed([4, 0, 2, 0], [0, 1, 1, 1]);
  assertEquals(loads(results, "moiie", { modality: "image" }), new Map([[7, 0.5], [8, 0.5]]));
  const { rows } = loadTable(results, "ablations");
  assertEquals(rows.map((r) => r.slice(0, 3)), [
    ["MoIIE (1V+1L+2S)", "2", "0.50"],
    ["MoIIE in all layers", "2", "0.50"],
  ]);
  const said = loadFindings(results, "ablations").filter((f) => f.verdict).map((f) => f.text);
  assertEquals(
    said[0],
    "MoIIE in all layers − MoIIE (1V+1L+2S), MaxVio of image tokens: " +
      "0.00 (0.00 to 0.00), n = 2 seeds: no difference shown.",
  );
  assertEquals(said.length, 2);
});

Deno.test("withFirstStage() makes a variant of the shared first stages", () => {
  const results = resultsOf();
  assertEquals(withFirstStage(results), results); // without answers there is nothing to add
  const answers = { val: { ocr: { correct: 1, n: 4 } } };
  const connectors = results.connectors.map((c) => ({ ...c, answers }));
  const more = withFirstStage({ ...results, connectors });
  assertEquals(accuracies(more, FIRST_STAGE.name), new Map([[7, 0.25], [8, 0.25]]));
  assertEquals(more.runs.length, results.runs.length + 2);
  assertEquals(more.variants[0].config.placement, "none");
});

Deno.test("paperTable() prints the paper's names and numbers", () => {
  const { head, rows } = paperTable("table 4", (r) => r.ablated !== "");
  assertEquals(head.slice(0, 4), ["aspect", "original", "changed to", "MMBench"]);
  assertEquals(rows[0].slice(-2), ["63.9", "+0.2"]);
  assertEquals(rows.length, 4);
  const comparison = paperTable("table 1", (r) => r.millions === 2.7);
  assertEquals(comparison.head.slice(0, 2), ["model", "MMBench"]);
  assertEquals(
    comparison.caption,
    "The paper's table 1, in percent; M samples 2.7; language model Phi-3-mini; " +
      "vision encoder SigLIP-So400m-384; average: mean of the 13 benchmarks. " +
      "One run each, no intervals.",
  );
  assertEquals(paperTable("table 5").head, ["setting", "stage 1", "stage 2"]);
  const mixtures = paperTable("table 2");
  assertEquals(mixtures.head.slice(0, 3), ["model", "B activated", "B in all"]);
  assertEquals(mixtures.rows[0][1], ""); // not reported
  assertThrows(() => paperTable("table 1", () => false), RangeError);
  assertThrows(() => paperTable("table 9" as "table 1"), RangeError);
});
