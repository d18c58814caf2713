import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  ablateExperts,
  applyLvlm,
  expertsNamed,
  extractDense,
  type Lvlm,
  makeLvlm,
  modelParameters,
  summarize,
  upcycle,
} from "../../src/models/mod.ts";
import { dense, modalityMoe, moiie, type PoolTable, vanillaMoe } from "../../src/moe/mod.ts";
import { Random, setValues } from "../../src/tensor/mod.ts";
import { assertClose, read } from "../nn/shared.ts";
import { inputsOf, mixture, thimble, twoRows } from "./shared.ts";

/** The logits of all real tokens: padding is not computed in mixtures, and nothing looks at it. */
async function logitsOf(model: Lvlm): Promise<number[]> {
  const inputs = inputsOf(twoRows());
  const [valid, logits] = await read(inputs.valid, applyLvlm(model, inputs).logits);
  const { vocabulary } = model.config.language;
  return logits.filter((_, i) => valid[Math.floor(i / vocabulary)] === 1);
}

async function valuesOf(model: Lvlm): Promise<Map<string, number[]>> {
  const all = [...modelParameters(model)];
  const values = await read(...all.map(([, t]) => t));
  return new Map(all.map(([path], i) => [path, values[i]]));
}

/** A model whose experts are equal, with decisive routers; slices of one expert stay together. */
async function equalExperts(ffn: PoolTable): Promise<Lvlm> {
  const model = await upcycle(makeLvlm(new Random(3), thimble({ ffn })), new Random(4));
  if (ffn.split) return model;
  for (const [path, t] of modelParameters(model)) {
    if (path.includes("router")) setValues(t, new Random(5, path).normals(t.size));
  }
  return model;
}

for (
  const [name, table, kept] of [
    ["MoIIE", moiie(), ["vision", "language", "shared", "V1", "S1", "S2"]],
    ["hard modality experts", modalityMoe({ vision: 1, language: 1 }), ["vision", "language"]],
    ["vanilla MoE", vanillaMoe(), ["S3"]],
    ["MoIIE of slices", moiie({ split: 2 }), ["V1", "shared"]],
  ] as const
) {
  Deno.test(`extractDense() gives what the mixture gives when all experts of ${name} are equal`, async () => {
    const model = await equalExperts(table);
    const want = await logitsOf(model);
    for (const which of kept) {
      const one = await extractDense(model, which);
      assertClose(await logitsOf(one), want, 1e-5, which);
      assertEquals(one.config.ffn, dense());
      assertEquals(summarize(one.config).total, summarize(one.config).active);
    }
  });
}

Deno.test("extractDense() keeps the named expert of every mixture layer, and everything else", async () => {
  const model = await mixture(thimble({ ffn: moiie() }));
  const all = await valuesOf(model);
  const one = await valuesOf(await extractDense(model, "S2"));
  const mean = await valuesOf(await extractDense(model, "shared"));
  for (const [path, values] of one) {
    const before = all.get(path)!;
    if (!/blocks\.[13]\.ffn/.test(path)) {
      assertEquals(values, before, path);
      continue;
    }
    const n = values.length, expert = (e: number) => before.slice(e * n, (e + 1) * n);
    const s1 = model.config.ffn.experts.findIndex((e) => e.name === "S1");
    const s2 = model.config.ffn.experts.findIndex((e) => e.name === "S2");
    assertEquals(values, expert(s2), path);
    const half = expert(s1).map((v, i) => (v + expert(s2)[i]) / 2);
    assertClose(mean.get(path)!, half, 1e-6, path);
  }
  assert([...one.keys()].every((path) => !path.includes("router")));
});

Deno.test("extractDense() gives weights of its own", async () => {
  const model = await mixture(thimble({ ffn: moiie() }));
  const one = await extractDense(model, "S1");
  const before = await logitsOf(one);
  for (const t of modelParameters(model).values()) setValues(t, new Float32Array(t.size));
  assertEquals(await logitsOf(one), before);
});

