import { assert, assertEquals, assertGreater, assertLess, assertRejects } from "@std/assert";
import {
  applyPublished,
  extractDense,
  mergeModels,
  type PublishedLvlm,
  upcyclePublished,
  upcycleReceipt,
} from "../../src/models/mod.ts";
import { languageOf, publishedPart, tensorsIn } from "../../src/models/model_tree.ts";
import { modalityMoe, moiie, moiieOf, type PoolTable, vanillaMoe } from "../../src/moe/mod.ts";
import { setValues } from "../../src/tensor/mod.ts";
import { assertClose, read } from "../nn/shared.ts";
import { folderOf, imageRows, languageIn, llavaIn, textRows } from "./fixture_models.ts";

const MODELS: Record<string, () => PublishedLvlm> = {
  Llama: () => languageIn(folderOf("models/llama")),
  "tied Llama": () => languageIn(folderOf("models/llama_tied_rope3")),
  "Phi-3": () => languageIn(folderOf("models/phi3")),
  LLaVA: () => llavaIn(folderOf("models/llava")),
};
const inputsOf = (model: PublishedLvlm) => "text" in model ? imageRows() : textRows(67);

/** The values of all tensors by path, as bits, so that zeros of both signs differ. */
async function bitsOf(model: unknown): Promise<Map<string, number[]>> {
  const found = new Map<string, number[]>();
  for (const [path, t] of tensorsIn(model)) {
    const values = await t.data();
    found.set(
      path,
      Array.from(new Uint8Array(values.buffer, values.byteOffset, values.byteLength)),
    );
  }
  return found;
}

const TABLES: Record<string, PoolTable> = {
  MoIIE: moiie(),
  "MoIIE of slices": moiie({ split: 2 }),
  "vanilla MoE": vanillaMoe(),
  "modality MoE": modalityMoe(),
  "hard modality MoE": modalityMoe({ vision: 1, language: 1 }),
  "three modalities": moiieOf({
    modalities: ["text", "image", "audio"],
    own: { text: 1, image: 1, audio: 1 },
    shared: 1,
  }),
};

/** All tables on the smallest model, two on the others: every table is another program to compile. */
const tablesFor = (model: string) =>
  Object.entries(TABLES).slice(0, model === "tied Llama" ? undefined : 2);

for (const [name, make] of Object.entries(MODELS)) {
  Deno.test(`upcyclePublished() keeps the logits of ${name} when experts are equal, whatever the table`, async () => {
    const model = make(), inputs = inputsOf(model);
    for (const [variant, table] of tablesFor(name)) {
      const made = await upcyclePublished(model, table, { placement: "full", seed: 5 });
      for (const { ffn } of languageOf(made).blocks) {
        assertEquals(ffn.table, table, variant);
        assertEquals(ffn.gateUp.shape[0], table.experts.length, variant);
      }
      const { relative, largest, tokens } = await upcycleReceipt(made, model, inputs);
      assertEquals(tokens, 33);
      assertLess(relative, 1e-6, variant);
      assertLess(largest, 1e-5, variant);
    }
  });

  Deno.test(`extractDense() gives ${name} back to the bit when its experts were not trained`, async () => {
    const model = make(), before = await bitsOf(model);
    for (const [variant, table] of Object.entries(TABLES)) {
      const { name: first } = table.experts[0];
      const made = await upcyclePublished(model, table, { placement: "full" });
      for (const kept of [first.replace(/\.\d$/, ""), table.experts.at(-1)!.group]) {
        const back = await extractDense(made, kept);
        assertEquals(await bitsOf(back), before, `${variant} ${kept}`);
        assertEquals(publishedPart(back).coefficients, []);
      }
    }
  });
}

Deno.test("upcyclePublished() gives the layers of the placement experts, and every layer its own routers", async () => {
  const model = languageIn(folderOf("models/llama"));
  const mixtures = (m: PublishedLvlm) =>
    languageOf(m).blocks.flatMap((b, i) => b.ffn.table.experts.length > 1 ? [i] : []);
  const made = await upcyclePublished(model, moiie(), { seed: 1 });
  assertEquals(mixtures(made), [1]);
  assertEquals(mixtures(await upcyclePublished(model, moiie(), { placement: [0, 2] })), [0, 2]);
  assertEquals(made.coefficients, [0.001, 0.001]);
  assertEquals(mixtures(model), [], "the dense model stays as it is");
  const full = await upcyclePublished(model, moiie(), {
    placement: "full",
    seed: 1,
    balance: 0.02,
  });
  assertEquals(full.coefficients, [0.02, 0.02]);
  const routers = await read(...languageOf(full).blocks.flatMap((b) => b.ffn.routers));
  assertEquals(new Set(routers.map((r) => r.join())).size, 6);
  const [again] = await read(languageOf(made).blocks[1].ffn.routers[0]);
  assertEquals(again, routers[2], "equal seeds give equal routers");
  const typed = await upcyclePublished(model, moiie(), { visionBoundary: "exact" });
  assertEquals([model, made, typed].map((m) => m.config.visionBoundary), [
    "shifted",
    "shifted",
    "exact",
  ]);
});

Deno.test("upcyclePublished() copies all weights, or shares those outside of the new layers", async () => {
  const model = languageIn(folderOf("models/llama_tied_rope3"));
  const own = await upcyclePublished(model, moiie(), { placement: "full" });
  const sharing = await upcyclePublished(model, moiie(), { placement: "full", share: true });
  const theirs = new Set(tensorsIn(model).values());
  assertEquals([...tensorsIn(own).values()].filter((t) => theirs.has(t)).length, 0);
  assert(own.language.embedding === own.language.head.weight, "the head stays tied");
  const shared = [...tensorsIn(sharing)].filter(([, t]) => theirs.has(t)).map(([path]) => path);
  assertEquals(shared.length, 6);
  assert(shared.every((path) => !path.includes("ffn")), shared.join());
});

