import { assert, assertEquals, assertLessOrEqual, assertRejects } from "@std/assert";
import {
  applyLvlm,
  applyPublishedLanguage,
  CachedLanguage,
  kvCacheBytes,
  loadPublished,
  lvlmTextModel,
  type PublishedLanguage,
  publishedLanguage,
  seeImages,
} from "../../src/models/mod.ts";
import { cat, Random, take, tensor } from "../../src/tensor/mod.ts";
import { assertClose, read, session } from "../nn/shared.ts";
import { LLAMA, llamaShapes, randomWeights } from "./published_shared.ts";
import { inputsOf, mixture, packed, segment, SLOTS, thimble, TOKENIZER } from "./shared.ts";
import { moiie } from "../../src/moe/mod.ts";

const MODELS = new URL("../../fixtures/torch/models/", import.meta.url).pathname;
const OFFICIAL = new URL("../../fixtures/torch/moiie_official/", import.meta.url).pathname;
/** Sums in another order: as far as f32 goes. */
const TOLERANCE = 1e-5;

/** Tokens of the longest text, at least. */
const LENGTH = 32;

async function languageOf(path: string): Promise<PublishedLanguage> {
  const loaded = await loadPublished(path);
  if (loaded.kind === "language") return loaded.model;
  if (loaded.kind === "llava") return loaded.model.text;
  throw new RangeError(path);
}

/** Logits after the last token of texts, each computed on its own with nothing remembered. */
async function recomputed(model: PublishedLanguage, texts: number[][]): Promise<number[][]> {
  const length = LENGTH; // always the same, so that its kernels are compiled once
  const left = (t: number[], filler: number) => [
    ...new Array(length - t.length).fill(filler),
    ...t,
  ];
  const ids = (values: number[][]) =>
    tensor(Int32Array.from(values.flat()), { shape: [texts.length, length] });
  const { logits } = applyPublishedLanguage(model, {
    tokens: ids(texts.map((t) => left(t, 0))),
    mask: ids(texts.map((t) => left(t.map(() => 1), 0))),
    positions: ids(texts.map((t) => left([...t.keys()], 1))),
  });
  const [all] = await read(logits), width = logits.shape[1];
  return texts.map((_, b) => all.slice(((b + 1) * length - 1) * width, (b + 1) * length * width));
}

function words(seed: number, count: number, vocabulary: number): number[] {
  const random = new Random(seed, "words");
  return Array.from({ length: count }, () => random.int(vocabulary));
}

/** Reads prompts, then one token at a time, then a piece, and compares every answer. */
async function compareWithRecomputed(
  model: PublishedLanguage,
  lengths: readonly number[],
  steps: number,
): Promise<void> {
  const { vocabulary } = model.config.language;
  const texts = lengths.map((n, b) => words(b, n, vocabulary));
  using cached = await CachedLanguage.open(model, { capacity: 96, batch: texts.length });
  const compare = async (found: Float32Array[], what: string) => {
    const wanted = await recomputed(model, texts);
    found.forEach((row, b) => assertClose(row, wanted[b], TOLERANCE, `${what}, row ${b}`));
  };
  await compare(await cached.read(texts), "prompt");
  for (let s = 0; s < steps; s++) {
    const next = words(100 + s, texts.length, vocabulary);
    texts.forEach((text, b) => text.push(next[b]));
    await compare(await cached.step(next), `step ${s}`);
  }
  const pieces = texts.map((_, b) => words(200 + b, 2 + 3 * b, vocabulary));
  texts.forEach((text, b) => text.push(...pieces[b]));
  await compare(await cached.read(pieces), "second piece");
  const next = words(300, texts.length, vocabulary);
  texts.forEach((text, b) => text.push(next[b]));
  await compare(await cached.step(next), "step after it");
  assertEquals(cached.lengths, texts.map((t) => t.length));
}

for (
  const name of ["llama", "llama_tied_rope3", "llama_sharded_bf16", "mixtral", "phi3", "llava"]
) {
  Deno.test(`a cached ${name} says what the recomputed one says, with left padding`, async () => {
    await compareWithRecomputed(await languageOf(`${MODELS}${name}`), [7, 3], 3);
  });
}

