import { assert, assertEquals, assertLess, assertRejects, assertStringIncludes } from "@std/assert";
import {
  extractDense,
  loadPublished,
  type Published,
  type PublishedConfig,
  toBfloat16,
  upcyclePublished,
  upcycleReceipt,
  writePublished,
  writeSafetensors,
} from "../../src/models/mod.ts";
import { modalityMoe, moiie, moiieOf, vanillaMoe } from "../../src/moe/mod.ts";
import { setValues } from "../../src/tensor/mod.ts";
import { read } from "../nn/shared.ts";
import { contents } from "./checkpoint_shared.ts";
import { configOf, folderOf, imageRows, tensorsOf, textRows } from "./fixture_models.ts";

const PHI3 = folderOf("models/phi3"), LLAMA = folderOf("models/llama");
const OFFICIAL = folderOf("moiie_official/phi3_moiie"),
  SHARDED = folderOf("models/llama_sharded_bf16");
const MODELS = [...Deno.readDirSync(folderOf("models"))].map(({ name }) =>
  folderOf(`models/${name}`)
);

/** Runs a test in a folder of its own. */
async function inFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "moiie-write-" });
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const shapes = (folder: string) => contents(folder).map(([name, , shape]) => `${name} ${shape}`);
const filesIn = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
const text = (folder: string) => Deno.readTextFileSync(`${folder}/config.json`);

/** A folder with a copy of a model and other files beside it. */
async function copyOf(from: string, to: string, others: Record<string, string>): Promise<void> {
  await Deno.mkdir(to);
  for (const name of ["config.json", "model.safetensors"]) {
    await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
  }
  for (const [name, content] of Object.entries(others)) {
    await Deno.writeTextFile(`${to}/${name}`, content);
  }
}

for (const from of [...MODELS, OFFICIAL]) {
  Deno.test(`writePublished() gives ${from.split("/").at(-1)} back bit for bit when nothing was changed`, () =>
    inFolder(async (folder) => {
      const to = `${folder}/again`;
      const { leftOut, notes, tensors } = await writePublished(to, await loadPublished(from));
      assertEquals(contents(to), contents(from));
      assertEquals(text(to), text(from));
      assertEquals([leftOut, notes], [[], []]);
      assertEquals([...tensors].sort(), contents(from).map(([name]) => name));
      assertEquals(filesIn(to), ["config.json", "model.safetensors"]);
      assertEquals(filesIn(folder), ["again"], "nothing else is left");
    }));
}

Deno.test("writePublished() spreads the weights over files of the shard size, with an index", () =>
  inFolder(async (folder) => {
    const to = `${folder}/shards`, model = await loadPublished(SHARDED);
    const { files, bytes } = await writePublished(to, model, { shardSize: 10_000 });
    const index = JSON.parse(Deno.readTextFileSync(`${to}/model.safetensors.index.json`));
    assertEquals(index.metadata, { total_size: 36544 });
    assertEquals(bytes, 36544);
    const shards = files.filter((name) => /^model-.*safetensors$/.test(name));
    assertEquals(shards[0], `model-00001-of-0000${shards.length}.safetensors`);
    assert(shards.length >= 4, files.join());
    assertEquals(new Set(Object.values(index.weight_map)), new Set(shards));
    for (const name of shards) assertLess(Deno.statSync(`${to}/${name}`).size, 10_000 + 3000);
    assertEquals(contents(to), contents(SHARDED));
    const again = await loadPublished(to);
    await writePublished(`${folder}/one`, again);
    assertEquals(contents(`${folder}/one`), contents(SHARDED));
    const alone = await writePublished(`${folder}/alone`, again, { shardSize: 1 });
    assertEquals(alone.files.length, 21 + 2, "a tensor larger than a shard has one of its own");
    assertEquals(contents(`${folder}/alone`), contents(SHARDED));
  }));