Deno.test("upcyclePublished() with noise or dropped units is no longer the dense model, and the receipt says so", async () => {
  const model = llavaIn(folderOf("models/llava")), inputs = imageRows();
  const off = async (options: Parameters<typeof upcyclePublished>[2]) =>
    (await upcycleReceipt(
      await upcyclePublished(model, moiie(), { seed: 2, ...options }),
      model,
      inputs,
    )).relative;
  const [little, more, dropped] = [
    await off({ noise: 1e-4 }),
    await off({ noise: 1e-2 }),
    await off({ drop: 0.5 }),
  ];
  assertGreater(little, 1e-6);
  assertGreater(more, 20 * little);
  assertGreater(dropped, 1e-3);
  const loose = await upcyclePublished(model, moiie({ renormalise: false }));
  assertGreater((await upcycleReceipt(loose, model, inputs)).relative, 1e-3);
});

Deno.test("extractDense() takes a weighted mean of experts", async () => {
  const model = await upcyclePublished(languageIn(folderOf("models/phi3")), moiie());
  const { ffn } = model.language.blocks[1], { down, table } = ffn;
  const [values] = await read(down), n = values.length / 4;
  setValues(down, values.map((v, i) => v + Math.floor(i / n)));
  const number = (name: string) => table.experts.findIndex((e) => e.name === name);
  const meant = async (kept: Parameters<typeof extractDense>[1]) =>
    (await read((await extractDense(model, kept)).language.blocks[1].ffn.down))[0];
  const base = values.slice(0, n);
  const shifted = (by: number) => base.map((v) => v + by);
  assertClose(await meant("S2"), shifted(number("S2")), 1e-6);
  assertClose(await meant("shared"), shifted((number("S1") + number("S2")) / 2), 1e-6);
  assertClose(await meant(["V1", "S2"]), shifted((number("V1") + number("S2")) / 2), 1e-6);
  assertClose(
    await meant({ V1: 3, S1: 1 }),
    shifted((3 * number("V1") + number("S1")) / 4),
    1e-6,
  );
  assertClose(
    await meant({ shared: 2, L1: 2 }),
    shifted((number("S1") + number("S2") + 2 * number("L1")) / 4),
    1e-6,
  );
  await assertRejects(() => meant({ V1: 0 }), RangeError, "not all 0");
  await assertRejects(() => meant({ V1: -1, S1: 2 }), RangeError, "at least 0");
  await assertRejects(() => meant({ W1: 1 }), RangeError, `"V1"`);
});

Deno.test("mergeModels() takes the mean of models, by shares, and one alone to the bit", async () => {
  const a = languageIn(folderOf("models/llama")), b = await mergeModels([a]);
  assertEquals(await bitsOf(b), await bitsOf(a));
  setValues(b.language.norm.weight, new Float32Array(32).fill(5));
  const [norm, other] = await read(a.language.norm.weight, b.language.norm.weight);
  assertEquals(other, new Array(32).fill(5), "the merged model has weights of its own");
  const mean = async (shares?: number[]) =>
    (await read((await mergeModels([a, b], shares)).language.norm.weight))[0];
  assertClose(await mean(), norm.map((v) => (v + 5) / 2), 1e-6);
  assertClose(await mean([3, 1]), norm.map((v) => 0.75 * v + 1.25), 1e-6);
  assertEquals(await mean([0, 2]), other);
  assertEquals(norm, (await read(a.language.norm.weight))[0], "models stay as they are");
});

Deno.test("a mean of two upcycled models gives logits between theirs, and a mean of equal ones theirs", async () => {
  const model = llavaIn(folderOf("models/llava")), inputs = imageRows();
  const made = await upcyclePublished(model, moiie(), { seed: 1 });
  const same = await mergeModels([made, made, made], [1, 2, 4]);
  const [want, got] = await read(
    applyPublished(made, inputs).logits,
    applyPublished(same, inputs).logits,
  );
  assertClose(got, want, 1e-5);
});

Deno.test("upcycling, extracting and merging refuse what makes no sense", async () => {
  const model = languageIn(folderOf("models/phi3")),
    mixture = await upcyclePublished(model, moiie());
  const refused = (work: () => Promise<unknown>, text: string) =>
    assertRejects(work, RangeError, text);
  await refused(() => upcyclePublished(mixture, moiie()), "already has 4 experts");
  await refused(() => upcyclePublished(model, moiie(), { placement: [2] }), "layer 2 of 2");
  await refused(() => upcyclePublished(model, moiie(), { noise: -1 }), "noise = -1");
  await refused(() => upcyclePublished(model, moiie(), { balance: NaN }), "balance = NaN");
  // deno-lint-ignore no-explicit-any
  await refused(() => upcyclePublished(model, moiie(), { nosie: 1 } as any), `"noise"`);
  await refused(() => upcyclePublished(model, moiie({ split: 7 })), "7 slices do not divide");
  await refused(() => extractDense(model, "S1"), "dense already");
  await refused(() => mergeModels([]), "0 models");
  await refused(() => mergeModels([model, model], [1]), "2 models with 1 shares");
  await refused(() => mergeModels([model, model], [1, -1]), "at least 0");
  await refused(() => mergeModels([model, mixture]), "in the first model and");
  const alwaysOn = await upcyclePublished(model, moiie({ alwaysOn: 1 }));
  await refused(() => extractDense(alwaysOn, "S1"), "always-on");
  await assertRejects(
    async () => await upcycleReceipt(model, model, { ...textRows(67), pixels: imageRows().pixels }),
    RangeError,
    "takes no pixels",
  );
});