Deno.test("a cached phi3_longrope changes its factors when a text passes the original length", async () => {
  const model = await languageOf(`${MODELS}phi3_longrope`);
  const { ropeScaling } = model.config.language;
  assert(ropeScaling?.kind === "longrope");
  const limit = ropeScaling.positions;
  // In a step, in a piece that is read later, and from the beginning.
  await compareWithRecomputed(model, [limit - 1, 4], 3);
  await compareWithRecomputed(model, [limit - 2, 4], 1);
  await compareWithRecomputed(model, [limit + 3, 4], 2);
});

Deno.test("a cached MoIIE routes the image tokens of its prompt as images, what it writes as text", async () => {
  const model = await languageOf(`${OFFICIAL}phi3_moiie`);
  const { width, vocabulary } = model.config.language;
  // Images behind, before and amid text; the second row is shorter, padded on the left.
  const types = [[1, 1, 1, 0, 0, 1, 1, 0], [0, 0, 0, 1, 1, 1, 0, 0]];
  const masks = [[1, 1, 1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1, 1, 1]];
  const given = new Random(4, "embeddings").normals(2 * 8 * width);
  const next = words(5, 2, vocabulary), after = words(6, 2, vocabulary);
  const table = model.language.embedding;
  const ids = (values: number[][]) =>
    tensor(Int32Array.from(values.flat()), { shape: [2, values[0].length] });
  const prompt = tensor(given, { shape: [2, 8, width] });
  const wanted = async (written: number[][]) => {
    const count = written[0].length, rest = written.map((row) => row.map(() => 1));
    const mask = masks.map((row, b) => [...row, ...rest[b]]);
    const { logits } = applyPublishedLanguage(model, {
      embeddings: count === 0 ? prompt : cat([prompt, take(table, ids(written))], 1),
      mask: ids(mask),
      positions: ids(mask.map((row) => {
        let at = 0;
        return row.map((real) => real ? at++ : 0);
      })),
      modality: ids(types.map((row) => [...row, ...written[0].map(() => 0)])),
    });
    const [all] = await read(logits), length = 8 + count;
    return [1, 2].map((b) => all.slice((b * length - 1) * vocabulary, b * length * vocabulary));
  };
  using cached = await CachedLanguage.open(model, { capacity: 16, batch: 2 });
  const compare = async (found: Float32Array[], written: number[][]) => {
    const want = await wanted(written);
    found.forEach((row, b) => assertClose(row, want[b], TOLERANCE, `${written[0].length}, ${b}`));
  };
  const rows = { embeddings: prompt, mask: masks.flat(), modality: types.flat() };
  await compare(await cached.readEmbedded(rows), [[], []]);
  await compare(await cached.step(next), next.map((n) => [n]));
  await compare(await cached.step(after), next.map((n, b) => [n, after[b]]));
  // The types matter: read as an image, the last token meets other experts.
  using exact = await CachedLanguage.open(
    { ...model, config: { ...model.config, visionBoundary: "exact" } },
    { capacity: 16, batch: 2 },
  );
  const seen = types.map((row) => [...row.slice(0, -1), 1]);
  const [asText] = await wanted([[], []]);
  const [asImage] = await exact.readEmbedded({ ...rows, modality: seen.flat() });
  assert(asText.some((v, i) => Math.abs(v - asImage[i]) > 1e-3));
});

Deno.test("a cached miniature says what the whole model says of a picture and a question", async () => {
  const model = await mixture(thimble({ ffn: moiie(), visionBoundary: "shifted" }));
  const asked = segment(new Random(8), 5, 2), row = packed([[asked]], 16);
  const { logits } = applyLvlm(model, inputsOf(row));
  const pixels = tensor(row.pixels, { shape: [3, 16, 16] });
  const text = lvlmTextModel(model, TOKENIZER), [features] = await seeImages(text, [pixels]);
  const [all] = await read(logits), width = logits.shape[1];
  const wanted = (at: number) => all.slice((SLOTS + at) * width, (SLOTS + at + 1) * width);
  const { image } = TOKENIZER;
  using cached = await CachedLanguage.open(text, { capacity: 32, imageToken: image });
  const prompt = [...new Array(SLOTS).fill(image), ...asked.prompt];
  assertClose((await cached.read([prompt], [features]))[0], wanted(4), TOLERANCE, "prompt");
  assertClose((await cached.step([asked.answer[0]]))[0], wanted(5), TOLERANCE, "first step");
  assertClose((await cached.step([asked.answer[1]]))[0], wanted(6), TOLERANCE, "second step");
});

