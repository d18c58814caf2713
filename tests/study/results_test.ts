import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  accuracies,
  allCurves,
  gatherResults,
  lossRecords,
  parseResults,
  readResults,
  resultsFileName,
  resultsText,
  routingOf,
  thinCurves,
  writeResults,
} from "../../src/study/mod.ts";
import { recorded } from "./recorded.ts";

const ANSWERS = { moiie: { 7: 60, 8: 62 }, "moiie-full": { 7: 61, 8: 60 } };

Deno.test("gatherResults() holds every finished run, and nothing of the others", () => {
  using database = recorded(ANSWERS);
  const results = gatherResults(database);
  assertEquals(results.runs.map((r) => [r.variant, r.seed]).sort(), [
    ["moiie", 7],
    ["moiie", 8],
    ["moiie-full", 7],
    ["moiie-full", 8],
  ]);
  assertEquals(results.variants.map((v) => [v.name, v.parameters.total]), [
    ["moiie", 10],
    ["moiie-full", 10],
  ]);
  assertEquals(results.variants[1].config.placement, "full");
  assertEquals(results.floors.val.ocr, 0.25);
  assertEquals(accuracies(results, "moiie"), new Map([[7, 0.6], [8, 0.62]]));
  const ocr = accuracies(results, "moiie", { split: "style", family: "ocr" });
  assertEquals(ocr, new Map([[7, 0.6], [8, 0.62]]));
  assertEquals(accuracies(results, "dense").size, 0);
});

Deno.test("gatherResults() takes along what else was measured only when it is asked to", () => {
  using database = recorded(ANSWERS);
  const { runs: [{ id }] } = gatherResults(database);
  database.setExtra(id, "drift", [1]);
  const extras = (names?: string[]) => gatherResults(database, { extras: names }).runs[0].extras;
  assertEquals([extras(), extras(["other"]), extras(["drift"])], [
    undefined,
    undefined,
    { drift: [1] },
  ]);
});

Deno.test("accuracies() weighs families alike, not questions", () => {
  using database = recorded({ moiie: { 7: 60 } });
  const results = gatherResults(database), [run] = results.runs;
  const answers = {
    val: { general: { correct: 10, n: 10 }, ocr: { correct: 0, n: 90 } },
  };
  const own = { ...results, runs: [{ ...run, answers }] };
  assertEquals(accuracies(own, "moiie"), new Map([[7, 0.5]]));
});

Deno.test("allCurves() puts the shared first stage before a run's own", () => {
  using database = recorded(ANSWERS);
  const results = gatherResults(database, { points: 10 });
  const curves = allCurves(results, results.runs[0]);
  assertEquals(curves.map((c) => [c.stage, c.steps, c.loss.length]), [
    ["1 connector", 100, 10],
    ["2 everything", 70, 10],
  ]);
  assertAlmostEquals(curves[0].loss[0], 95.5, 1e-9);
  assertEquals(curves[0].step[0], 5);
  const records = lossRecords(results, results.runs[0]);
  assertEquals(records.length, 20);
  assertEquals(records[0], { step: 5, loss: 95.5, stage: "1 connector" });
  assertEquals(records[10], { step: 103, loss: 97, stage: "2 everything" });
});

Deno.test("thinCurves() keeps the mean, and few steps as they are", () => {
  const records = Array.from({ length: 7 }, (_, step) => (
    { stage: "s", step, loss: step, auxiliary: 2 * step, gradientNorm: 1, learningRate: 1 }
  ));
  assertEquals(thinCurves(records, 60)[0].loss, [0, 1, 2, 3, 4, 5, 6]);
  const [{ step, loss, auxiliary }] = thinCurves(records, 3);
  assertEquals([step, loss, auxiliary], [[1, 4, 6], [1, 4, 6], [2, 8, 12]]);
  assertEquals(thinCurves([], 3), []);
});

Deno.test("routingOf() names the experts", () => {
  using database = recorded(ANSWERS);
  const results = gatherResults(database);
  const [summary] = routingOf(results, results.runs[0]);
  assertEquals(summary.experts.map((e) => e.name), ["V1", "L1", "S1", "S2"]);
  assertEquals(summary.layers[0].modalities[1].counts, [0, 1, 2, 3]);
});

Deno.test("results written to a file read back equal, one line a run", async () => {
  const folder = await Deno.makeTempDir();
  try {
    using database = recorded(ANSWERS);
    const results = gatherResults(database);
    assertEquals(parseResults(resultsText(results), ""), JSON.parse(JSON.stringify(results)));
    assertEquals(resultsText(results).match(/^ {2}\{"id".*"moiie"/gm)?.length, 2);
    const path = `${folder}/${resultsFileName("tiny", results.devices[0])}`;
    await writeResults(path, results);
    assertEquals([...Deno.readDirSync(folder)].map((f) => f.name), ["study_tiny_llvmpipe.json"]);
    assertEquals(await readResults(folder), await readResults(path));
    await Deno.writeTextFile(`${folder}/study_x.json`, "{}");
    await assertRejects(() => readResults(folder), SyntaxError, "no results of a study");
    await assertRejects(() => readResults(`${folder}/..none`), Error);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("resultsFileName() shortens the names of devices", () => {
  const names: [string, string][] = [
    ["llvmpipe-llvm-15-0-6-256-bits", "study_tiny_llvmpipe.json"],
    ["llvmpipe (LLVM 15.0.6, 256 bits)", "study_tiny_llvmpipe.json"],
    ["NVIDIA H100 80GB HBM3", "study_tiny_nvidia_h100_80gb_hbm3.json"],
    ["", "study_tiny_device.json"],
  ];
  for (const [device, name] of names) assertEquals(resultsFileName("tiny", device), name);
});

Deno.test("gatherResults() keeps smoke runs and devices apart", () => {
  using smoke = recorded(ANSWERS, { steps: 2 });
  assertThrows(() => gatherResults(smoke), RangeError, "no finished runs");
  const ids = smoke.runs().map((r) => r.id);
  assert(gatherResults(smoke, { ids }).variants.every((v) => v.config.limit !== undefined));
  using database = recorded(ANSWERS);
  assertThrows(() => gatherResults(database, { device: "other" }), RangeError);
});

Deno.test("gatherResults() throws RangeError when one name stands for two configurations", () => {
  using database = recorded(ANSWERS);
  using other = recorded({ moiie: { 9: 50 } }, {
    study: {
      name: "own",
      title: "",
      variants: [{ ...gatherResults(database).variants[1].config, name: "moiie", label: "other" }],
    },
  });
  assertEquals(gatherResults(other).runs.length, 1);
  const both = recorded(ANSWERS);
  both.plan(
    "own",
    other.runs().map(({ id, kind, variant, label, config }) => (
      { id, kind, variant, label, config }
    )),
  );
  const model = other.runs().find((r) => r.kind === "model")!;
  both.finish(both.claim(model.id)!, { seconds: 1, metrics: other.metrics(model.id) });
  const { message } = assertThrows(() => gatherResults(both), RangeError);
  assert(message.includes("differ in more than the seed"), message);
  both.close();
});
