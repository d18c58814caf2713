import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  gatherResults,
  loadCurves,
  parseResults,
  recordedLoad,
  type RecordedStep,
  resultsText,
} from "../../src/study/mod.ts";
import { moiie, type RoutingCell } from "../../src/moe/mod.ts";
import { recorded } from "./recorded.ts";

const { experts, pools, topK } = moiie();

/** A step whose tokens choose the experts V1, L1, S1, S2 so often in layer 1. */
function step(number: number, choices: Record<string, number[]>, stage = "2"): RecordedStep {
  const cells = Object.entries(choices).map(([modality, counts]): RoutingCell => ({
    modality,
    tokenClass: "all",
    tokens: counts.reduce((a, b) => a + b, 0) / topK,
    choices: counts,
    first: counts,
    probability: counts,
    entropy: 0,
    margin: 0,
    largest: 0,
    dropped: 0,
    pairs: [],
  }));
  return { stage, step: number, routing: { experts, pools, topK, layers: [{ layer: 1, cells }] } };
}

const IMAGE = [4, 0, 2, 2], TEXT = [0, 1, 2, 1];

Deno.test("loadCurves() has the shares of each pool, modality by modality", () => {
  const [text, image] = loadCurves([
    step(0, { image: IMAGE, text: TEXT }),
    step(50, { image: [3, 0, 3, 2], text: TEXT }),
  ]).toSorted((a, b) => b.modality.localeCompare(a.modality));
  assertEquals([text.layer, text.modality, text.step], [1, "text", [0, 50]]);
  assertEquals(text.shares, [[0.25, 0.25], [0.5, 0.5], [0.25, 0.25]]);
  assertEquals(image.shares, [[0.5, 0.375], [0.25, 0.375], [0.25, 0.25]]);
});

Deno.test("loadCurves() thins by adding up the choices of neighbouring steps", () => {
  const steps = Array.from({ length: 120 }, (_, i) => {
    return step(10 * i, { image: i % 2 === 0 ? [2, 0, 0, 0] : [0, 0, 4, 2] });
  });
  const [{ step: points, shares }] = loadCurves(steps, 60);
  assertEquals([points.length, points[0], points[59]], [60, 10, 1190]);
  // 2 of 8 choices in every pair of steps; the mean of the shares would be 1/2.
  assert(shares[0].every((share) => share === 0.25), shares[0].join());
  assertEquals(shares[1][0], 0.5);
  for (const most of [1, 7, 60, 1000]) {
    for (const { step, shares } of loadCurves(steps, most)) {
      assert(step.length <= most && shares.every((row) => row.length === step.length));
      const sum = shares.reduce((n, row) => n + row[0], 0);
      assertAlmostEquals(sum, 1, 2e-3);
    }
  }
});

Deno.test("loadCurves() leaves out points without tokens of a modality, and keeps stages apart", () => {
  const curves = loadCurves([
    step(0, { text: TEXT }, "1"),
    step(0, { text: TEXT }),
    step(50, { image: IMAGE, text: TEXT }),
  ]);
  assertEquals(
    curves.map((c) => [c.stage, c.modality, c.step]).sort(),
    [["1", "text", [0]], ["2", "image", [50]], ["2", "text", [0, 50]]],
  );
  assertEquals(loadCurves([]), []);
});

Deno.test("gatherResults() has the load of runs that recorded it, which files keep", () => {
  using database = recorded({ moiie: { 7: 60, 8: 62 } });
  const { runs: [{ id }] } = gatherResults(database);
  database.setExtra(id, "training", [
    step(0, { image: IMAGE, text: TEXT }, "1"),
    step(0, { image: IMAGE, text: TEXT }),
    step(50, { image: IMAGE, text: TEXT }),
  ]);
  const results = parseResults(resultsText(gatherResults(database)), "x.json");
  const [known, unknown] = results.runs;
  assertEquals(unknown.load, undefined);
  assertEquals(recordedLoad(results, unknown), []);
  const image = recordedLoad(results, known).find((h) => h.modality === "image")!;
  assertEquals(image.experts.map((e) => e.name), ["V1", "S1", "S2"]);
  assertEquals([image.steps, image.shares[0]], [[0, 50], [0.5, 0.5]]);
  assertEquals(recordedLoad(results, known, "1")[0].steps, [0]);
});

Deno.test("parseResults() refuses loads that do not fit their variant", () => {
  using database = recorded({ moiie: { 7: 60 } });
  const results = gatherResults(database), [run] = results.runs;
  const curve = {
    stage: "2",
    layer: 1,
    modality: "image",
    step: [0, 50],
    shares: [[0.5, 0.4], [0.2, 0.3], [0.3, 0.3]],
  };
  const text = (change: Partial<typeof curve>, variant = "moiie") =>
    resultsText({ ...results, runs: [{ ...run, variant, load: [{ ...curve, ...change }] }] });
  assertEquals(parseResults(text({}), "x").runs[0].load, [curve]);
  const wrong = [
    text({ shares: curve.shares.slice(1) }),
    text({ step: [0] }),
    text({ shares: [[1.5, 0.4], [0.2, 0.3], [0.3, 0.3]] }),
    text({ modality: "audio" }),
  ];
  for (const each of wrong) {
    assertThrows(
      () => parseResults(each, "x.json"),
      SyntaxError,
      `x.json: the load of run ${run.id}`,
    );
  }
  assertThrows(() => parseResults(text({}, "other"), "x.json"), SyntaxError, 'variant "other"');
});
