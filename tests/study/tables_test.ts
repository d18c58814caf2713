import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  accuracyText,
  compareVariants,
  differenceText,
  estimate,
  PAPER_APPENDIX,
  PAPER_FIGURE_3,
  PAPER_TABLE_1,
  PAPER_TABLE_2,
  PAPER_TABLE_3,
  PAPER_TABLE_4,
  PAPER_TABLE_6,
  paperColumn,
  readResults,
  studyNamed,
  studyTables,
} from "../../src/study/mod.ts";
import { ANSWERS, resultsOf } from "./recorded.ts";

const RESULTS = new URL("../../fixtures/results/", import.meta.url).pathname;

Deno.test("compareVariants() pairs seeds, so that it sees what differs less than seeds do", () => {
  const { variants } = studyNamed("ablations");
  const rows = compareVariants(resultsOf(ANSWERS), variants);
  const [moiie, balanced, full, aux] = rows;
  assertEquals(rows.map((r) => r.variant), [
    "moiie",
    "moiie-8-balanced",
    "moiie-full",
    "moiie-aux-0.01",
  ]);
  assertEquals([moiie.difference, moiie.verdict], [undefined, undefined]);
  assertAlmostEquals(moiie.accuracy.mean, 0.6, 1e-12);
  assertEquals([balanced.verdict, full.verdict], ["no difference shown", "higher"]);
  assertAlmostEquals(full.difference!.mean, 0.02, 1e-12);
  // t(0.975, 2) = 4.302653, differences 2, 2.5 and 1.5: s = 0.5.
  assertAlmostEquals(full.difference!.high!, 0.02 + 4.302653 * 0.005 / Math.sqrt(3), 1e-8);
  assertEquals([aux.verdict, aux.difference!.n], ["one seed: no interval", 1]);
  const reversed = compareVariants(resultsOf(ANSWERS), variants, { reference: "moiie-full" });
  assertEquals(reversed[0].verdict, "lower");
});

Deno.test("studyTables() derives the tables of table 4", () => {
  const [accuracy, differences, families] = studyTables(
    studyNamed("ablations"),
    resultsOf(ANSWERS),
  );
  assertEquals(accuracy.head, ["variant", "seeds", "val %", "comp %", "style %", "paper %"]);
  assertEquals(accuracy.rows[0], [
    "MoIIE (1V+1L+2S)",
    "3",
    ...Array(3).fill("60.0 (35.2 to 84.8)"),
    "63.7",
  ]);
  assertEquals(accuracy.rows[3], ["MoIIE, coefficient 0.01", "1", "40.0", "40.0", "40.0", "63.2"]);
  assertEquals(accuracy.rows[4], ["blind floor", "", "25.0", "25.0", "25.0", ""]);
  assertEquals(differences.rows, [
    [
      "MoIIE (2V+2L+4S)",
      "MoIIE (1V+1L+2S)",
      "3",
      ...Array(3).fill("0.0 (-2.5 to +2.5), no difference shown"),
      "+0.2",
    ],
    [
      "MoIIE in all layers",
      "MoIIE (1V+1L+2S)",
      "3",
      ...Array(3).fill("+2.0 (+0.8 to +3.2), higher"),
      "-0.1",
    ],
    [
      "MoIIE, coefficient 0.01",
      "MoIIE (1V+1L+2S)",
      "1",
      ...Array(3).fill("-20.0, one seed: no interval"),
      "-0.5",
    ],
  ]);
  assertEquals(families.head.slice(1), ["general %", "ocr %", "knowledge %", "hallucination %"]);
  assertEquals(families.rows.length, 5);
});

Deno.test("studyTables() of the paper holds the tables of every study with results", () => {
  const names = studyTables(studyNamed("paper"), resultsOf(ANSWERS)).map((t) => t.name);
  assert(names.includes("ablations-accuracy") && names.includes("auxiliary-differences"));
  assert(!names.some((name) => name.startsWith("scale-differences")), names.join());
  const { message } = assertThrows(
    () => studyTables({ ...studyNamed("main"), variants: [] }, resultsOf(ANSWERS)),
    RangeError,
  );
  assert(message.includes("no results of the study main"), message);
});