Deno.test("an upcycled Phi-3 is written with the tensors and fields of the authors' MoIIE, and read back it is the same", () =>
  inFolder(async (folder) => {
    // A dense Phi-3 of the official model's sizes.
    const official = await loadPublished(OFFICIAL), dense = `${folder}/dense`;
    await writePublished(dense, await extractDense(official, "V1"));
    const denseConfig = configOf(dense);
    assert(!Object.keys(denseConfig).some((key) => /expert|router/.test(key)), text(dense));
    assert(shapes(dense).every((line) => !/expert|gate\./.test(line)));
    const loaded = await loadPublished(dense);
    const model = await upcyclePublished(loaded, moiie(), { seed: 3, balance: 0.002 });
    await train(model);
    const to = `${folder}/moiie`, { notes, leftOut } = await writePublished(to, model);
    assertEquals(notes, []);
    assertEquals(leftOut, [
      "model.layers.1.mlp.down_proj.weight",
      "model.layers.1.mlp.gate_up_proj.weight",
    ]);
    assertEquals(shapes(to), shapes(OFFICIAL));
    const config = configOf(to), wanted = configOf(OFFICIAL);
    assertEquals(Object.keys(config).sort(), Object.keys(wanted).sort());
    const coefficients = { lan_router_aux_loss_coef: 0.002, vis_router_aux_loss_coef: 0.002 };
    assertEquals({ ...config }, { ...wanted, ...coefficients });
    assertStringIncludes(text(to), `"rope_theta": 10000.0`);
    assertStringIncludes(text(to), `"router_jitter_noise": 0.0`);
    const again = await loadPublished(to);
    const { relative, tokens } = await upcycleReceipt(again, model, textRows(83));
    assertEquals(tokens, 33);
    assertLess(relative, 1e-6);
    if (again.kind !== "language") throw new Error("not a language model");
    assertEquals(again.model.coefficients, [0.002, 0.002]);
    const names = again.model.language.blocks[1].ffn.table.experts.map((e) => e.name);
    assertEquals(names, ["V1", "S1", "S2", "L1"]);
    // The same expert by name, whatever its place.
    const rows = textRows(83);
    for (const which of ["V1", "S2", "L1"]) {
      const one = await extractDense(model, which), other = await extractDense(again, which);
      assertEquals((await upcycleReceipt(other, one, rows)).relative, 0, which);
    }
  }));

/** Makes the weights of the mixtures differ from each other. */
async function train(model: { readonly model: unknown }): Promise<void> {
  const { language } = model.model as { language: { blocks: { ffn: { down: never } }[] } };
  for (const { ffn: { down } } of language.blocks) {
    const [values] = await read(down);
    setValues(down, values.map((v, i) => v + 0.01 * Math.sin(i)));
  }
}

Deno.test("a written LLaVA whose language model was upcycled gives the same logits when it is read", () =>
  inFolder(async (folder) => {
    const dense = await loadPublished(folderOf("models/llava"));
    const table = moiie({ vision: 2, language: 1, shared: 2 });
    const model = await upcyclePublished(dense, table, { placement: "full" });
    const { notes } = await writePublished(`${folder}/moiie`, model);
    assertEquals(notes.length, 3);
    const again = await loadPublished(`${folder}/moiie`);
    assertLess((await upcycleReceipt(again, model, imageRows())).relative, 1e-6);
    const { text_config: own } = again.config as { text_config: PublishedConfig };
    assertEquals([own.num_experts, again.config.num_experts], [5, undefined]);
    await writePublished(`${folder}/dense`, await extractDense(again, "S2"));
    assertEquals(contents(`${folder}/dense`), contents(folderOf("models/llava")));
    assertEquals(configOf(`${folder}/dense`), configOf(folderOf("models/llava")));
  }));

Deno.test("experts with one router for all tokens are written as Mixtral where all layers have them", () =>
  inFolder(async (folder) => {
    const dense = await loadPublished(LLAMA);
    const model = await upcyclePublished(dense, vanillaMoe(), { placement: "full" });
    await writePublished(`${folder}/moe`, model);
    const again = await loadPublished(`${folder}/moe`);
    const { model_type, architectures, num_local_experts, rope_theta } = again.config;
    assertEquals([model_type, architectures, num_local_experts, rope_theta], [
      "mixtral",
      ["MixtralForCausalLM"],
      4,
      500000,
    ]);
    assertLess((await upcycleReceipt(again, model, textRows(113))).relative, 1e-6);
    await writePublished(`${folder}/dense`, await extractDense(again, "S3"));
    assertEquals(contents(`${folder}/dense`), contents(LLAMA));
    assertEquals(configOf(`${folder}/dense`).model_type, "llama");
    assertEquals(configOf(`${folder}/dense`).architectures, ["LlamaForCausalLM"]);
  }));

Deno.test("writePublished() rounds to the element type it is told, and says so in the configuration", () =>
  inFolder(async (folder) => {
    const model = await loadPublished(LLAMA);
    for (
      const [dtype, name] of [["BF16", "bfloat16"], ["F16", "float16"], ["F64", "float64"]] as const
    ) {
      const to = `${folder}/${dtype}`;
      await writePublished(to, model, { dtype });
      assertEquals(configOf(to), { ...configOf(LLAMA), torch_dtype: name });
      assertStringIncludes(text(to), `"rope_theta": 500000.0`);
      const before = tensorsOf(LLAMA);
      for (const [tensor, { dtype: type, data }] of tensorsOf(to)) {
        const values = before.get(tensor)!.data as Float32Array;
        assertEquals(type, dtype);
        const want = dtype === "BF16"
          ? toBfloat16(values)
          : dtype === "F16"
          ? Float16Array.from(values)
          : Float64Array.from(values);
        assertEquals(Array.from(data as Uint16Array), Array.from(want), tensor);
      }
    }
  }));

