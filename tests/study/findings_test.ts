import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { countFindings, findingOf, findings, studyNamed, studyPart } from "../../src/study/mod.ts";
import { ANSWERS, resultsOf } from "./recorded.ts";

Deno.test("findings() say what intervals allow, and name what was not run", () => {
  const texts = findings(resultsOf(ANSWERS), "ablations", { splits: ["val"] }).map((f) => f.text);
  assertEquals(texts, [
    "MoIIE (2V+2L+4S) − MoIIE (1V+1L+2S), val: 0.0 points (-2.5 to +2.5), n = 3 seeds: " +
    "no difference shown. The paper: +0.2, without an interval.",
    "MoIIE (3V+3L+2S) − MoIIE (1V+1L+2S): not recorded, so nothing is said about it.",
    "MoIIE in all layers − MoIIE (1V+1L+2S), val: +2.0 points (+0.8 to +3.2), n = 3 seeds: higher. " +
    "The paper: -0.1, without an interval.",
    "MoIIE, coefficient 0.01 − MoIIE (1V+1L+2S), val: -20.0 points, one seed: no interval. " +
    "The paper: -0.5, without an interval.",
  ]);
});

Deno.test("findings() of a part are about its first variant, the paper's number too", () => {
  const part = studyPart("ablations", ["moiie-8-balanced", "moiie-full"]);
  const [one] = findings(resultsOf(ANSWERS), part, { splits: ["val"] });
  assertMatch(one.text, /^MoIIE in all layers − MoIIE \(2V\+2L\+4S\), val: \+2\.0 points/);
  assertMatch(one.text, /The paper: -0\.3/); // 63.6 - 63.9
  assertEquals(one.difference?.n, 3);
});

Deno.test("findings() of a family name it, and leave the paper out", () => {
  const options = { splits: ["style"], family: "ocr" };
  const [one] = findings(resultsOf(ANSWERS), "ablations", options);
  assertMatch(one.text, /, ocr, style: 0\.0 points \([^)]*\), n = 3 seeds: no difference shown\.$/);
});

Deno.test("findings() without the first variant say nothing about any", () => {
  const { "moiie-full": full } = ANSWERS;
  const list = findings(resultsOf({ "moiie-full": full }), "ablations");
  assertEquals(list.length, 4);
  assertEquals(list.filter((f) => f.verdict !== undefined), []);
});

Deno.test("findingOf() writes other measures with their own numbers", () => {
  const parts = { label: "a", reference: "b", what: "MaxVio", number: (x: number) => x.toFixed(2) };
  const difference = { mean: -0.5, low: -0.75, high: -0.25, n: 4, seeds: [] };
  assertEquals(
    findingOf({ ...parts, difference }).text,
    "a − b, MaxVio: -0.50 (-0.75 to -0.25), n = 4 seeds: lower.",
  );
});

Deno.test("countFindings() counts intervals, and what chance would give", () => {
  const results = resultsOf(ANSWERS);
  const list = findings(results, "ablations");
  assertEquals(
    countFindings(list),
    "3 of 6 intervals exclude zero; if nothing differed, about 0.3 of 6 would by chance.",
  );
  assertEquals(countFindings([]), "");
});

Deno.test("studyPart() keeps the order given; unknown variants throw RangeError", () => {
  const part = studyPart(studyNamed("ablations"), ["moiie-full", "moiie"]);
  assertEquals(part.variants.map((v) => v.name), ["moiie-full", "moiie"]);
  assertEquals(part.name, "ablations");
  assertThrows(() => studyPart("ablations", ["moiie-ful"]), RangeError, 'mean "moiie-full"');
  assertThrows(() => studyPart("ablation", []), RangeError, 'mean "ablations"');
});
