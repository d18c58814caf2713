import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import {
  applyPublishedLanguage,
  loadPublished,
  openCheckpoint,
  type PublishedInputs,
  type PublishedLanguage,
  publishedShapes,
  type SafetensorsTensor,
  streamLayers,
} from "../../src/models/mod.ts";
import { Random, sizeOf, take, type Tensor } from "../../src/tensor/mod.ts";
import { assertClose, session } from "../nn/shared.ts";
import { inFolder, writeJson, writeWeights } from "./checkpoint_shared.ts";
import { configOf, folderOf, textRows } from "./fixture_models.ts";
import { ids } from "./published_shared.ts";

const FOLDERS = [
  "models/llama_sharded_bf16",
  "models/llama_tied_rope3",
  "models/phi3_longrope",
  "models/mixtral",
  "moiie_official/phi3_moiie",
];

const vocabularyOf = (folder: string) => Number(configOf(folder).vocab_size);

Deno.test("streamLayers() gives the logits and hidden states of the resident model", async () => {
  for (const name of FOLDERS) {
    const folder = folderOf(name), inputs = textRows(vocabularyOf(folder));
    const { model, weights } = await loadPublished(folder);
    const want = applyPublishedLanguage(model as PublishedLanguage, inputs, { hidden: true });
    using streamed = await streamLayers(folder);
    const got = await streamed.apply(inputs, { hidden: true });
    assertEquals(got.logits.shape, want.logits.shape);
    assertClose(await got.logits.data(), await want.logits.data(), 1e-6, name);
    assertEquals(got.hiddenStates!.length, want.hiddenStates!.length);
    for (const [i, state] of want.hiddenStates!.entries()) {
      assertClose(
        await got.hiddenStates![i].data(),
        await state.data(),
        1e-6,
        `${name} state ${i}`,
      );
    }
    assertEquals(got.routings.length, want.routings.length);
    for (const [i, { modality, chosen }] of got.routings.entries()) {
      assertEquals(await modality.data(), await want.routings[i].modality.data());
      assertEquals(await chosen.data(), await want.routings[i].chosen.data());
    }
    assertEquals((await inputs.mask!.data()).length, inputs.mask!.size, "inputs are the caller's");
    for (const t of weights.values()) t.dispose();
  }
});

Deno.test("streamLayers() takes embeddings, and runs the language model of a LLaVA", async () => {
  const folder = folderOf("models/llava"), { tokens, mask } = textRows(90);
  const { model, weights } = await loadPublished(folder);
  const text = (model as unknown as { text: PublishedLanguage }).text;
  const embeddings = take(text.language.embedding, tokens);
  const want = applyPublishedLanguage(text, { embeddings, mask });
  using streamed = await streamLayers(folder);
  const layers: number[] = [];
  const got = await streamed.apply({ embeddings, mask }, { onLayer: (i) => layers.push(i) });
  assertClose(await got.logits.data(), await want.logits.data(), 1e-6);
  assertEquals(layers, [0, 1, 2]);
  assert((await embeddings.data()).length > 0, "the caller's embeddings are the caller's");
  for (const t of weights.values()) t.dispose();
});

/** Phi-3-mini's shape made small, with its proportions: `layers` layers of random weights. */
function writePhi(folder: string, layers: number): void {
  const config = {
    model_type: "phi3",
    vocab_size: 320,
    hidden_size: 96,
    intermediate_size: 256,
    num_hidden_layers: layers,
    num_attention_heads: 4,
  };
  writeJson(folder, "config.json", config);
  const tensors: Record<string, SafetensorsTensor> = {};
  for (const [name, shape] of publishedShapes(config)) {
    const isNorm = name.includes("norm");
    const data = new Random(1, name).normals(sizeOf(shape), isNorm ? 1 : 0, isNorm ? 0.1 : 0.05);
    tensors[name] = { dtype: "F32", shape, data };
  }
  writeWeights(folder, "model.safetensors", tensors);
}

Deno.test("streamLayers() holds one layer at a time, whatever their number", async () => {
  const bytes: number[] = [], tokens = ids([1, 5, 300, 7], 1, 4);
  for (const layers of [2, 12]) {
    await inFolder(async (folder) => {
      writePhi(folder, layers);
      using checkpoint = openCheckpoint(folder);
      const one = checkpoint.names.filter((name) => name.includes("layers.0."))
        .reduce((sum, name) => sum + checkpoint.entry(name).bytes, 0);
      const held = () => session.memory().owners.parameters?.bytes ?? 0;
      const before = held();
      let most = 0;
      const progress = () => {
        most = Math.max(most, held());
      };
      using model = await streamLayers(folder, { progress });
      const { logits } = await model.apply({ tokens });
      assert((await logits.data()).every(Number.isFinite));
      logits.dispose();
      assertLess(most - before, 1.3 * one);
      assert(most - before >= one);
      assertEquals(held(), before);
      bytes.push(most - before);
    });
  }
  assertEquals(bytes[1], bytes[0]);
});

Deno.test("streamLayers() runs with f16 weights", async () => {
  await inFolder(async (folder) => {
    writePhi(folder, 2);
    const tokens = ids([1, 5, 300, 7, 11, 9], 2, 3);
    const all: Tensor[] = [];
    for (const dtype of ["f32", "f16"] as const) {
      using model = await streamLayers(folder, { dtype });
      all.push((await model.apply({ tokens })).logits);
    }
    assertEquals(all[1].dtype, "f16");
    const [want, got] = [await all[0].data(), await all[1].data()];
    assertClose(got, want, 5e-3);
  });
});

Deno.test("streamLayers() refuses what it cannot run, with the numbers", async () => {
  const folder = folderOf("models/phi3"), device = { name: "a small device", binding: 10_000 };
  const tooLarge = () => streamLayers(folder, { device });
  await assertRejects(tooLarge, RangeError, "self_attn.qkv_proj.weight has 12288 bytes");
  await assertRejects(tooLarge, RangeError, "at most 10000");
  using half = await streamLayers(folder, { device: { ...device, binding: 12_288 }, dtype: "f16" });
  assertEquals(half.layers, 2);
  await assertRejects(() => streamLayers(folderOf("models/clip_vision")), RangeError, "model_type");
  using model = await streamLayers(folder);
  const wrong: [PublishedInputs, string][] = [
    [{}, "tokens or embeddings"],
    [{ tokens: ids([1, 101], 1, 2) }, "token 101 of a vocabulary of 101"],
    [{ tokens: ids([1, -1], 1, 2) }, "token -1"],
    [{ tokens: ids([1, 2], 1, 2), mask: ids([1], 1, 1) }, "must begin with [1,2]"],
  ];
  for (const [inputs, text] of wrong) {
    await assertRejects(() => model.apply(inputs), RangeError, text);
  }
});
