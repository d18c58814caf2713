import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { lvlmConfig, publishedModel, summarize } from "../../src/models/mod.ts";
import { dense, moiie } from "../../src/moe/mod.ts";
import {
  accountingTable,
  costTable,
  foundInParameters,
  parameterParts,
  stepTimes,
  timeTable,
} from "../../src/notebook/mod.ts";
import { gatherResults, noResults, studyPart, variantNamed } from "../../src/study/mod.ts";
import { recorded } from "../study/recorded.ts";

const A5B = { name: "MoIIE-A5B", config: publishedModel("phi-3-mini", moiie()) };

Deno.test("parameterParts() leaves nothing out", () => {
  const parts = parameterParts(A5B.config), { total, active } = summarize(A5B.config);
  assertEquals(parts.reduce((n, p) => n + p.total, 0), total);
  assertEquals(parts.reduce((n, p) => n + p.active, 0), active);
  assertEquals(parts.find((p) => p.part === "connector")?.total, 12_982_272);
});

Deno.test("accountingTable() ends with the sums, and leaves free what a model has not", () => {
  const plain = { name: "dense", config: publishedModel("phi-3-mini", dense()) };
  const { rows } = accountingTable([plain, A5B]);
  assertEquals(rows.at(-1), [
    "all",
    "4,262,287,424",
    "4,262,287,424",
    "7,886,460,992",
    "5,470,394,432",
  ]);
  assertEquals(rows.find(([part]) => part === "routers"), [
    "routers",
    "",
    "",
    "294,912",
    "147,456",
  ]);
  assertEquals(rows.at(-2)![0], "language head");
});

Deno.test("costTable() gives operations in three digits", () => {
  const [[name, , , share, token, picture]] = costTable([A5B], 1000).rows;
  // 2 · 4,930,486,272 weights and 32 · 4 · 1000 · 3072 of attention.
  assertEquals([name, share, token, picture], ["MoIIE-A5B", "69 %", "10.3 G", "685 G"]);
  const tiny = costTable([{ name: "tiny", config: lvlmConfig("tiny") }]).rows[0];
  assertMatch(tiny[4], /^\d{3} k$/);
});

Deno.test("foundInParameters() compares what was counted with the paper's numbers", () => {
  const lines = String(foundInParameters()).split("\n");
  assertMatch(lines[0], /5,470,394,432 .* 5\.5 B to its last digit/);
  assertMatch(lines[1], /7,886,460,992 .* 7 B is the same, cut off, or .* \(7\.45 B\), rounded/);
  assertMatch(lines[2], /11,298,759,744 .* 11\.3 B to its last digit/);
  assertMatch(lines[3], /16,936,100,928 /);
  assertMatch(lines[4], /16\.3 % fewer .* 13\.5 B/);
});

Deno.test("timeTable() divides the time of runs by their steps", () => {
  const study = studyPart("ablations", ["moiie", "moiie-full"]);
  using database = recorded({ moiie: { 7: 60, 8: 61 } });
  const found = timeTable(gatherResults(database), study);
  assert("rows" in found);
  // 2 s for the 70 steps that the recorded runs have of their own.
  assertEquals(found.rows, [["MoIIE (1V+1L+2S)", "2", "29", "29 to 29"]]);
  assertMatch(String(timeTable(noResults("tiny"), study)), /^\*Not recorded yet/);
});

Deno.test("stepTimes() times steps of models that have what was counted", async () => {
  const [cost] = await stepTimes([variantNamed("moiie")], { steps: 3 });
  assertEquals(cost.name, "MoIIE (1V+1L+2S)");
  assertEquals(cost.built, cost.parts.reduce((n, p) => n + p.total, 0));
  assert(cost.msPerStep! > 0);
  await assertRejects(() => stepTimes([], { steps: 2 }), RangeError, "2 steps");
  assertThrows(() => costTable([A5B], 0), RangeError);
});
