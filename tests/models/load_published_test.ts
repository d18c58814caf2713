import { assert, assertEquals, assertGreater, assertLessOrEqual, assertRejects } from "@std/assert";
import { join } from "node:path";
import {
  applyPublishedLanguage,
  joinedTensors,
  loadPublished,
  loadTensors,
  openCheckpoint,
  type PublishedLanguage,
  publishedShapes,
  type SafetensorsTensor,
  toBfloat16,
} from "../../src/models/mod.ts";
import { readAll } from "../../src/tensor/mod.ts";
import type { GpuStorage } from "../../src/tensor/webgpu/execute.ts";
import { session } from "../nn/shared.ts";
import { inFolder, writeJson, writeWeights } from "./checkpoint_shared.ts";
import { configOf, folderOf, modelIn, tensorsOf, textRows } from "./fixture_models.ts";
import { tensorsIn } from "../../src/models/model_tree.ts";
import { TOKENIZER_FILES } from "./tokenizer_shared.ts";

const FOLDERS = [
  "models/llama",
  "models/llama_sharded_bf16",
  "models/llama_tied_rope3",
  "models/mixtral",
  "models/phi3",
  "models/phi3_longrope",
  "models/clip_vision",
  "models/siglip_vision",
  "models/siglip_s2",
  "models/llava",
  "moiie_official/phi3_moiie",
];

Deno.test("publishedShapes() names every weight of the published models and no other", () => {
  for (const name of FOLDERS) {
    using checkpoint = openCheckpoint(folderOf(name));
    const shapeOf = (name: string) =>
      checkpoint.has(name) ? checkpoint.entry(name).shape : undefined;
    for (
      const expected of [
        publishedShapes(configOf(folderOf(name)), shapeOf),
        publishedShapes(configOf(folderOf(name))),
      ]
    ) {
      assertEquals(checkpoint.compare(expected), { missing: [], extra: [], misshapen: [] }, name);
    }
  }
});

Deno.test("loadPublished() gives the layers of a model with every weight where it belongs", async () => {
  for (const name of FOLDERS) {
    const loaded = await loadPublished(folderOf(name));
    const found = tensorsIn(loaded.model), want = tensorsIn(modelIn(folderOf(name)));
    assertEquals([...found.keys()], [...want.keys()], name);
    for (const [path, t] of found) {
      assertEquals(t.node.op, "leaf");
      const other = want.get(path)!;
      assertEquals(t.shape, other.shape, `${name}: ${path}`);
      const [got, wanted] = await readAll(t, other);
      assertEquals(got, wanted, `${name}: ${path}`);
    }
    for (const t of found.values()) t.dispose();
  }
});

Deno.test("loadPublished() keeps published names when nothing is to be joined", async () => {
  const folder = folderOf("models/llama");
  const { weights, kind, unused, generation } = await loadPublished(folder, { join: false });
  const want = tensorsOf(folder);
  assertEquals([kind, unused.length, generation?.endIds], ["language", 0, [2]]);
  assertEquals([...weights.keys()].sort(), [...want.keys()].sort());
  for (const [name, t] of weights) {
    assertEquals(await t.data(), want.get(name)!.data as Float32Array);
  }
});

/** Writes a model again in another element type. */
function rewrite(from: string, to: string, dtype: "F64" | "F16" | "BF16"): void {
  const convert = (data: Float32Array): SafetensorsTensor["data"] =>
    dtype === "BF16"
      ? toBfloat16(data)
      : dtype === "F16"
      ? new Float16Array(data)
      : new Float64Array(data);
  const all = [...tensorsOf(from)].map(([name, { shape, data }]) =>
    [name, { dtype, shape, data: convert(data as Float32Array) } as SafetensorsTensor] as const
  );
  writeWeights(to, "model.safetensors", Object.fromEntries(all));
  Deno.copyFileSync(join(from, "config.json"), join(to, "config.json"));
}

Deno.test("loadTensors() converts every float type to f32 and f16 as typed arrays do", async () => {
  await inFolder(async (folder) => {
    for (const dtype of ["F64", "F16", "BF16"] as const) {
      rewrite(folderOf("models/phi3"), folder, dtype);
      using checkpoint = openCheckpoint(folder);
      for (const to of ["f32", "f16"] as const) {
        const names = checkpoint.names.filter((name) => /layers.0|norm/.test(name));
        const loaded = await loadTensors(checkpoint, names, { dtype: to, join: false });
        for (const [name, t] of loaded) {
          const exact = checkpoint.float32(name);
          const want = to === "f32" ? exact : new Float16Array(exact);
          assertEquals(t.dtype, to);
          assertEquals(await t.data(), want, `${dtype} to ${to}: ${name}`);
          t.dispose();
        }
      }
    }
  });
});

