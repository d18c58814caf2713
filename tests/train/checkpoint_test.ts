import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  type Lvlm,
  modelParameters,
  readSafetensors,
  type SafetensorsTensor,
  writeSafetensors,
} from "../../src/models/mod.ts";
import { moiie, vanillaMoe } from "../../src/moe/mod.ts";
import {
  AdamW,
  fingerprint,
  fit,
  openCheckpoint,
  type Position,
  type Recipe,
  restoreCheckpoint,
  saveCheckpoint,
} from "../../src/train/mod.ts";
import { mixture, thimble } from "../models/shared.ts";
import { read } from "../nn/shared.ts";
import { shortRecipe, smallest } from "./shared.ts";

const weights = async (model: Lvlm): Promise<number[][]> =>
  await read(...modelParameters(model).values());

const folder = await Deno.makeTempDir();
addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

const POSITION: Position = {
  stage: 1,
  step: 3,
  records: [[{ step: 0, loss: 0.1, auxiliary: 1e-7, gradientNorm: 1 / 3, learningRate: 0 }], []],
  fingerprint: '{"recipe":"r","settings":{"rate":1}}',
};

/** A model and an optimizer whose moments are not zero. */
async function state(seed: number) {
  const model = await mixture(thimble({ ffn: moiie() }), seed);
  const optimizer = new AdamW([{ name: "all", parameters: modelParameters(model) }]);
  optimizer.restore((path) => {
    const { size } = modelParameters(model).get(path)!;
    return { m: new Float32Array(size).fill(seed), v: new Float32Array(size).fill(2 * seed) };
  });
  return { model, optimizer };
}

Deno.test("restoreCheckpoint() brings back what saveCheckpoint() wrote, to the bit", async () => {
  const path = `${folder}/whole.safetensors`;
  const from = await state(1), to = await state(2);
  await saveCheckpoint(path, from.model, from.optimizer, POSITION);
  const { position, file } = openCheckpoint(path, POSITION.fingerprint)!;
  assertEquals(position, POSITION);
  restoreCheckpoint(file, to.model, to.optimizer);
  file.close();
  assertEquals(await weights(to.model), await weights(from.model));
  assertEquals(await to.optimizer.state(), await from.optimizer.state());
  assertEquals([...Deno.readDirSync(folder)].map((f) => f.name), ["whole.safetensors"]);
});

Deno.test("openCheckpoint() gives nothing when there is no file", () => {
  assertEquals(openCheckpoint(`${folder}/none.safetensors`, "x"), undefined);
});

Deno.test("openCheckpoint() throws RangeError and says what differs when the file is another run's", async () => {
  const path = `${folder}/other.safetensors`;
  const { model, optimizer } = await state(1);
  await saveCheckpoint(path, model, optimizer, POSITION);
  const now = '{"recipe":"r","settings":{"rate":2}}';
  const { message } = assertThrows(() => openCheckpoint(path, now), RangeError);
  assertStringIncludes(message, "belongs to another run");
  assertStringIncludes(message, '"rate":1');
  assertStringIncludes(message, '"rate":2');
  assertStringIncludes(message, "delete it to start anew");
});

/** Copies a checkpoint with some of its tensors changed. */
async function rewritten(
  from: string,
  to: string,
  change: (tensors: Record<string, SafetensorsTensor>) => void,
): Promise<void> {
  using file = readSafetensors(from);
  const tensors = Object.fromEntries(file.names.map((name) => [name, file.tensor(name)]));
  change(tensors);
  await writeSafetensors(to, tensors, file.metadata);
}

