import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  applyLvlm,
  makeLvlm,
  modelParameters,
  upcycle,
  upcycleLayer,
} from "../../src/models/mod.ts";
import { applyFeedForward, dense, moiie, vanillaMoe } from "../../src/moe/mod.ts";
import { Random, setValues } from "../../src/tensor/mod.ts";
import { layerOf, modalities, modalityTensor, TABLES, tokens } from "../moe/shared.ts";
import { assertClose, read } from "../nn/shared.ts";
import { inputsOf, thimble, twoRows } from "./shared.ts";

for (const routerStd of [0.02, 5]) {
  Deno.test(`an upcycled layer equals the dense one when router weights are of size ${routerStd}`, async () => {
    const x = tokens(50), modality = modalityTensor(modalities(50));
    for (const [name, table] of Object.entries(TABLES)) {
      if (table.experts.length === 1 || !table.renormalise) continue;
      const before = layerOf(dense());
      const after = await upcycleLayer(before, table, new Random(1));
      for (const r of after.routers) setValues(r, new Random(2).normals(r.size, 0, routerStd));
      const [want, got] = await read(
        applyFeedForward(before, x, { modality }).y,
        applyFeedForward(after, x, { modality }).y,
      );
      assertClose(got, want, 1e-5, name);
      assertEquals(after.routers.map((r) => r.shape), layerOf(table).routers.map((r) => r.shape));
    }
  });
}

Deno.test("an upcycled layer differs from the dense one when weights are not renormalised, or an expert moves", async () => {
  const x = tokens(50), modality = modalityTensor(modalities(50));
  const before = layerOf(dense());
  const [want] = await read(applyFeedForward(before, x, { modality }).y);
  const off = async (renormalise: boolean, shake: number) => {
    const after = await upcycleLayer(before, moiie({ renormalise }), new Random(1));
    const [down] = await read(after.down);
    const noise = new Random(2).normals(down.length / 4, 0, shake);
    setValues(after.down, down.map((v, i) => v + (noise[i] ?? 0)));
    const [got] = await read(applyFeedForward(after, x, { modality }).y);
    return Math.max(...got.map((v, i) => Math.abs(v - want[i])));
  };
  assert(await off(true, 0) < 1e-5);
  assert(await off(false, 0) > 0.1);
  assert(await off(true, 1) > 0.1);
});

for (
  const name of ["vanilla 4", "modality 2 + 2", "modality 1 + 1", "MoIIE 1/1/2", "MoIIE 3/3/2"]
) {
  Deno.test(`the whole model's logits equal the dense model's when it is upcycled to ${name}`, async () => {
    const model = makeLvlm(new Random(3), thimble({ ffn: TABLES[name] }));
    const inputs = inputsOf(twoRows());
    const [valid, want] = await read(inputs.valid, applyLvlm(model, inputs).logits);
    await upcycle(model, new Random(4));
    const { logits, routings } = applyLvlm(model, inputs);
    const [got] = await read(logits);
    assertEquals(routings.length, 2);
    // Padding is not computed in mixtures, and nothing looks at it.
    const vocabulary = model.config.language.vocabulary;
    const real = (all: number[]) => all.filter((_, i) => valid[Math.floor(i / vocabulary)] === 1);
    assertClose(real(got), real(want), 1e-5);
  });
}

Deno.test("upcycle() copies the dense network into every expert of the layers of the placement", async () => {
  const model = makeLvlm(new Random(3), thimble({ ffn: moiie(), placement: [2] }));
  const before = new Map<string, number[]>();
  for (const [path, t] of modelParameters(model)) before.set(path, (await read(t))[0]);
  await upcycle(model, new Random(4));
  for (const [path, t] of modelParameters(model)) {
    const [now] = await read(t);
    if (path.includes("router")) assert(now.every((v) => Math.abs(v) < 0.12), path);
    else if (path.startsWith("language.blocks.2.ffn")) {
      const one = before.get(path)!;
      assertEquals(now, [...one, ...one, ...one, ...one], path);
    } else assertEquals(now, before.get(path), path);
  }
  assertEquals(model.language.blocks.map((b) => b.ffn.table.variant), [
    "dense",
    "dense",
    "moiie",
    "dense",
  ]);
});

Deno.test("upcycle() gives the same routers when the seed is the same, and each layer its own", async () => {
  const routers = async (seed: number) => {
    const model = makeLvlm(new Random(3), thimble({ ffn: moiie() }));
    await upcycle(model, new Random(seed));
    const of = (i: number) => model.language.blocks[i].ffn.routers;
    return await read(...of(1), ...of(3));
  };
  const [first, again, other] = [await routers(1), await routers(1), await routers(2)];
  assertEquals(first, again);
  assertEquals(new Set([...first, ...other].map(String)).size, 8);
});

Deno.test("upcycle() leaves a model as it is when its variant is dense or has one expert", async () => {
  for (const ffn of [dense(), vanillaMoe({ experts: 1, topK: 1 })]) {
    const model = makeLvlm(new Random(3), thimble({ ffn }));
    const before = [...modelParameters(model)];
    await upcycle(model, new Random(1));
    assertEquals([...modelParameters(model)], before);
  }
});

Deno.test("upcycle() throws RangeError when the model has its experts already", async () => {
  const model = makeLvlm(new Random(3), thimble({ ffn: moiie() }));
  await upcycle(model, new Random(1));
  const error = await assertRejects(() => upcycle(model, new Random(1)), RangeError);
  assertStringIncludes(error.message, "already has 4 experts");
});
