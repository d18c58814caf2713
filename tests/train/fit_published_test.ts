import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import {
  expandImageTokens,
  loadPublished,
  readSafetensors,
  upcyclePublished,
  writePublished,
} from "../../src/models/mod.ts";
import { publishedPart, tensorsIn } from "../../src/models/model_tree.ts";
import { cellOf, moiie, vanillaMoe } from "../../src/moe/mod.ts";
import { Random } from "../../src/tensor/mod.ts";
import { fitPublished, type PublishedBatch } from "../../src/train/mod.ts";
import { assertClose, read } from "../nn/shared.ts";
import { folderOf } from "../models/fixture_models.ts";

/** The batch of a fixture, once for every step. */
function* fixtureBatches(folder: string, steps: number): Generator<PublishedBatch> {
  using io = readSafetensors(`${folder}/io.safetensors`);
  const ints = (name: string) => Int32Array.from(io.tensor(`in.${name}`).data as Int32Array);
  const { shape } = io.entry("in.input_ids"), [rows, length] = shape;
  const pixels = io.has("in.pixel_values")
    ? { data: io.float32("in.pixel_values"), shape: io.entry("in.pixel_values").shape }
    : undefined;
  const batch: PublishedBatch = {
    shape: [rows, length],
    tokens: ints("input_ids"),
    mask: ints("attention_mask"),
    labels: ints("labels"),
    positions: Int32Array.from({ length: rows * length }, (_, i) => i % length),
    ...(pixels && { pixels }),
  };
  for (let step = 0; step < steps; step++) yield batch;
}

/** Rows of text and a picture for the LLaVA of the fixtures: the answer repeats the question. */
function* pictureRows(steps: number): Generator<PublishedBatch> {
  const random = new Random(1, "rows");
  for (let step = 0; step < steps; step++) {
    const rows = Array.from({ length: 2 }, () => {
      const words = Array.from({ length: 3 }, () => 3 + random.int(20));
      const tokens = [1, 96, ...words, ...words, 2];
      return { tokens, labels: tokens.map((t, i) => i > 4 ? t : -100) };
    });
    const pixels = { data: random.normals(2 * 3 * 144), shape: [2, 3, 12, 12] };
    yield { ...expandImageTokens(rows, { imageToken: 96, features: 9 }), pixels };
  }
}

for (const name of ["llava", "mixtral"]) {
  Deno.test(`fitPublished() does three steps of PyTorch's AdamW on ${name}, and what it writes are those weights`, async () => {
    const folder = folderOf(`models/${name}`), model = await loadPublished(folder);
    using want = readSafetensors(`${folder}/adamw.safetensors`);
    if (model.kind === "vision") throw new Error("not a language model");
    // PyTorch leaves alone what the loss does not depend on: the last vision block and norm.
    const idle = /^vision\.tower\.(blocks\.2|norm)\./;
    const { records, complete } = await fitPublished(model, {
      steps: 3,
      batches: fixtureBatches(folder, 3),
      learningRate: 0.003,
      schedule: () => 1,
      rate: (path) => idle.test(path) ? 0 : 1,
      optimizer: { betas: [0.9, 0.95], epsilon: 1e-4, weightDecay: 0.1 },
    });
    assert(complete);
    if (want.has("loss_before_each_step")) {
      const losses = records.map(({ loss, auxiliary }) => loss + auxiliary);
      assertClose(losses, want.float32("loss_before_each_step").slice(0, 3), 1e-5);
    }
    const to = await Deno.makeTempDir();
    try {
      await writePublished(`${to}/trained`, model);
      using got = readSafetensors(`${to}/trained/model.safetensors`);
      const names = want.names.filter((n) => n.startsWith("step3."));
      assertGreater(names.length, 15);
      for (const tensor of names) {
        assertClose(got.float32(tensor.slice(6)), want.float32(tensor), 2e-5, tensor);
      }
      using before = readSafetensors(`${folder}/model.safetensors`);
      const kept = got.names.filter((n) => !want.has(`step3.${n}`));
      for (const n of kept) assertEquals(got.float32(n), before.float32(n), n);
    } finally {
      await Deno.remove(to, { recursive: true });
    }
  });
}