Deno.test("writePublished() takes over the small files, and the hub's code only where the model is what it was", () =>
  inFolder(async (folder) => {
    const from = `${folder}/from`,
      small = {
        "tokenizer.json": "{}",
        "tokenizer_config.json": "{}",
        "tokenizer.model": "x",
        "generation_config.json": `{"eos_token_id": 2}`,
        "preprocessor_config.json": `{"image_processor_type": "CLIPImageProcessor"}`,
        "LICENSE": "MIT",
      };
    const others = { "modeling_phi3.py": "", "README.md": "", "pytorch_model.bin": "" };
    await copyOf(PHI3, from, { ...small, ...others });
    const config = { ...configOf(PHI3), auto_map: { AutoModel: "modeling_phi3.X" } };
    await Deno.writeTextFile(`${from}/config.json`, JSON.stringify(config));
    // The tokenizer is none: the model is read from the file's bytes only.
    await Deno.remove(`${from}/tokenizer.json`);
    const { ["tokenizer.json"]: _, ...copied } = small;
    const model = await loadPublished(from);
    await writePublished(`${folder}/same`, model);
    assertEquals(
      filesIn(`${folder}/same`),
      [
        ...Object.keys(copied),
        "config.json",
        "model.safetensors",
        "modeling_phi3.py",
      ].sort(),
    );
    assertEquals(text(`${folder}/same`), text(from));
    await writePublished(`${folder}/moiie`, await upcyclePublished(model, moiie()));
    assertEquals(
      filesIn(`${folder}/moiie`),
      [
        ...Object.keys(copied),
        "config.json",
        "model.safetensors",
      ].sort(),
    );
    assertEquals(configOf(`${folder}/moiie`).auto_map, undefined);
    // A model by itself: the folder, or only a configuration, is named.
    if (model.kind !== "language") throw new Error("not a language model");
    await writePublished(`${folder}/bare`, model.model, { from });
    assertEquals(contents(`${folder}/bare`), contents(PHI3));
    const alone = await writePublished(`${folder}/config`, model.model, { config: configOf(PHI3) });
    assertEquals(alone.files, ["config.json", "model.safetensors"]);
    assertEquals(contents(`${folder}/config`), contents(PHI3));
    assertEquals(configOf(`${folder}/config`), configOf(PHI3));
    await assertRejects(
      () => writePublished(`${folder}/none`, model.model),
      TypeError,
      "which config.json?",
    );
  }));

Deno.test("writePublished() keeps tensors that the library does not use as they were", () =>
  inFolder(async (folder) => {
    const from = `${folder}/from`, positions = BigInt64Array.of(0n, 1n, 2n);
    await copyOf(PHI3, from, {});
    await writeSafetensors(`${from}/model.safetensors`, {
      ...Object.fromEntries(tensorsOf(PHI3)),
      "model.layers.0.self_attn.rotary_emb.inv_freq": {
        dtype: "F32",
        shape: [2],
        data: Float32Array.of(1, 0.1),
      },
      position_ids: { dtype: "I64", shape: [3], data: positions },
    }, { format: "pt" });
    const model = await loadPublished(from);
    await writePublished(`${folder}/same`, model, { shardSize: 20_000 });
    assertEquals(contents(`${folder}/same`), contents(from));
    const { tensors } = await writePublished(
      `${folder}/moiie`,
      await upcyclePublished(model, moiie()),
      { dtype: "F16" },
    );
    assert(tensors.includes("position_ids"));
    assertEquals(tensorsOf(`${folder}/moiie`).get("position_ids")!.data, positions);
  }));

Deno.test("weights held as f16 are upcycled, extracted and written as they are", () =>
  inFolder(async (folder) => {
    const half = await loadPublished(PHI3, { dtype: "f16" });
    const model = await upcyclePublished(half, moiie(), { placement: "full", seed: 1 });
    const { relative } = await upcycleReceipt(model, half, textRows(101));
    assertLess(relative, 2e-3);
    await writePublished(`${folder}/before`, half, { dtype: "F16" });
    await writePublished(`${folder}/after`, await extractDense(model, "L1"), { dtype: "F16" });
    assertEquals(contents(`${folder}/after`), contents(`${folder}/before`));
  }));