Deno.test("a cached model with a sliding window forgets what the recomputed one forgets", async () => {
  const model = publishedLanguage({ ...LLAMA, sliding_window: 5 }, randomWeights(llamaShapes()));
  await compareWithRecomputed(model, [9, 3], 2);
});

Deno.test("step() makes no buffer, compiles nothing and plans nothing once it has run", async () => {
  const model = publishedLanguage(LLAMA, randomWeights(llamaShapes()));
  using cached = await CachedLanguage.open(model, { capacity: 64, batch: 2 });
  await cached.read([[1, 2, 3], [4]]);
  await cached.step([5, 6]);
  const before = session.gpu.counters, held = session.memory().live;
  for (let i = 0; i < 8; i++) await cached.step([i, i === 3 ? undefined : 2]);
  const after = session.gpu.counters;
  assertEquals([after.buffers, after.bindGroups, after.pipelines], [
    before.buffers,
    before.bindGroups,
    before.pipelines,
  ]);
  assertLessOrEqual(session.memory().live, held);
  assert(after.dispatches > before.dispatches);
});

Deno.test("readWhole() computes only what is new, and the same as from the beginning", async () => {
  const model = publishedLanguage(LLAMA, randomWeights(llamaShapes()));
  using cached = await CachedLanguage.open(model, { capacity: 64 });
  const first = words(1, 6, 23), second = [...first, 7, 8, 9], third = [...first.slice(0, 3), 5, 6];
  for (const text of [first, second, third, first]) {
    const [wanted] = await recomputed(model, [text]);
    assertClose(await cached.readWhole(text), wanted, TOLERANCE, `${text}`);
    assertEquals(cached.lengths, [text.length]);
  }
  const { room } = cached;
  await cached.readWhole(first); // the last token alone is read again: its logits are asked for
  assertEquals(cached.room, room);
  // Where padding between pieces has used the room up, all is read anew without it.
  await cached.readWhole(second, [], 64 - second.length - 2);
  assertEquals(cached.room, 64 - second.length);
});

Deno.test("a cached model refuses what does not fit, with the numbers", async () => {
  const model = publishedLanguage(LLAMA, randomWeights(llamaShapes()));
  using cached = await CachedLanguage.open(model, { capacity: 4 });
  await assertRejects(() => cached.read([[1], [2]]), RangeError, "there must be 1");
  await assertRejects(() => cached.read([[]]), RangeError, "at least one token");
  await assertRejects(() => cached.read([[23]]), RangeError, "vocabulary of 23");
  await assertRejects(() => cached.read([[1, 2, 3, 4, 5]]), RangeError, "holds 4 positions");
  await cached.read([[1, 2]]);
  await cached.step([3]);
  await cached.step([4]);
  await assertRejects(() => cached.step([5]), RangeError, "4 are taken: 1 more");
  const bad = () => CachedLanguage.open(model, { capacity: 0 });
  await assertRejects(bad, RangeError, "positive whole");
});

Deno.test("the memory of a cache is what kvCacheBytes() says, and is given back", async () => {
  const model = publishedLanguage(LLAMA, randomWeights(llamaShapes()));
  const before = session.memory().owners.cache?.bytes ?? 0;
  const cached = await CachedLanguage.open(model, { capacity: 128, batch: 2 });
  // 2 blocks, keys and values, 2 rows, 2 key heads of 4 numbers
  const bytes = 2 * 2 * 2 * 2 * 128 * 4 * 4;
  assertEquals(kvCacheBytes(model.config.language, { capacity: 128, batch: 2 }), bytes);
  assertEquals(session.memory().owners.cache.bytes - before, bytes);
  cached.dispose();
  assertEquals(session.memory().owners.cache?.bytes ?? 0, before);
});
