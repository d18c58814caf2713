import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import {
  balanceFigure,
  bullets,
  dataScaleFigure,
  differenceFigure,
  familyFigure,
  foundHere,
  loadTable,
  lossFigure,
  parameterFigure,
  routingFigure,
  studyTable,
  trainingLoadFigure,
  trainStudy,
} from "../../src/notebook/mod.ts";
import { describeFigure, type Figure, isFigure } from "../../src/plot/mod.ts";
import { gatherResults, noResults, studyNamed, studyPart } from "../../src/study/mod.ts";
import { recorded } from "../study/recorded.ts";

/** Full is better by 2 in every seed but for noise; the other variants were not run. */
const ANSWERS = {
  moiie: { 7: 60, 8: 70, 9: 50 },
  "moiie-full": { 7: 62, 8: 72.5, 9: 51.5 },
};

const RESULTS = (() => {
  using database = recorded(ANSWERS);
  return gatherResults(database);
})();
const NONE = noResults("tiny");

/** The values of a figure's series by their names. */
function seriesOf(figure: unknown, axis: "x" | "y" = "y"): Record<string, unknown> {
  assert(isFigure(figure), String(figure));
  return Object.fromEntries(figure.data.map((trace) => [trace.name, trace[axis]]));
}

Deno.test("studyTable() names the variants that were not run", () => {
  const text = String(studyTable(RESULTS, "ablations"));
  assertMatch(text, /^MoIIE in all layers +3 +62\.0 \(35\.9 to 88\.1\)/m);
  assertMatch(text, /Not recorded yet: MoIIE \(2V\+2L\+4S\), .*coefficient 0\.01\.$/);
  assertMatch(String(studyTable(RESULTS, "ablations", "differences")), /\+2\.0 \(.*higher/);
});

Deno.test("tables, figures and findings are a sentence where nothing is recorded", () => {
  const shown = [
    studyTable(NONE, "main"),
    loadTable(NONE, "main"),
    lossFigure(NONE, "main"),
    familyFigure(NONE, "main"),
    differenceFigure(NONE, "main"),
    parameterFigure(NONE, "main"),
    foundHere(NONE, "main"),
  ];
  for (const value of shown) {
    assertStringIncludes(String(value), "Not recorded yet: Architectures (paper, table 1).");
    assertStringIncludes(String(value), "`deno task study main`");
  }
  for (const value of [routingFigure(NONE), balanceFigure(NONE)]) {
    assertMatch(String(value), /^\*Not recorded yet/);
  }
  const alone = String(studyTable(RESULTS, studyPart("ablations", ["moiie"]), "differences"));
  assertMatch(alone, /^\*No differences yet/);
});

Deno.test("foundHere() sets off what was shown, and gathers what was not run", () => {
  const lines = String(foundHere(RESULTS, "ablations", { splits: ["val"] })).split("\n");
  assertMatch(lines[0], /^- \*\*MoIIE in all layers .* higher\. The paper: -0\.1.*\*\*$/);
  assertMatch(
    lines[1],
    /^- Not recorded, so nothing is said: .*; .*; .*0\.01 \(less MoIIE \(1V\+1L\+2S\)\)\.$/,
  );
  assertMatch(lines[2], /^- 1 of 1 intervals exclude zero/);
  assertMatch(lines[3], /^- Recorded at scale tiny on llvmpipe/);
  assertEquals(lines.length, 4);
});

Deno.test("lossFigure() has a line for each variant and a band where there are seeds", () => {
  const figure = lossFigure(RESULTS, "ablations");
  assert(isFigure(figure));
  const text = describeFigure(figure);
  assertMatch(text, /MoIIE \(1V\+1L\+2S\).*ends at/);
  assertEquals(figure.data.filter((t) => t.name?.endsWith(", band")).length, 4); // whole and end
});

Deno.test("familyFigure() draws percentages above the floors", () => {
  const series = seriesOf(familyFigure(RESULTS, "ablations", ["val", "style"]));
  assertEquals(series["MoIIE in all layers"], [62, 62, 62, 62]);
  assertEquals(series["blind floor"], [0, 1, 2, 3].flatMap(() => [25, 25, null]).slice(0, 12));
});

Deno.test("differenceFigure() draws points, and the paper's difference to the same variant", () => {
  const series = seriesOf(differenceFigure(RESULTS, "ablations"), "x");
  assertEquals(series["difference shown"], [2]);
  assertEquals(series["paper (no interval given)"], [-0.1]);
  const part = studyPart("ablations", ["moiie-full", "moiie"]);
  const reversed = seriesOf(differenceFigure(RESULTS, part), "x");
  assertEquals(reversed["difference shown"], [-2]);
  assertEquals(reversed["paper (no interval given)"], [0.1]);
});

Deno.test("dataScaleFigure() has the paper's panel alone until more than one share is recorded", () => {
  const moiie = (figure: Figure) => figure.data.filter((t) => t.name === "MoIIE").map((t) => t.y);
  const paper = [58.3, 60.4, 61.8];
  assertEquals(moiie(dataScaleFigure(RESULTS)), [paper]);
  const study = studyNamed("scale");
  using database = recorded({ moiie: { 7: 60 }, "moiie-data-0.48": { 7: 50 } }, { study });
  assertEquals(moiie(dataScaleFigure(gatherResults(database))), [[50, 60], paper]);
});

Deno.test("trainingLoadFigure() draws a run that recorded its load, and says of how many", () => {
  const load = [{
    stage: "2",
    layer: 1,
    modality: "image",
    step: [0, 50],
    shares: [[0.5, 0.25], [0.25, 0.25], [0.25, 0.5]],
  }];
  const some = {
    ...RESULTS,
    runs: RESULTS.runs.map((r) => r.variant === "moiie" && r.seed > 7 ? { ...r, load } : r),
  };
  const figure = trainingLoadFigure(some, "moiie");
  assertEquals(seriesOf(figure)["V1 (vision)"], [0.5, 0.25]);
  assert(isFigure(figure));
  const { text } = figure.layout.title as { text: string };
  assertStringIncludes(text, "MoIIE (1V+1L+2S), seed 8 (one of 2 that recorded it, of 3 runs)");
  assertStringIncludes(String(trainingLoadFigure(some, "moiie", 7)), "seed 7, which 2 of 3 runs");
  assertStringIncludes(String(trainingLoadFigure(some, "moiie-full")), "0 of 3 runs");
  assertMatch(String(trainingLoadFigure(some, "vanilla")), /^\*Not recorded yet/);
});

Deno.test("parameterFigure() stacks all parameters of a model", () => {
  const figure = parameterFigure(RESULTS, studyPart("ablations", ["moiie"]));
  assert(isFigure(figure));
  // The tiny MoIIE has 546,048 parameters, and a token uses 410,496.
  assertMatch(JSON.stringify(figure.layout), /546/);
  assertMatch(JSON.stringify(figure.layout), /410/);
});

Deno.test("bullets() writes one line an item", () => {
  assertEquals(String(bullets(["a", "b"])), "- a\n- b");
});

Deno.test("trainStudy() trains in memory, shows progress, and leaves nothing", async () => {
  const live = await trainStudy("ablations", { only: ["moiie"], steps: 1, db: ":memory:" });
  assertEquals(live.runs.map((r) => [r.variant, r.seed]), [["moiie", 7]]);
  assertEquals(live.runs[0].curves.map((c) => c.steps), [1]);
  assert(live.connectors[0].answers?.val.ocr.n);
  assertMatch(String(studyTable(live, "ablations")), /SMOKE RUN/);
  await assertRejects(() => trainStudy("ablations", { only: [], steps: 1 }), RangeError, "no runs");
});