Deno.test("fitPublished() trains an upcycled LLaVA and records which experts its tokens choose", async () => {
  const dense = await loadPublished(folderOf("models/llava"));
  const model = await upcyclePublished(dense, moiie(), { placement: "full", seed: 3 });
  if (model.kind !== "llava") throw new Error("not a LLaVA");
  const experts = () => read(...publishedPart(model.model).language.blocks.map((b) => b.ffn.down));
  const before = await experts();
  const steps: number[] = [];
  const { records, complete } = await fitPublished(model, {
    steps: 12,
    batches: pictureRows(12),
    learningRate: 3e-3,
    recordEvery: 5,
    onStep: ({ step }) => void steps.push(step),
  });
  assert(complete);
  assertEquals(steps, records.map((r) => r.step));
  assertLess(records[11].loss, 0.9 * records[0].loss);
  assertGreater(records[0].auxiliary, 2 * 2 * 0.001 * 0.99);
  assertEquals(records.flatMap((r) => r.routing ? [r.step] : []), [0, 5, 10]);
  const { routing } = records[10];
  assertEquals(routing!.layers.map((l) => l.layer), [0, 1]);
  for (const layer of [0, 1]) {
    const image = cellOf(routing!, { layer, modality: "image" });
    // The last token of each picture counts as text, as published.
    assertEquals([image.tokens, image.choices[1]], [16, 0]);
    const text = cellOf(routing!, { layer, modality: "text" });
    assertEquals([text.tokens, text.choices[0]], [18, 0]);
    assertEquals(cellOf(routing!, { layer, tokenClass: "answer" }).tokens, 8);
  }
  const after = await experts();
  const n = after[0].length / 4,
    one = (values: number[], e: number) => values.slice(e * n, (e + 1) * n);
  assert(before.every((values, l) => values.join() !== after[l].join()));
  assert(one(after[0], 0).join() !== one(after[0], 2).join(), "experts become different");
});

Deno.test("fitPublished() leaves what has rate 0, and ends with the batches or when it is stopped", async () => {
  const model = await loadPublished(folderOf("models/llama"));
  if (model.kind !== "language") throw new Error("not a language model");
  const values = async () => {
    const all = [...tensorsIn(model.model)];
    const data = await read(...all.map(([, t]) => t));
    return new Map(all.map(([path], i) => [path, data[i].join()]));
  };
  const before = await values(), folder = folderOf("models/llama");
  const rest = { learningRate: 0.01, schedule: () => 1 };
  const run = await fitPublished(model, {
    steps: 9,
    batches: fixtureBatches(folder, 2),
    rate: (path) => path.includes(".ffn.") ? 1 : path.includes("norm") ? 0.5 : 0,
    ...rest,
  });
  assertEquals([run.complete, run.records.length], [false, 2]);
  const after = await values();
  const changed = [...after].filter(([path, v]) => v !== before.get(path)).map(([path]) => path);
  assertEquals(changed.length, 3 * 4 + 1, changed.join());
  assert(changed.every((path) => /ffn|norm/.test(path)), changed.join());
  const stop = new AbortController();
  const stopped = await fitPublished(model, {
    steps: 9,
    batches: fixtureBatches(folder, 9),
    signal: stop.signal,
    onStep: ({ step }) => step === 1 ? stop.abort() : undefined,
    ...rest,
  });
  assert(!stopped.complete && stopped.records.length < 9);
});

Deno.test("fitPublished() refuses what makes no sense", async () => {
  const model = await loadPublished(folderOf("models/llama"));
  const fit = (options: Partial<Parameters<typeof fitPublished>[1]>) =>
    fitPublished(model, { steps: 1, batches: [], ...options });
  await assertRejects(() => fit({ steps: 0 }), RangeError, "steps = 0");
  await assertRejects(() => fit({ recordEvery: 0 }), RangeError, "recordEvery = 0");
  await assertRejects(() => fit({ rate: () => -1 }), RangeError, "= -1 must be at least 0");
  await assertRejects(() => fit({ rate: () => 0 }), RangeError, "no parameters to train");
  const noisy = await upcyclePublished(model, vanillaMoe(), { routing: { jitter: 0.1 } });
  const error = await assertRejects(
    () => fitPublished(noisy, { steps: 1, batches: [] }),
    RangeError,
  );
  assertStringIncludes(String(error), "jitter");
  const vision = await loadPublished(folderOf("models/clip_vision"));
  await assertRejects(
    () => fitPublished(vision, { steps: 1, batches: [] }),
    RangeError,
    "vision tower",
  );
});
