import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  applyLvlm,
  makeLvlm,
  modelParameters,
  modelState,
  relativeDifference,
  upcycle,
  upcycleLayer,
} from "../../src/models/mod.ts";
import {
  applyFeedForward,
  dense,
  moiie,
  moiieOf,
  type PoolTable,
  vanillaMoe,
} from "../../src/moe/mod.ts";
import { Random, setValues, tensor } from "../../src/tensor/mod.ts";
import {
  HIDDEN,
  layerOf,
  modalities,
  modalityTensor,
  TABLES,
  tokens,
  WIDTH,
} from "../moe/shared.ts";
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

/** Tables whose upcycled layers differ in more than copies. */
const SPECIAL: Readonly<Record<string, PoolTable>> = {
  "slices": moiie({ split: 2 }),
  "slices of five": vanillaMoe({ experts: 2, topK: 1, split: 5 }),

  "always-on": moiie({ alwaysOn: 1 }),
  "gated always-on slices": moiie({ split: 2, alwaysOn: { experts: 3, gate: true } }),
};

for (const [name, table] of Object.entries(SPECIAL)) {
  Deno.test(`an upcycled layer equals the dense one when the table has ${name}`, async () => {
    const x = tokens(50), modality = modalityTensor(modalities(50));
    const before = layerOf(dense());
    const after = await upcycleLayer(before, table, new Random(1));
    const { split = 1 } = table;
    assertEquals(after.down.shape, [table.experts.length, WIDTH, HIDDEN / split]);
    const want = applyFeedForward(before, x, { modality });
    const got = applyFeedForward(after, x, { modality });
    assert(await relativeDifference(got.y, want.y) < 1e-6);
    // Every token has all slices of the experts that it uses.
    const [chosen] = await read(got.routing!.chosen);
    for (let t = 0; t < 50; t++) {
      const mine = chosen.slice(t * table.topK, (t + 1) * table.topK);
      const slices = mine.map((e) => e % split).sort();
      assertEquals(slices, mine.map((_, i) => Math.floor(i * split / mine.length)).sort());
      assertEquals(new Set(mine.map((e) => Math.floor(e / split))).size, mine.length / split);
    }
    // Once an expert is another, so is the result.
    const [down] = await read(after.down);
    setValues(after.down, down.map((v, i) => i < down.length / 2 ? 2 * v : v));
    const moved = applyFeedForward(after, x, { modality });
    assert(await relativeDifference(moved.y, want.y) > 0.1);
  });
}

Deno.test("upcycled slices have the dense network's units, their down projections times the split", async () => {
  const before = layerOf(dense());
  const after = await upcycleLayer(before, moiie({ split: 2 }), new Random(1));
  const [gateUp, down, wide, narrow] = await read(
    before.gateUp,
    before.down,
    after.gateUp,
    after.down,
  );
  const part = HIDDEN / 2;
  for (const e of [0, 3, 7]) {
    for (let u = 0; u < part; u++) {
      const unit = e % 2 * part + u;
      for (let i = 0; i < WIDTH; i++) {
        const at = (row: number) => wide[((e * 2 * part) + row) * WIDTH + i];
        assertEquals(at(u), gateUp[unit * WIDTH + i]);
        assertEquals(at(part + u), gateUp[(HIDDEN + unit) * WIDTH + i]);
        assertEquals(narrow[(e * WIDTH + i) * part + u], 2 * down[i * HIDDEN + unit]);
      }
    }
  }
});

Deno.test("upcycling with noise moves every expert by its standard deviation, each its own way", async () => {
  const before = layerOf(dense());
  const plain = await upcycleLayer(before, moiie(), new Random(1));
  const noisy = await upcycleLayer(before, moiie(), new Random(1), { noise: 0.01 });
  const [a, b, ...routers] = await read(
    plain.gateUp,
    noisy.gateUp,
    plain.routers[0],
    noisy.routers[0],
  );
  assertEquals(routers[1], routers[0]);
  const size = a.length / 4;
  const moves = [0, 1, 2, 3].map((e) =>
    a.slice(e * size, (e + 1) * size).map((v, i) => b[e * size + i] - v)
  );
  for (const move of moves) {
    const std = Math.sqrt(move.reduce((s, v) => s + v * v, 0) / size);
    assert(std > 0.008 && std < 0.012, `${std}`);
  }
  assert(Math.abs(moves[0].reduce((s, v, i) => s + v * moves[1][i], 0)) < 0.2 * size * 1e-4);
});

