import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { loadPublished, upcyclePublished } from "../../src/models/mod.ts";
import { moiie } from "../../src/moe/mod.ts";
import { summary, trainPublished } from "../../src/notebook/mod.ts";
import { activationProportions, describeFigure } from "../../src/plot/mod.ts";
import { exampleBatches } from "../../src/train/mod.ts";
import "../nn/shared.ts";
import { folderOf } from "../models/fixture_models.ts";

/** What is printed while something runs. */
async function printed<T>(work: () => Promise<T>): Promise<{ result: T; text: string }> {
  const log = console.log, lines: string[] = [];
  console.log = (...values: unknown[]) => void lines.push(values.join(" "));
  try {
    return { result: await work(), text: lines.join("\n") };
  } finally {
    console.log = log;
  }
}

Deno.test("trainPublished() shows progress, and gives the loss curve and the routing of its ends", async () => {
  const dense = await loadPublished(folderOf("models/phi3"));
  const model = await upcyclePublished(dense, moiie(), { seed: 1 });
  const seen: number[] = [];
  const { result: run, text } = await printed(() =>
    trainPublished(model, {
      steps: 5,
      batches: exampleBatches(model, { seed: 1 }),
      recordEvery: 2,
      onStep: ({ step }) => void seen.push(step),
    })
  );
  assertStringIncludes(text, "5/5");
  assertEquals(seen, [0, 1, 2, 3, 4]);
  assert(run.complete);
  assertStringIncludes(describeFigure(run.curves()), "5 steps");
  const ends = run.routing();
  assertEquals(ends.map((s) => s.benchmark), ["step 1", "step 5"]);
  assertEquals(ends[1].layers.map((l) => l.layer), [1]);
  const [{ modalities }] = ends[1].layers;
  assertEquals(modalities.map(({ name, tokens }) => [name, tokens]), [["text", 48]]);
  assertStringIncludes(describeFigure(activationProportions(ends)), "S1 (shared)");
  assertStringIncludes(JSON.stringify(summary(model)), "experts (moiie)");
});

Deno.test("the routing of a training without records cannot be drawn", async () => {
  const dense = await loadPublished(folderOf("models/phi3"));
  const batches = exampleBatches(dense);
  const { result: run } = await printed(() => trainPublished(dense, { steps: 1, batches }));
  assertThrows(() => run.routing(), RangeError, "set recordEvery");
});
