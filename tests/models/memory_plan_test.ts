import {
  assert,
  assertEquals,
  assertLessOrEqual,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  type CountedConfig,
  limitsOf,
  loadPublished,
  lvlmConfig,
  makeLvlm,
  type MemoryPlan,
  type MemoryRow,
  modelParameters,
  plan,
  type PublishedConfig,
  publishedModel,
  upcycle,
} from "../../src/models/mod.ts";
import { dense, moiie } from "../../src/moe/mod.ts";
import { compile, type HostTensor, Random, type Tensor } from "../../src/tensor/mod.ts";
import { AdamW, forward, trainingStep } from "../../src/train/mod.ts";
import { session } from "../nn/shared.ts";
import { configOf, folderOf, tensorsOf } from "./fixture_models.ts";

/** Phi-3-mini-4k-instruct's published config.json, what counts of it. */
const PHI3: PublishedConfig = { model_type: "phi3", sliding_window: 2047 };

/** Meta-Llama-3-8B's. */
const LLAMA3: PublishedConfig = {
  model_type: "llama",
  vocab_size: 128256,
  hidden_size: 4096,
  intermediate_size: 14336,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: 8,
};

const bytesOf = (p: MemoryPlan, part: MemoryRow["part"]) =>
  p.rows.find((row) => row.part === part)?.bytes;

Deno.test("plan() has the exact parameters and cache of Phi-3-mini, LLaMA3-8B and the paper's models", () => {
  const exact: [
    PublishedConfig | CountedConfig,
    parameters: number,
    perToken: number,
    largest: number,
  ][] = [
    [PHI3, 3_821_079_552, 2 * 32 * 3072, 32064 * 3072],
    [LLAMA3, 8_030_261_248, 2 * 32 * 1024, 128256 * 4096],
    [publishedModel("phi-3-mini", moiie()), 7_886_460_992, 2 * 32 * 3072, 4 * 16384 * 3072],
    [publishedModel("llama3-8b", moiie()), 16_936_100_928, 2 * 32 * 1024, 128256 * 4096],
    [publishedModel("phi-3-mini", dense()), 4_262_000_000, 2 * 32 * 3072, 32064 * 3072],
  ];
  for (const [config, parameters, perToken, largest] of exact) {
    for (const [dtype, width] of [["f32", 4], ["f16", 2]] as const) {
      const p = plan(config, { dtype, batch: 3, kvTokens: 1000 });
      const found = bytesOf(p, "parameters")! / width;
      if (parameters % 1e6 === 0) assert(Math.abs(found - parameters) < 1e6, `${found}`);
      else assertEquals(found, parameters);
      assertEquals(bytesOf(p, "KV cache"), perToken * 3000 * width);
      assertEquals(p.largest.bytes, largest * width);
    }
  }
});

Deno.test("plan() counts what fixtures hold", () => {
  const names = [
    "llama",
    "llama_tied_rope3",
    "phi3",
    "mixtral",
    "llava",
    "clip_vision",
    "siglip_vision",
  ];
  for (const name of [...names.map((name) => `models/${name}`), "moiie_official/phi3_moiie"]) {
    const folder = folderOf(name);
    const elements = [...tensorsOf(folder).values()].reduce(
      (sum, { data }) => sum + data.length,
      0,
    );
    assertEquals(bytesOf(plan(configOf(folder)), "parameters"), 4 * elements, name);
  }
});

Deno.test("plan() adds gradients and moments in training, which stay f32", () => {
  const count = 3_821_079_552;
  for (const [optimizer, moments] of [["adamw", 2], ["sgd", 1], ["none", 0]] as const) {
    const p = plan(PHI3, { training: true, optimizer, dtype: "f16" });
    assertEquals(bytesOf(p, "parameters"), 4 * count);
    assertEquals(bytesOf(p, "gradients"), 4 * count);
    assertEquals(bytesOf(p, "optimizer"), 4 * moments * count);
    assertEquals(p.largest, { name: "all trained parameters", bytes: 4 * count });
  }
  const part = plan(PHI3, { training: true, trained: 1000 });
  assertEquals([bytesOf(part, "gradients"), bytesOf(part, "optimizer")], [4000, 8000]);
  assertEquals(bytesOf(plan(PHI3), "gradients"), undefined);
});

Deno.test("plan() says whether a device can hold a model, and why not", () => {
  const device = { name: "card", binding: 2 ** 31, memory: 8e9 };
  const fits = plan(PHI3, { dtype: "f16", device });
  assertEquals([fits.fits, fits.reasons], [true, []]);
  assertStringIncludes(fits.verdict, "fits card");
  const large = plan(PHI3, { device });
  assertEquals([large.fits, large.reasons.length], [false, 1]);
  assertStringIncludes(large.reasons[0], `${large.total} bytes`);
  assertStringIncludes(large.reasons[0], "8000000000 bytes");
  const wide = plan(PHI3, { dtype: "f16", device: { ...device, binding: 1.5e8 } });
  assertStringIncludes(
    wide.reasons[0],
    "model.embed_tokens.weight has 197001216 bytes",
  );
  assertStringIncludes(wide.reasons[0], "at most 150000000 bytes");
  const unknown = plan(PHI3, { device: { name: "card", binding: 2 ** 31 } });
  assertEquals(unknown.fits, true);
  assertStringIncludes(unknown.verdict, "memory is not known");
  assertEquals(plan(PHI3).device?.binding, limitsOf(session).binding);
});

