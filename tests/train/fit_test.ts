import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { type Lvlm, modelParameters, readSafetensors } from "../../src/models/mod.ts";
import { dense, modalityMoe } from "../../src/moe/mod.ts";
import {
  fit,
  type FitOptions,
  type Progress,
  type Recipe,
  threeStage,
} from "../../src/train/mod.ts";
import { offlineFlags } from "../offline/flags.ts";
import { session } from "../nn/shared.ts";
import { DATA, shortRecipe, smallest } from "./shared.ts";

/** Weights as bits: equal only if every bit is. */
async function bits(model: Lvlm): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const [path, t] of modelParameters(model)) {
    const values = await t.data() as Float32Array;
    found[path] = new Uint8Array(values.buffer, values.byteOffset, values.byteLength).toHex();
  }
  return found;
}

/** A finished run in comparable form. */
async function trained(recipe: Recipe, options: FitOptions = {}, model = smallest()) {
  const run = await fit(model, recipe, options);
  return { complete: run.complete, records: run.records, bits: await bits(run.model) };
}

/** The run that all others are compared with. */
const unbroken = await trained(shortRecipe());

/** A path in a folder of its own, removed afterwards. */
async function withPath(test: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await test(`${folder}/runs/one/checkpoint.safetensors`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("fit() gives the same loss curve and weights, bit by bit, when the seed is the same", async () => {
  const again = await trained(shortRecipe());
  assertEquals(again, unbroken);
  assertEquals(again.complete, true);
  assertEquals(again.records.map((r) => [r.stage[0], r.step]), [
    ...[0, 1, 2, 3].map((step) => ["1", step]),
    ...[0, 1, 2, 3, 4, 5].map((step) => ["2", step]),
  ]);
  assert(again.records.every((r) => Number.isFinite(r.loss) && r.gradientNorm > 0));
  assert(again.records.every((r) => r.auxiliary > 0 === r.stage.startsWith("2")));
  const other = await trained(shortRecipe({ seed: 1 }));
  assert(other.records.every((r, i) => r.loss !== again.records[i].loss));
});

Deno.test("fit() gives the same losses when blocks are computed again for the gradient", async () => {
  const again = await trained(shortRecipe(), { recompute: true });
  assertEquals(again.records.length, unbroken.records.length);
  again.records.forEach(({ loss, gradientNorm }, i) => {
    assertAlmostEquals(loss, unbroken.records[i].loss, 1e-4);
    assertAlmostEquals(gradientNorm, unbroken.records[i].gradientNorm, 1e-3);
  });
});

Deno.test("fit() trains the connector alone in stage 1 and everything in stage 2", async () => {
  const before = await bits(smallest());
  const first = await trained(shortRecipe({ instructionSteps: 0 }));
  for (const [path, now] of Object.entries(first.bits)) {
    if (path in before && !path.includes(".1.ffn")) {
      assertEquals(now !== before[path], path.startsWith("connector."), path);
    }
  }
  for (const [path, now] of Object.entries(unbroken.bits)) {
    assert(now !== first.bits[path], `${path} did not change in stage 2`);
  }
});

Deno.test("fit() gives the experts of its configuration, or none", async () => {
  const experts = async (ffn: ReturnType<typeof dense>) => {
    const { model } = await fit(smallest({ ffn }), shortRecipe({ instructionSteps: 1 }));
    return model.language.blocks.map((b) => b.ffn.table.variant);
  };
  assertEquals(await experts(dense()), ["dense", "dense"]);
  assertEquals(await experts(modalityMoe()), ["dense", "modality"]);
});

/** Paths of the parameters that the third stage of three changes. */
async function changedByThirdStage(trains: "mixtures" | "every-ffn"): Promise<string[]> {
  const recipe = (expertSteps: number) =>
    threeStage(DATA, {
      connectorSteps: 1,
      connectorBatch: 4,
      instructionSteps: 1,
      instructionBatch: 4,
      expertSteps,
      trains,
    });
  const [before, after] = [await trained(recipe(0)), await trained(recipe(2))];
  assertEquals(after.records.map((r) => [r.stage[0], r.auxiliary > 0]), [
    ["1", false],
    ["2", false],
    ["3", true],
    ["3", true],
  ]);
  return Object.keys(after.bits).filter((path) => after.bits[path] !== before.bits[path]);
}

Deno.test("fit() trains the layers with experts alone in the third stage of threeStage()", async () => {
  const experts = ["routers.0", "routers.1", "gateUp", "down"].map((n) =>
    `language.blocks.1.ffn.${n}`
  );
  assertEquals(await changedByThirdStage("mixtures"), experts);
  assertEquals(await changedByThirdStage("every-ffn"), [
    "language.blocks.0.ffn.gateUp",
    "language.blocks.0.ffn.down",
    ...experts,
  ]);
});

Deno.test("fit() throws RangeError when a stage trains experts and the model is dense", async () => {
  const recipe = threeStage(DATA, { connectorSteps: 0, instructionSteps: 0, expertSteps: 1 });
  const error = await assertRejects(() => fit(smallest({ ffn: dense() }), recipe), RangeError);
  assertStringIncludes(error.message, 'stage "3 experts on questions" has no parameters to train');
  assertStringIncludes(error.message, 'the model has no experts (its ffn is "dense")');
});

Deno.test("fit() tells of every step in order, with what is done and the speed", async () => {
  const seen: Progress[] = [];
  await trained(shortRecipe(), { onStep: (p) => void seen.push(p) });
  assertEquals(seen.map((p) => p.done), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  assert(seen.every((p) => p.total === 10));
  assertEquals(seen.map((p) => p.record.loss), unbroken.records.map((r) => r.loss));
  assertEquals(seen[0].tokensPerSecond, 0);
  assert(seen[9].tokensPerSecond > 0);
  assertEquals(seen[9].stage.name, unbroken.records[9].stage);
});

for (const at of [2, 4, 7]) {
  Deno.test(`a run that is stopped after step ${at} of 10 and resumed ends where the unbroken run ends`, async () => {
    await withPath(async (checkpoint) => {
      const abort = new AbortController();
      const stopped = await trained(shortRecipe(), {
        checkpoint,
        saveEvery: 3,
        signal: abort.signal,
        onStep: ({ done }) => {
          if (done === at) abort.abort();
        },
      });
      assertEquals(stopped.complete, false);
      assert(stopped.records.length >= at && stopped.records.length < 10);
      assertEquals(stopped.records, unbroken.records.slice(0, stopped.records.length));
      const resumed = await trained(shortRecipe(), { checkpoint });
      assertEquals(resumed, unbroken);
      // Resuming a finished run runs no step.
      const onStep = () => {
        throw new Error("a step of a finished run");
      };
      assertEquals(await trained(shortRecipe(), { checkpoint, onStep }), unbroken);
    });
  });
}

Deno.test("the model in memory goes on when its stopped run is started again", async () => {
  await withPath(async (checkpoint) => {
    const abort = new AbortController(), model = smallest();
    const onStep = ({ done }: Progress) => {
      if (done === 6) abort.abort();
    };
    await trained(shortRecipe(), { checkpoint, signal: abort.signal, onStep }, model);
    assertEquals(await trained(shortRecipe(), { checkpoint }, model), unbroken);
  });
});

Deno.test("a run that is killed behind a checkpoint and resumed ends where the unbroken run ends", async () => {
  await withPath(async (checkpoint) => {
    const flags = await offlineFlags();
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--quiet",
        "--no-lock",
        ...flags,
        new URL("fit_child.ts", import.meta.url).href,
        checkpoint,
      ],
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const stderr = new Response(child.stderr).text();
    let said = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      said += text;
      if (said.includes("hanging")) child.kill("SIGKILL");
    }
    const { code } = await child.status;
    assert(said.includes("hanging") && code !== 0, `code ${code}: ${await stderr}`);
    await stderr;
    {
      using file = readSafetensors(checkpoint);
      assertEquals([file.metadata.stage, file.metadata.step], ["1", "2"]);
    }
    assertEquals(await trained(shortRecipe(), { checkpoint }), unbroken);
  });
});

Deno.test("fit() saves nothing and runs nothing when it is aborted before it begins", async () => {
  await withPath(async (checkpoint) => {
    const model = smallest(), before = await bits(model);
    const signal = AbortSignal.abort();
    assertEquals(await trained(shortRecipe(), { checkpoint, signal }, model), {
      complete: false,
      records: [],
      bits: before,
    });
    await assertRejects(() => Deno.stat(checkpoint), Deno.errors.NotFound);
  });
});

Deno.test("fit() throws an error that names the step when the loss becomes NaN", async () => {
  const recipe = shortRecipe();
  const [first, second] = recipe.stages;
  const poisoned = {
    ...second,
    inputs: (model: Lvlm, step: number) => {
      const inputs = second.inputs(model, step);
      if (step === 3) inputs.pixels.data[0] = NaN;
      return inputs;
    },
  };
  const error = await assertRejects(
    () => fit(smallest(), { ...recipe, stages: [first, poisoned] }),
    Error,
  );
  assertStringIncludes(error.message, "loss NaN");
  assertStringIncludes(error.message, "at step 3");
});

Deno.test("fit() throws RangeError when it is to save after every 0 steps", async () => {
  for (const saveEvery of [0, -1, 1.5, NaN]) {
    const error = await assertRejects(
      () => fit(smallest(), shortRecipe(), { saveEvery }),
      RangeError,
    );
    assertStringIncludes(error.message, `saveEvery = ${saveEvery}`);
  }
});

Deno.test("fit() throws RangeError when a stage's paths fit no parameter", async () => {
  const recipe = shortRecipe();
  const lost = { name: "lost", paths: ["langage."], rateScale: 1 };
  const stages = [{ ...recipe.stages[0], trained: [lost] }];
  const error = await assertRejects(() => fit(smallest(), { ...recipe, stages }), RangeError);
  assertStringIncludes(error.message, "no parameters to train");
});

Deno.test("fit() gives its plan's memory back when it fails", async () => {
  const failing = async () => {
    const onStep = () => Promise.reject(new Error("stop here"));
    await assertRejects(() => fit(smallest(), shortRecipe(), { onStep }), Error, "stop here");
  };
  await failing();
  const { live } = session.memory();
  for (let i = 0; i < 3; i++) await failing();
  // The models wait for the garbage collector; a plan takes several times as much.
  const each = (session.memory().live - live) / 3;
  assert(each < 200_000, `${each} bytes remain of each`);
});