Deno.test("extractDense() refuses what it cannot do, and says what to do", async () => {
  const model = await mixture(thimble({ ffn: moiie() }));
  const error = async (m: Lvlm, which: string) =>
    (await assertRejects(() => extractDense(m, which), RangeError)).message;
  assertStringIncludes(await error(model, "S3"), "S1");
  assertStringIncludes(await error(await extractDense(model, "S1"), "S1"), "dense already");
  const sliced = await mixture(thimble({ ffn: moiie({ split: 2 }) }));
  assertStringIncludes(await error(sliced, "V1.2"), "whole experts, such as V1");
  const always = await mixture(thimble({ ffn: moiie({ alwaysOn: 1 }) }));
  assertStringIncludes(await error(always, "S1"), "always-on");
});

Deno.test("expertsNamed() knows names, groups, slices, and several of them", () => {
  const table = moiie({ split: 2 });
  const names = (which: string | string[]) =>
    expertsNamed(table, which).map((e) => table.experts[e].name);
  assertEquals(names("V1"), ["V1.1", "V1.2"]);
  assertEquals(names("S2.1"), ["S2.1"]);
  assertEquals(names("shared"), ["S1.1", "S1.2", "S2.1", "S2.2"]);
  assertEquals(new Set(names(["vision", "language"])), new Set(["V1.1", "V1.2", "L1.1", "L1.2"]));
});

Deno.test("ablateExperts() changes nothing when the experts are equal, whatever is taken away", async () => {
  for (const ffn of [moiie(), moiie({ vision: 3, language: 3 }), vanillaMoe()]) {
    const model = await equalExperts(ffn);
    const want = await logitsOf(model);
    for (const which of ["S1", "shared", ["V1", "L1"]]) {
      if (ffn.variant === "vanilla" && which !== "S1") continue;
      assertClose(await logitsOf(await ablateExperts(model, which)), want, 1e-5, `${which}`);
    }
  }
});

Deno.test("ablateExperts() leaves the chosen experts to the others of the pool, with weights that sum to 1", async () => {
  const model = await mixture(thimble({ ffn: moiie() }));
  const names = model.config.ffn.experts.map((e) => e.name);
  const inputs = inputsOf(twoRows());
  const before = applyLvlm(model, inputs).routings[0];
  const after = applyLvlm(await ablateExperts(model, "S1"), inputs).routings[0];
  const [modality, p, q, chosen, weights] = await read(
    before.modality,
    before.probabilities,
    after.probabilities,
    after.chosen,
    after.weights,
  );
  const s1 = names.indexOf("S1");
  modality.forEach((_, t) => {
    const old = p.slice(4 * t, 4 * t + 4), now = q.slice(4 * t, 4 * t + 4);
    const left = old.map((v, e) => e === s1 ? 0 : v);
    const sum = left.reduce((a, b) => a + b, 0);
    // The first mixture layer sees the same tokens, so the rest is what there was, divided anew.
    assertClose(now, left.map((v) => v / sum), 1e-5);
    assert(!chosen.slice(2 * t, 2 * t + 2).includes(s1));
    assertClose([weights[2 * t] + weights[2 * t + 1]], [1], 1e-6);
  });
});

Deno.test("ablateExperts() computes what the model with a zero-weighted expert computes", async () => {
  const model = await mixture(thimble({ ffn: vanillaMoe({ experts: 2, topK: 1 }) }));
  // Without its first expert, a layer of two is the second expert alone.
  const alone = await logitsOf(await extractDense(model, "S2"));
  assertClose(await logitsOf(await ablateExperts(model, "S1")), alone, 1e-5);
});

Deno.test("ablateExperts() refuses to leave the tokens of a modality without experts", async () => {
  const model = await mixture(thimble({ ffn: modalityMoe() }));
  const { message } = await assertRejects(() => ablateExperts(model, "vision"), RangeError);
  assertStringIncludes(message, "image tokens have no expert left");
  await assertRejects(() => ablateExperts(model, "S1"), RangeError);
});
