import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { NO_LABEL } from "../../src/data/mod.ts";
import {
  nestedSubset,
  type Recipe,
  threeStage,
  type ThreeStageOptions,
  twoStage,
  type TwoStageOptions,
} from "../../src/train/mod.ts";
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
  says({ fraction: 0 }, "fraction = 0 must be a number above 0");
  says({ fraction: 1.5 }, "fraction = 1.5 must be at most 1");
  says({ auxiliary: -1 }, "auxiliary = -1");
  says({ auxiliary: { text: 0.1, image: NaN } }, "auxiliary.image = NaN");
  says({ convention: "slot" }, 'did you mean "slots"');
  says({ reduction: "layer" }, 'did you mean "layers"');
});

/** Numbers of all pictures that a recipe's stages draw in some steps. */
function drawn(recipe: Recipe, steps = 12): Set<string> {
  const found = new Set<string>();
  for (const stage of recipe.stages) {
    for (let step = 0; step < steps; step++) {
      const { pixels } = stage.inputs(model, step);
      const size = pixels.data.length / pixels.shape[0];
      for (let row = 0; row < pixels.shape[0]; row++) {
        found.add(String(pixels.data.slice(row * size, row * size + 200)));
      }
    }
  }
  return found;
}

Deno.test("nestedSubset() gives shares of which each is part of every larger one", () => {
  const shares = [0.001, 0.1, 0.25, 0.5, 0.9, 1].map((f) => nestedSubset(1000, f));
  assertEquals(shares.map((s) => s.length), [1, 100, 250, 500, 900, 1000]);
  shares.slice(1).forEach((larger, i) => {
    assert(shares[i].every((picture) => larger.includes(picture)));
  });
  assertEquals(shares[5], Array.from({ length: 1000 }, (_, i) => i));
  // No stretch of the set is favoured: each quarter holds about a quarter of the half.
  for (let q = 0; q < 4; q++) {
    const here = shares[3].filter((i) => i >= 250 * q && i < 250 * (q + 1)).length;
    assert(here > 100 && here < 150, `${here} of 250`);
  }
});

Deno.test("twoStage() draws from a share of the pictures only, the same ones for every seed", () => {
  const all = drawn(shortRecipe());
  const some = drawn(shortRecipe({ fraction: 0.2 }));
  const other = drawn(shortRecipe({ fraction: 0.2, seed: 9 }));
  assertEquals(some.size, 8);
  assertEquals([...other].sort(), [...some].sort());
  assert(all.size > 30);
  assert([...some].every((picture) => all.has(picture)) || all.size < 40);
  assertEquals(shortRecipe({ fraction: 0.2 }).settings.pictures, 8);
});

Deno.test("threeStage() takes the steps of twoStage() and shows the same batches in the same order", () => {
  const [two, three] = [twoStage(DATA), threeStage(DATA)];
  const steps = (recipe: Recipe) => recipe.stages.reduce((n, s) => n + s.steps, 0);
  assertEquals(steps(three), steps(two));
  const at = three.stages[1].steps;
  assertEquals(three.stages[0].inputs(model, 5), two.stages[0].inputs(model, 5));
  assertEquals(three.stages[1].inputs(model, 5), two.stages[1].inputs(model, 5));
  assertEquals(three.stages[2].inputs(model, 5), two.stages[1].inputs(model, at + 5));
});

Deno.test("threeStage() gives experts before the third stage, and trains nothing but them there", () => {
  const { stages, settings } = threeStage(DATA, { auxiliary: { text: 0.01, image: 0.02 } });
  assertEquals(stages.map((s) => s.upcycle), [false, false, true]);
  assertEquals(stages[2].trained, [
    { name: "mixtures", paths: ["language.blocks.*.ffn."], rateScale: 1, onlyMixtures: true },
  ]);
  assertEquals(stages[2].auxiliary, { text: 0.01, image: 0.02 });
  assertEquals(JSON.parse(JSON.stringify(settings)), settings);
  const quirk = threeStage(DATA, { trains: "every-ffn" }).stages[2];
  assertEquals(quirk.trained[0].onlyMixtures, undefined);
});

Deno.test("threeStage() throws RangeError when a setting is unknown or out of range", () => {
  const says = (options: object, part: string) => {
    const { message } = assertThrows(
      () => threeStage(DATA, options as ThreeStageOptions),
      RangeError,
    );
    assertStringIncludes(message, part);
  };
  says({ expertStep: 3 }, 'threeStage setting "expertStep"; did you mean "expertSteps"');
  says({ trains: "mixture" }, 'did you mean "mixtures"');
  says({ expertSteps: 1.5 }, "threeStage: expertSteps = 1.5");
  const { message } = assertThrows(
    () => twoStage(DATA, { trains: "mixtures" } as object),
    RangeError,
  );
  assertStringIncludes(message, 'twoStage setting "trains"');
});