Deno.test("drop-upcycling draws the same units of gate, up and down anew, others in every expert", async () => {
  const before = layerOf(dense());
  const after = await upcycleLayer(before, moiie(), new Random(1), { drop: 0.5 });
  const [gateUp, down, wide, narrow] = await read(
    before.gateUp,
    before.down,
    after.gateUp,
    after.down,
  );
  const changed = [0, 1, 2, 3].map((e) => {
    const rows = (from: number) =>
      Array.from({ length: HIDDEN }, (_, u) => {
        const old = gateUp.slice((from * HIDDEN + u) * WIDTH, (from * HIDDEN + u + 1) * WIDTH);
        const at = ((e * 2 + from) * HIDDEN + u) * WIDTH;
        const same = old.filter((v, i) => v === wide[at + i]).length;
        assert(same === 0 || same === WIDTH, "a unit is drawn as a whole");
        return same === 0;
      });
    const columns = Array.from(
      { length: HIDDEN },
      (_, u) =>
        Array.from(
          { length: WIDTH },
          (_, i) => narrow[(e * WIDTH + i) * HIDDEN + u] !== down[i * HIDDEN + u],
        ).every(Boolean),
    );
    assertEquals(rows(0), columns);
    assertEquals(rows(1), columns);
    assertEquals(columns.filter(Boolean).length, HIDDEN / 2);
    return columns.join();
  });
  assert(new Set(changed).size > 1);
  // What is new is spread like what it replaces.
  const spread = (values: number[]) =>
    Math.sqrt(values.reduce((s, v) => s + v * v, 0) / values.length);
  assert(Math.abs(spread(wide) / spread(gateUp) - 1) < 0.2);
});

Deno.test("upcycling leaves room for routing options: a bias starts at 0 and is state, no parameter", async () => {
  const config = thimble({ ffn: moiie(), routing: { bias: 0.01 } });
  const model = await upcycle(makeLvlm(new Random(3), config), new Random(1));
  const paths = [...modelState(model).keys()].filter((path) => !modelParameters(model).has(path));
  assertEquals(paths, [1, 3].map((i) => `language.blocks.${i}.ffn.buffers.bias`));
  const [bias] = await read(modelState(model).get(paths[0])!);
  assertEquals(bias, [0, 0, 0, 0, 0, 0]);
});

Deno.test("upcycling works with three modalities", async () => {
  const table = moiieOf({
    modalities: ["text", "image", "audio"],
    own: { text: 1, image: 1, audio: 1 },
    shared: 2,
  });
  const before = layerOf(dense());
  const after = await upcycleLayer(before, table, new Random(1));
  assertEquals(after.routers.length, 3);
  const modality = tensor(Int32Array.from({ length: 50 }, (_, t) => t % 3));
  const [x, dense3] = [tokens(50), { ...before, table: { ...before.table, pools: [] } }];
  const want = applyFeedForward(dense3, x, { modality }).y;
  assert(await relativeDifference(applyFeedForward(after, x, { modality }).y, want) < 1e-6);
});

Deno.test("upcycling throws RangeError when an option makes no sense", async () => {
  const says = async (table: PoolTable, options: object, part: string) => {
    const error = await assertRejects(
      () => upcycleLayer(layerOf(dense()), table, new Random(1), options),
      RangeError,
    );
    assertStringIncludes(error.message, part);
  };
  await says(moiie(), { nois: 1 }, 'did you mean "noise"');
  await says(moiie(), { noise: -1 }, "noise = -1 must be a number of at least 0");
  await says(moiie(), { drop: 2 }, "drop = 2 must be a number of at least 0 and at most 1");
  await says(moiie({ split: 4 }), {}, "4 slices do not divide the inner width 10");
});