Deno.test("writePublished() replaces a checkpoint only when told to, and nothing else ever", () =>
  inFolder(async (folder) => {
    const to = `${folder}/model`,
      phi3 = await loadPublished(PHI3),
      llama = await loadPublished(LLAMA);
    await writePublished(to, phi3);
    await assertRejects(
      () => writePublished(to, llama),
      Deno.errors.AlreadyExists,
      "set overwrite: true",
    );
    assertEquals(contents(to), contents(PHI3));
    await writePublished(to, llama, { overwrite: true });
    assertEquals(contents(to), contents(LLAMA));
    // Onto the folder that it came from.
    const loaded = await loadPublished(to);
    await writePublished(`${to}/`, loaded, { overwrite: true, dtype: "BF16" });
    assertEquals(new Set(contents(to).map(([, dtype]) => dtype)), new Set(["BF16"]));
    const other = `${folder}/other`;
    await Deno.mkdir(other);
    await writePublished(other, phi3, { overwrite: true });
    await Deno.remove(`${other}/config.json`);
    await assertRejects(
      () => writePublished(other, phi3, { overwrite: true }),
      Deno.errors.AlreadyExists,
      "holds no checkpoint",
    );
    assertEquals(filesIn(other), ["model.safetensors"]);
    assertEquals(filesIn(folder), ["model", "other"]);
  }));

Deno.test("writePublished() leaves nothing behind when it fails", () =>
  inFolder(async (folder) => {
    const model = await loadPublished(PHI3);
    await writePublished(`${folder}/kept`, model);
    if (model.kind !== "language") throw new Error("not a language model");
    model.model.language.norm.weight.dispose();
    for (const [name, overwrite] of [["new", false], ["kept", true]] as const) {
      await assertRejects(
        () => writePublished(`${folder}/${name}`, model, { overwrite }),
        TypeError,
        "disposed",
      );
    }
    assertEquals(filesIn(folder), ["kept"]);
    assertEquals(contents(`${folder}/kept`), contents(PHI3));
  }));

Deno.test("writePublished() refuses what no published format has, with a remedy", () =>
  inFolder(async (folder) => {
    const phi3 = await loadPublished(PHI3), llama = await loadPublished(LLAMA);
    const refused = async (
      [model, ...made]: Parameters<typeof upcyclePublished<Published>>,
      message: string,
    ) => {
      const mixture = await upcyclePublished(model, ...made);
      await assertRejects(() => writePublished(`${folder}/x`, mixture), RangeError, message);
    };
    await refused([phi3, moiie({ split: 2 })], "slices of experts");
    await refused([phi3, moiie({ alwaysOn: 1 })], "always-on experts");
    await refused([phi3, moiie({ renormalise: false })], "not renormalised");
    await refused([phi3, moiie(), { routing: { capacity: 1 } }], `option "capacity"`);
    await refused([phi3, modalityMoe({ vision: 1, language: 1 })], "mixtures without routers");
    await refused([phi3, vanillaMoe(), { placement: "full" }], "the model is a phi3");
    await refused([llama, vanillaMoe()], "layer 0 is dense");
    const three = moiieOf({ modalities: ["text", "image", "audio"], own: {}, shared: 2 });
    await refused([phi3, three], `modality "audio"`);
    const write = (options: Parameters<typeof writePublished>[2]) =>
      writePublished(`${folder}/x`, phi3, options);
    await assertRejects(() => write({ dtype: "I8" as "F16" }), RangeError, "F64, F32, F16 or BF16");
    await assertRejects(() => write({ shardSize: 0 }), RangeError, "shardSize = 0");
    await assertRejects(() => write({ from: `${folder}/gone` }), Deno.errors.NotFound);
    assertEquals(filesIn(folder), []);
  }));

Deno.test("a tied head stays tied when the model is upcycled, written and read", () =>
  inFolder(async (folder) => {
    const tied = await loadPublished(folderOf("models/llama_tied_rope3"));
    const model = await upcyclePublished(tied, moiie(), { placement: "full" });
    const { tensors } = await writePublished(`${folder}/moiie`, model);
    assert(!tensors.includes("lm_head.weight"), tensors.join());
    const again = await loadPublished(`${folder}/moiie`), rows = textRows(113);
    assertLess((await upcycleReceipt(again, model, rows)).relative, 1e-6);
    assertEquals((await upcycleReceipt(await extractDense(again, "L1"), tied, rows)).relative, 0);
  }));