Deno.test("restoreCheckpoint() changes no weight when a weight or an optimizer state is missing or does not fit", async () => {
  const path = `${folder}/before.safetensors`, broken = `${folder}/broken.safetensors`;
  const from = await state(1), to = await state(2);
  await saveCheckpoint(path, from.model, from.optimizer, POSITION);
  const before = await weights(to.model);
  const wrong: [string, (t: Record<string, SafetensorsTensor>) => void][] = [
    ["connector.up.bias", (t) => delete t["model.connector.up.bias"]],
    ["language.norm.weight", (t) => delete t["adamw.m.language.norm.weight"]],
    ["language.norm.weight", (t) => delete t["adamw.v.language.norm.weight"]],
    [
      "language.head.weight has 3 values, not 400",
      (t) =>
        t["adamw.m.language.head.weight"] = {
          dtype: "F32",
          shape: [3],
          data: new Float32Array(3),
        },
    ],
  ];
  for (const [says, change] of wrong) {
    await rewritten(path, broken, change);
    const { file } = openCheckpoint(broken, POSITION.fingerprint)!;
    const { message } = assertThrows(
      () => restoreCheckpoint(file, to.model, to.optimizer),
      RangeError,
    );
    file.close();
    assertStringIncludes(message, says);
    assertEquals(await weights(to.model), before, says);
  }
});

Deno.test("fingerprint() tells recipes and models apart that do not train alike", () => {
  const base = fingerprint(smallest(), shortRecipe());
  assertEquals(fingerprint(smallest({}, 9), shortRecipe()), base);
  for (
    const [model, recipe] of [
      [smallest(), shortRecipe({ connectorRate: 1e-3 })],
      [smallest(), shortRecipe({ seed: 3 })],
      [smallest({ ffn: vanillaMoe() }), shortRecipe()],
      [smallest({ placement: "full" }), shortRecipe()],
      [smallest({ language: { hidden: 24 } }), shortRecipe()],
    ] as [Lvlm, Recipe][]
  ) assert(fingerprint(model, recipe) !== base);
});

/** Errors of `fit()` on a file, and that the file and the model stay as they are. */
async function refused(
  path: string,
  kind: new (message: string) => Error,
  says: string[],
  model = smallest(),
  recipe = shortRecipe(),
): Promise<void> {
  const before = await weights(model), bytes = await Deno.readFile(path);
  const error = await assertRejects(() => fit(model, recipe, { checkpoint: path }), kind);
  for (const part of [path, ...says]) assertStringIncludes(error.message, part);
  assertEquals(await weights(model), before);
  assertEquals(await Deno.readFile(path), bytes);
}

Deno.test("fit() changes nothing when the checkpoint is another run's, cut, or no checkpoint at all", async () => {
  const path = `${folder}/fit.safetensors`;
  await fit(smallest(), shortRecipe({ instructionSteps: 0 }), { checkpoint: path });
  await refused(path, RangeError, ["belongs to another run", "instructionSteps"]);
  const same = shortRecipe({ instructionSteps: 0 });
  await refused(
    path,
    RangeError,
    ["belongs to another run"],
    smallest({ ffn: vanillaMoe() }),
    same,
  );

  const bytes = await Deno.readFile(path);
  const damaged = `${folder}/damaged.safetensors`;
  for (const length of [0, 4, 100, bytes.length - 1]) {
    await Deno.writeFile(damaged, bytes.subarray(0, length));
    await refused(damaged, Error, [], smallest(), same);
  }
  await Deno.writeFile(damaged, new TextEncoder().encode("no weights at all ".repeat(50)));
  await refused(damaged, Error, [], smallest(), same);
  await writeSafetensors(damaged, {
    x: { dtype: "F32", shape: [1], data: new Float32Array(1) },
  }, { format: "pt" });
  await refused(damaged, SyntaxError, ["no checkpoint of this library (format pt)"]);
});

Deno.test("a checkpoint holds the whole configuration", async () => {
  const path = `${folder}/config.safetensors`;
  const { model, optimizer } = await state(1);
  await saveCheckpoint(path, model, optimizer, POSITION);
  using file = readSafetensors(path);
  assertEquals(JSON.parse(file.metadata.config), model.config);
  const names = [...modelParameters(model).keys()];
  assertEquals(file.names.length, 3 * names.length);
  assert(names.every((n) => file.has(`model.${n}`) && file.has(`adamw.v.${n}`)));
});