Deno.test("loadPublished() gives nearly the same logits with f16 weights in half the memory", async () => {
  const folder = folderOf("models/mixtral");
  const { tokens, mask } = textRows(79);
  const all: Float32Array[] = [], bytes: number[] = [];
  for (const dtype of ["f32", "f16"] as const) {
    const { model, weights } = await loadPublished(folder, { dtype });
    // Each one's, not the session's: memory of earlier tests is given back at any time.
    const held = [...weights.values()].map((t) => (t.storage as GpuStorage).range.size);
    bytes.push(held.reduce((a, b) => a + b, 0));
    const { logits } = applyPublishedLanguage(model as PublishedLanguage, { tokens, mask });
    all.push(Float32Array.from(await logits.data()));
    for (const t of weights.values()) t.dispose();
  }
  const [want, got] = all;
  assertGreater(want.length, 0);
  const off = Math.max(...got.map((v, i) => Math.abs(v - want[i])));
  assert(off > 0 && off < 0.03, `f16 logits are off by ${off}`);
  assert(bytes[1] > 0 && bytes[1] < 0.6 * bytes[0], `${bytes}`);
});

Deno.test("loadTensors() writes tensors larger than a piece and reports progress", async () => {
  await inFolder(async (folder) => {
    const length = 2 ** 21 + 4099; // more than a piece, and odd
    const make = (from: number): SafetensorsTensor => ({
      dtype: "BF16",
      shape: [length],
      data: Uint16Array.from({ length }, (_, i) => 0x3f80 + (i + from) % 97),
    });
    const layer = "model.layers.0.mlp";
    writeWeights(folder, "model.safetensors", {
      [`${layer}.gate_proj.weight`]: make(0),
      [`${layer}.up_proj.weight`]: make(5),
    });
    using checkpoint = openCheckpoint(folder);
    for (const dtype of ["f32", "f16"] as const) {
      const seen: number[] = [];
      const progress = (done: number, total: number) => seen.push(done / total);
      const [[name, t]] = await loadTensors(checkpoint, checkpoint.names, { dtype, progress });
      assertEquals([name, t.shape], [`${layer}.experts.gate_up_proj`, [1, 2 * length]]);
      const data = await t.data();
      const gate = checkpoint.float32(`${layer}.gate_proj.weight`);
      const up = checkpoint.float32(`${layer}.up_proj.weight`);
      assertEquals(data.length, 2 * length);
      const wrong = data.findIndex((v, i) => v !== (i < length ? gate[i] : up[i - length]));
      assertEquals(wrong, -1);
      assertEquals(seen.at(-1), 1);
      t.dispose();
    }
  });
});

Deno.test("loadTensors() joins tensors of different float types", async () => {
  await inFolder(async (folder) => {
    const layer = "model.layers.0.mlp", length = 2 ** 19 + 6; // several pieces
    const values = (from: number) => Float32Array.from({ length }, (_, i) => 1 + (i + from) % 101);
    const gate = values(0), up = values(7);
    for (const [first, second] of [["F64", "BF16"], ["BF16", "F32"], ["F16", "F32"]] as const) {
      const make = (dtype: typeof first | typeof second, values: Float32Array) => ({
        dtype,
        shape: [length],
        data: dtype === "F64"
          ? new Float64Array(values)
          : dtype === "F16"
          ? new Float16Array(values)
          : dtype === "F32"
          ? values
          : toBfloat16(values),
      } as SafetensorsTensor);
      writeWeights(folder, "model.safetensors", {
        [`${layer}.gate_proj.weight`]: make(first, gate),
        [`${layer}.up_proj.weight`]: make(second, up),
      });
      using checkpoint = openCheckpoint(folder);
      for (const dtype of ["f32", "f16"] as const) {
        const [t] = (await loadTensors(checkpoint, checkpoint.names, { dtype })).values();
        const data = await t.data();
        const wrong = data.findIndex((v, i) => v !== (i < length ? gate[i] : up[i - length]));
        assertEquals([data.length, wrong], [2 * length, -1], `${first} and ${second} to ${dtype}`);
        t.dispose();
      }
    }
  });
});

Deno.test("loadTensors() reads the same while other tensors are read, too", async () => {
  await inFolder(async (folder) => {
    const length = 2 ** 20;
    const make = (from: number): SafetensorsTensor => ({
      dtype: "F32",
      shape: [length],
      data: Float32Array.from({ length }, (_, i) => i + from),
    });
    writeWeights(folder, "model.safetensors", { a: make(0), b: make(5), c: make(9) });
    using checkpoint = openCheckpoint(folder);
    const loading = ["a", "b"].map((name) => loadTensors(checkpoint, [name]));
    assertEquals(checkpoint.float32("c").at(-1), length + 8);
    const [a, b] = (await Promise.all(loading)).map((all) => [...all.values()][0]);
    assertEquals([(await a.data()).at(-1), (await b.data()).at(-1)], [length - 1, length + 4]);
    for (const t of [a, b]) t.dispose();
  });
});

