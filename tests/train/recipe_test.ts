import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { NO_LABEL } from "../../src/data/mod.ts";
import { twoStage, type TwoStageOptions } from "../../src/train/mod.ts";
import "../nn/shared.ts";
import { DATA, shortRecipe, smallest } from "./shared.ts";

const model = smallest();

Deno.test("twoStage() gives the same batch for the same step, and another for another step or seed", () => {
  const [a, b, other] = [shortRecipe(), shortRecipe(), shortRecipe({ seed: 1 })];
  a.stages.forEach((stage, i) => {
    const at = (recipe: typeof a, step: number) => recipe.stages[i].inputs(model, step);
    assertEquals(at(a, 3), at(b, 3));
    assertEquals(at(a, 3), stage.inputs(model, 3));
    assert(String(at(a, 3).tokens.data) !== String(at(a, 4).tokens.data));
    assert(String(at(a, 3).tokens.data) !== String(at(other, 3).tokens.data));
  });
});

Deno.test("twoStage() shows captions first and then three questions about each picture", () => {
  const [captions, questions] = shortRecipe().stages;
  const [first, second] = [captions.inputs(model, 0), questions.inputs(model, 0)];
  assertEquals(first.pixels.shape, [4, 3, 32, 32]);
  assertEquals(first.tokens.shape[0], 4);
  assertEquals(captions.tokens, first.tokens.data.length);
  assertEquals(questions.tokens, second.tokens.data.length);
  const texts = (inputs: typeof first) => Math.max(...inputs.segments.data as Int32Array);
  assertEquals([texts(first), texts(second)], [1, 3]);
  assert((first.labels.data as Int32Array).some((l) => l !== NO_LABEL));
  assertEquals(captions.upcycle, false);
  assertEquals(questions.upcycle, true);
});

Deno.test("twoStage() has room for every caption, and for any questions of a picture", () => {
  const { stages } = twoStage(DATA, { connectorBatch: 40, instructionBatch: 40 });
  for (let step = 0; step < 20; step++) for (const s of stages) s.inputs(model, step);
});

Deno.test("twoStage() trains the connector alone first, and the vision encoder more slowly after", () => {
  const [first, second] = shortRecipe({ visionScale: 0.1, auxiliary: 0.01 }).stages;
  assertEquals(first.trained, [{ name: "connector", paths: ["connector."], rateScale: 1 }]);
  assertEquals(second.trained.map((g) => [g.name, g.rateScale]), [["vision", 0.1], [
    "language",
    1,
  ]]);
  assertEquals([first.auxiliary, second.auxiliary], [0, 0.01]);
});

Deno.test("twoStage() warms up over a share of each stage's steps and ends near 0", () => {
  const [, { schedule, steps }] = twoStage(DATA, { instructionSteps: 100, warmup: 0.1 }).stages;
  assertEquals([schedule(0), schedule(5), schedule(10)], [0, 0.5, 1]);
  assert(schedule(steps - 1) < 0.001);
});

Deno.test("the settings of a recipe hold every option, those of the data included", () => {
  const { settings } = shortRecipe({ seed: 5 });
  assertEquals(settings.seed, 5);
  assertEquals([settings.connectorSteps, settings.instructionSteps], [4, 6]);
  assertEquals([settings.data, settings.pictures], ["tiny", 40]);
  assertEquals(JSON.parse(JSON.stringify(settings)), settings);
});

Deno.test("twoStage() throws RangeError when a setting is unknown or out of range", () => {
  const says = (options: object, part: string) => {
    const { message } = assertThrows(() => twoStage(DATA, options as TwoStageOptions), RangeError);
    assertStringIncludes(message, part);
  };
  says({ conectorSteps: 3 }, 'did you mean "connectorSteps"');
  says({ toString: 3 }, 'setting "toString"');
  says({ connectorSteps: -1 }, "connectorSteps = -1 must be a whole number of at least 0");
  says({ instructionSteps: 2.5 }, "instructionSteps = 2.5");
  says({ instructionBatch: 0 }, "instructionBatch = 0 must be a whole number above 0");
  says({ questionsPerImage: NaN }, "questionsPerImage = NaN");
  says({ instructionRate: -1e-3 }, "instructionRate = -0.001");
  says({ clipNorm: 0 }, "clipNorm = 0 must be a number above 0");
  says({ seed: "7" }, "seed = 7");
});