Deno.test("plan() shows as a table, in text and in a notebook", () => {
  const p = plan(LLAMA3, { kvTokens: 10, device: { name: "card", binding: 1e9, memory: 1e9 } });
  const text = String(p);
  for (
    const part of [
      "parameters",
      "8,030,261,248 × 4 bytes",
      "KV cache",
      "total",
      "does not fit card",
    ]
  ) {
    assertStringIncludes(text, part);
  }
  assertEquals(Deno.inspect(p), text);
  const display = p as unknown as Record<symbol, () => Record<string, string>>;
  const shown = display[Symbol.for("Jupyter.display")]();
  assertEquals(shown["text/plain"], text);
  assertStringIncludes(shown["text/markdown"], "| parameters | 32121044992 |");
});

Deno.test("plan() refuses options that make no sense", () => {
  const wrong: [Record<string, unknown>, string][] = [
    [{ batch: 0 }, "batch"],
    [{ tokens: 1.5 }, "tokens"],
    [{ kvTokens: -1 }, "kvTokens"],
    [{ dtype: "f64" }, "f64"],
    [{ optimizer: "lion" }, "lion"],
    [{ token: 3 }, "tokens"],
  ];
  for (const [options, text] of wrong) {
    assertThrows(() => plan(PHI3, options), RangeError, text);
  }
  assertThrows(() => plan({ model_type: "gpt2" }), RangeError, "gpt2");
});

/** Rows of pictures and words for a preset. */
function arrays(
  imageSize: number,
  slots: number,
  batch: number,
  length: number,
): Record<string, HostTensor> {
  const row = (f: (at: number) => number) => ({
    data: Int32Array.from({ length: batch * length }, (_, i) => f(i % length)),
    shape: [batch, length],
  });
  return {
    tokens: row((i) => 5 + i % 50),
    positions: row((i) => i),
    segments: row((i) => i < slots ? 0 : 1),
    modality: row((i) => i < slots ? 1 : 0),
    valid: row(() => 1),
    labels: row((i) => i < slots ? -100 : i % 50),
    pixels: {
      data: new Float32Array(batch * 3 * imageSize ** 2),
      shape: [batch, 3, imageSize, imageSize],
    },
  };
}

/** Bytes that plans hold. */
const planned = () => session.memory().owners.plan?.bytes ?? 0;

Deno.test("plan() estimates the activations of the tiny preset within a factor of two", async () => {
  const config = lvlmConfig("tiny", { ffn: moiie() }), batch = 4, tokens = 48;
  const random = new Random(1, "model");
  const model = await upcycle(makeLvlm(random, config), random);
  const inputs = arrays(config.vision.imageSize, 16, batch, tokens);
  const compare = (estimate: number, measured: number, what: string) => {
    const ratio = estimate / measured;
    assert(ratio > 0.5 && ratio < 2, `${what}: ${estimate} planned, ${measured} taken`);
  };
  let before = planned();
  const apply = compile((it: Record<string, Tensor>) => ({ logits: forward(model, it).logits }));
  await apply(inputs);
  compare(bytesOf(plan(config, { batch, tokens }), "activations")!, planned() - before, "forward");
  apply.dispose();
  for (const recompute of [false, true]) {
    const optimizer = new AdamW([{ name: "all", parameters: modelParameters(model) }]);
    const step = trainingStep(model, optimizer, { recompute });
    before = planned();
    await step({
      ...inputs,
      hyper: { data: optimizer.hyper(1e-3, 1), shape: optimizer.hyperShape },
    });
    const p = plan(config, { batch, tokens, training: true, recompute });
    const estimate = bytesOf(p, "activations")! + bytesOf(p, "gradients")!;
    compare(estimate, planned() - before, recompute ? "training, computed again" : "training");
    step.dispose();
    optimizer.dispose();
  }
});

Deno.test("loadPublished() refuses a model that the device cannot hold before it reads a weight", async () => {
  const folder = folderOf("models/llama"), before = session.memory().live;
  let read = 0;
  const progress = () => read++;
  const load = (device: { name: string; binding: number; memory?: number }) => () =>
    loadPublished(folder, { device, progress });
  await assertRejects(load({ name: "card", binding: 10_000 }), RangeError, "at most 10000 bytes");
  await assertRejects(
    load({ name: "card", binding: 1e6, memory: 1e5 }),
    RangeError,
    "there are 100000",
  );
  const error = await assertRejects(
    load({ name: "card", binding: 10_000 }),
    RangeError,
    "does not fit card",
  );
  assertStringIncludes(error.message, 'dtype "f16"');
  assertStringIncludes(error.message, "streamLayers()");
  assertEquals(read, 0);
  assertLessOrEqual(session.memory().live, before);
});
