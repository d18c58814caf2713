import { assert, assertEquals } from "@std/assert";

import {
  applyLvlm,
  type Lvlm,
  type LvlmOptions,
  modelParameters,
  modelState,
  readSafetensors,
} from "../../src/models/mod.ts";
import { dropRates, modalityMoe, moiie, type RoutingOptions, zLoss } from "../../src/moe/mod.ts";
import { Random, type Tensor } from "../../src/tensor/mod.ts";
import { AdamW, fit, type FitOptions, routingNoise, trainingStep } from "../../src/train/mod.ts";
import { inputsOf, mixture, thimble, twoRows } from "../models/shared.ts";

import { assertClose, read } from "../nn/shared.ts";
import { shortRecipe, smallest } from "./shared.ts";

/** Parameters and buffers as bits: equal only if every bit is. */
async function bits(model: Lvlm): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const [path, t] of modelState(model)) {
    const values = await t.data() as Float32Array;
    found[path] = new Uint8Array(values.buffer, values.byteOffset, values.byteLength).toHex();
  }
  return found;
}

/** A short training of a model with routing options. */
async function trained(routing: RoutingOptions, options: FitOptions = {}, model: LvlmOptions = {}) {
  const recipe = shortRecipe({ zLoss: 0.01 });
  const run = await fit(smallest({ ...model, routing }), recipe, options);
  return { complete: run.complete, records: run.records, bits: await bits(run.model) };
}

const ALL: RoutingOptions = { bias: 0.01, capacity: 1, jitter: 0.1, noise: 0.1 };

Deno.test("trainingStep() gives z-loss, drop rates and bias updates where options ask for them", async () => {
  const batch = twoRows();
  const outputs = async (routing: RoutingOptions, coefficient: number) => {
    const model = await mixture(thimble({ ffn: moiie(), routing }));
    const inputs = inputsOf(batch);
    const optimizer = new AdamW([{ name: "all", parameters: modelParameters(model) }]);
    const run = trainingStep(model, optimizer, { zLoss: coefficient });
    const shape = [batch.rows, batch.length];
    const host = Object.fromEntries(
      Object.entries({ ...batch.arrays, labels: batch.labels }).map((
        [name, data],
      ) => [name, { data, shape }]),
    );
    const { routings } = applyLvlm(model, inputs);
    const [[z], rates] = await read(zLoss(routings, coefficient), dropRates(routings));
    const before = [...(await model.language.blocks[1].ffn.buffers?.bias.data() ?? [])];
    const out = await run({
      ...host,
      pixels: { data: batch.pixels, shape: [batch.rows, 3, 16, 16] },
      hyper: { data: optimizer.hyper(0, 1), shape: optimizer.hyperShape },
    });
    return { out, z, rates, before, model, done: () => run.dispose() };
  };
  const plain = await outputs({}, 0);
  assertEquals(Object.keys(plain.out).filter((k) => k === "zLoss" || k === "dropRates"), []);
  assertEquals(plain.out.biases, []);
  const { out, z, rates, before, model, done } = await outputs({ bias: 0.5, capacity: 0.5 }, 0.25);
  const tensorOf = (name: string) => out[name] as Tensor;
  assertClose([await tensorOf("zLoss").item()], [z], 1e-6);
  assertClose([...await tensorOf("dropRates").data()], rates, 1e-6);
  assert(rates.every((r) => r > 0 && r < 1), `${rates}`);
  assertEquals(before, [0, 0, 0, 0, 0, 0]);
  const after = [...await model.language.blocks[1].ffn.buffers!.bias.data()];
  assert(after.every((b) => [-0.5, 0, 0.5].includes(b)) && after.some((b) => b !== 0), `${after}`);
  plain.done();
  done();
});

Deno.test("a training with every routing option resumes to the bit, biases included", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const unbroken = await trained(ALL);
    const paths = Object.keys(unbroken.bits).filter((path) => path.includes("buffers"));
    assertEquals(paths, ["language.blocks.1.ffn.buffers.bias"]);
    const last = unbroken.records.at(-1)!;
    assert(last.zLoss! > 0 && last.dropRates!.length === 2 && last.dropRates![1] > 0);
    assertEquals("zLoss" in unbroken.records[0], false);
    const checkpoint = `${folder}/checkpoint.safetensors`, abort = new AbortController();
    await trained(ALL, {
      checkpoint,
      saveEvery: 3,
      signal: abort.signal,
      onStep: ({ done }) => {
        if (done === 7) abort.abort();
      },
    });
    const file = readSafetensors(checkpoint);
    const bias = [...file.float32(`model.${paths[0]}`)];
    assertEquals(JSON.parse(file.metadata.config).routing, ALL);
    file.close();
    assert(bias.some((b) => b !== 0), "the biases are saved as they are by then");
    assertEquals(await trained(ALL, { checkpoint }), unbroken);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("noise is in training alone, and another in every step", async () => {
  const { records } = await trained({ jitter: 0.5, noise: 1 });
  const plain = await trained({});
  // The first stage has no experts, and they are equal until the first step at a rate above 0.
  assertEquals(records.slice(0, 4), plain.records.slice(0, 4));
  assert(records.slice(4).every((r, i) => i < 2 || r.loss !== plain.records[4 + i].loss));
  const config = thimble({ ffn: moiie(), routing: { jitter: 0.25, noise: 2 } });
  const model = await mixture(config);
  const [a, again, b] = ["1", "1", "2"].map((s) => routingNoise(model, 40, new Random(1, s)));
  assertEquals(a, again);
  assertEquals(a.routerJitter.shape, [2, 40, 16]);
  assertEquals(a.routerNoise.shape, [2, 40, 6]);
  assert(a.routerJitter.data.every((v) => v >= 0.75 && v <= 1.25));
  const values = Array.from(a.routerJitter.data, (v) => (v - 1) / 0.25);
  assert(new Set(values).size > 240 && new Set(values).size <= 256);
  const mean = values.reduce((s, v) => s + v, 0) / values.length;
  const square = values.reduce((s, v) => s + v * v, 0) / values.length;
  assert(Math.abs(mean) < 0.06 && Math.abs(square - 1 / 3) < 0.04, `${mean}, ${square}`);
  assert(a.routerJitter.data.some((v, i) => v !== b.routerJitter.data[i]));
  assert(a.routerNoise.data.some((v) => Math.abs(v) > 2));
  assertEquals(routingNoise(await mixture(thimble({ ffn: moiie() })), 40, new Random(1)), {});
  const assigned = thimble({
    ffn: modalityMoe({ vision: 1, language: 1 }),
    routing: { jitter: 0.25 },
  });
  assertEquals(routingNoise(await mixture(assigned), 40, new Random(1)), {});
});

Deno.test("fit() trains models in slices, with always-on experts and with experts that choose", async () => {
  const ffn = moiie({ split: 2, alwaysOn: { gate: true } });
  const { records, bits: got } = await trained({ chooser: "expert" }, {}, { ffn });
  assert(records.every((r) => Number.isFinite(r.loss) && r.gradientNorm > 0));
  const start = await trained({ chooser: "expert" }, {
    signal: AbortSignal.abort(),
  }, { ffn });
  assertEquals(start.records, []);
  const always = Object.keys(got).filter((path) => path.includes("alwaysOn"));
  assertEquals(always.length, 3);
});