Deno.test("numbers are written with their sign and interval", () => {
  assertEquals(accuracyText(estimate([0.5])), "50.0");
  assertEquals(differenceText(estimate([0.0001, 0.0001])), "0.0 (0.0 to 0.0), higher");
  assertEquals(differenceText(estimate([-0.5])), "-50.0, one seed: no interval");
  assertEquals(differenceText(estimate([0, 0])), "0.0 (0.0 to 0.0), no difference shown");
});

Deno.test("the paper's averages are the means of its scores, to rounding", () => {
  const tables = [PAPER_TABLE_1, PAPER_TABLE_3, PAPER_TABLE_4, PAPER_APPENDIX];
  let checked = 0;
  for (const { scores, average } of tables.flat()) {
    const values = Object.values(scores);
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    assert(Math.abs(mean - average) < 0.0551, `${mean} is printed as ${average}`);
    checked++;
  }
  for (const { scores, average } of PAPER_FIGURE_3.filter((r) => r.millions === 1.3)) {
    const values = Object.values(scores);
    assertAlmostEquals(values.reduce((a, b) => a + b, 0) / values.length, average, 0.05);
    checked++;
  }
  assertEquals(checked, 12 + 2 + 5 + 8 + 4);
  assertEquals(PAPER_FIGURE_3.length, 12);
  const ours = PAPER_TABLE_4.at(-1)!.average;
  for (const { average, difference } of PAPER_TABLE_4) {
    assertAlmostEquals(average - ours, difference, 1e-9);
  }
  assertEquals(PAPER_TABLE_2.map((r) => [r.activated, r.total]).at(-1), [11.3, 16]);
  assertEquals(PAPER_TABLE_2[1].scores.gqa, undefined);
  assertEquals(PAPER_TABLE_6.find((r) => r.kept === "vision")!.scores.textvqa, 64);
});

Deno.test("paperColumn() finds the paper's number for each variant that has one", () => {
  const value = (study: string, variant: string) => paperColumn(study)!.values[variant];
  assertEquals(value("main", "moiie"), { average: 60, difference: 0 });
  assertEquals(value("main", "dense"), { average: 58.8, difference: -1.2 });
  assertEquals(value("main", "blind"), undefined);
  assertEquals(value("ablations", "moiie-8-balanced"), { average: 63.9, difference: 0.2 });
  assertEquals(value("ablations", "moiie-8-unbalanced"), { average: 63.5, difference: -0.2 });
  assertEquals(value("stages", "three-stage"), { average: 57.9, difference: -1.1 });
  assertEquals(value("scale", "vanilla-data-0.48"), { average: 57.97, difference: -0.33 });
  assertEquals(value("scale", "vanilla"), { average: 61.2, difference: -0.6 });
  assertEquals(paperColumn("paper"), undefined);
});

const recordings = [...Deno.readDirSync(RESULTS)].filter((f) => f.name.startsWith("study_"));

Deno.test({
  name: "the tables of the recorded studies follow from their answers",
  ignore: recordings.length === 0,
  async fn() {
    for (const results of await readResults(RESULTS)) {
      for (const { name, rows, head } of studyTables(studyNamed("paper"), results)) {
        assert(rows.every((row) => row.length === head.length), name);
        if (!name.endsWith("-accuracy")) continue;
        for (const [label, seeds, val] of rows) {
          const variant = results.variants.find((v) => v.label === label);
          if (!variant) continue;
          const means = results.runs.filter((r) => r.variant === variant.name).map((r) => {
            const shares = Object.values(r.answers.val).map((a) => a.correct / a.n);
            return shares.reduce((a, b) => a + b, 0) / shares.length;
          });
          assertEquals(seeds, String(means.length));
          const mean = 100 * means.reduce((a, b) => a + b, 0) / means.length;
          assert(val.startsWith(mean.toFixed(1)), `${name}, ${label}: ${val}, not ${mean}`);
        }
      }
    }
  },
});