Deno.test("loadTensors() refuses values that f16 cannot hold, and integers", async () => {
  await inFolder(async (folder) => {
    const before = session.memory().live;
    writeWeights(folder, "model.safetensors", {
      big: { dtype: "F32", shape: [3], data: new Float32Array([1, 65520, 0]) },
      whole: { dtype: "I64", shape: [1], data: new BigInt64Array(1) },
    });
    using checkpoint = openCheckpoint(folder);
    await assertRejects(
      () => loadTensors(checkpoint, ["big"], { dtype: "f16" }),
      RangeError,
      "65,504",
    );
    await assertRejects(() => loadTensors(checkpoint, ["whole"]), TypeError, "whole is I64");
    assertLessOrEqual(session.memory().live, before);
  });
});

Deno.test("loadPublished() names missing, misshapen and integer tensors before it reads any", async () => {
  const from = folderOf("models/llama");
  await inFolder(async (folder) => {
    const refused = async (
      change: (all: Record<string, SafetensorsTensor>) => void,
      error: typeof RangeError | typeof TypeError,
      text: string,
    ) => {
      const all = Object.fromEntries(tensorsOf(from)) as Record<string, SafetensorsTensor>;
      change(all);
      writeWeights(folder, "model.safetensors", all);
      await assertRejects(() => loadPublished(folder), error, text);
    };
    Deno.copyFileSync(join(from, "config.json"), join(folder, "config.json"));
    const name = "model.layers.1.mlp.up_proj.weight";
    await refused((all) => delete all[name], RangeError, `lacks 1 of the 30 tensors`);
    await refused((all) => delete all[name], RangeError, name);
    await refused(
      (all) => {
        all[name] = { dtype: "F32", shape: [32, 56], data: new Float32Array(32 * 56) };
      },
      RangeError,
      "is [32,56], not [56,32]",
    );
    await refused(
      (all) => {
        all[name] = { dtype: "I32", shape: [56, 32], data: new Int32Array(32 * 56) };
      },
      TypeError,
      `"${name}" is I32, not floats`,
    );
    const all = Object.fromEntries(tensorsOf(from)) as Record<string, SafetensorsTensor>;
    all["rotary.inv_freq"] = { dtype: "F32", shape: [1], data: new Float32Array(1) };
    writeWeights(folder, "model.safetensors", all);
    assertEquals((await loadPublished(folder)).unused, ["rotary.inv_freq"]);
    writeJson(folder, "config.json", { model_type: "gpt2" });
    await assertRejects(() => loadPublished(folder), RangeError, 'model_type "gpt2"');
  });
});

Deno.test("loadPublished() takes the vision tower of a whole CLIP model", async () => {
  const from = folderOf("models/clip_vision");
  await inFolder(async (folder) => {
    const all = Object.fromEntries(tensorsOf(from)) as Record<string, SafetensorsTensor>;
    all["text_model.final_layer_norm.bias"] = {
      dtype: "F32",
      shape: [1],
      data: new Float32Array(1),
    };
    writeWeights(folder, "model.safetensors", all);
    const { model_type: _, ...tower } = configOf(from);
    writeJson(folder, "config.json", { model_type: "clip", vision_config: tower, text_config: {} });
    writeJson(folder, "preprocessor_config.json", { image_processor_type: "CLIPImageProcessor" });
    writeJson(folder, "tokenizer.json", TOKENIZER_FILES.tokenizer);
    writeJson(folder, "tokenizer_config.json", TOKENIZER_FILES.config);
    const loaded = await loadPublished(folder);
    assertEquals(loaded.kind, "vision");
    assertEquals(loaded.unused, ["text_model.final_layer_norm.bias"]);
    assertEquals(loaded.processor?.image_processor_type, "CLIPImageProcessor");
    assertEquals(loaded.tokenizer?.encode("ab"), [1, 10]);
  });
});

Deno.test("joinedTensors() stacks experts in their order, whatever the order of the names", () => {
  const layer = "model.layers.3.block_sparse_moe.experts";
  const names = ["1.w2", "0.w3", "1.w3", "0.w1", "1.w1", "0.w2"];
  const shapes = new Map(
    names.map((name) => [`${layer}.${name}.weight`, name.endsWith("w2") ? [2, 5] : [5, 2]]),
  );
  assertEquals(joinedTensors(shapes), [
    {
      name: `${layer}.down_proj`,
      shape: [2, 2, 5],
      parts: ["0.w2", "1.w2"].map((name) => `${layer}.${name}.weight`),
    },
    {
      name: `${layer}.gate_up_proj`,
      shape: [2, 10, 2],
      parts: ["0.w1", "0.w3", "1.w1", "1.w3"].map((name) => `${layer}.${name}.weight`),
    },
  ]);
});
