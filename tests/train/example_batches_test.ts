import { assert, assertEquals, assertGreater, assertNotEquals } from "@std/assert";
import { loadPublished } from "../../src/models/mod.ts";
import { exampleBatches, type PublishedBatch, publishedInputs } from "../../src/train/mod.ts";
import "../nn/shared.ts";
import { folderOf } from "../models/fixture_models.ts";

/** Rows of a batch as lists. */
function rowsOf({ shape: [rows, length], tokens, labels }: PublishedBatch) {
  const row = (all: Int32Array, r: number) => [...all.subarray(r * length, (r + 1) * length)];
  return Array.from(
    { length: rows },
    (_, r) => ({ tokens: row(tokens, r), labels: row(labels, r) }),
  );
}

Deno.test("exampleBatches() asks a LLaVA which quarter of its picture is brightest", async () => {
  const model = await loadPublished(folderOf("models/llava"));
  const [batch, other] = exampleBatches(model, { rows: 30, seed: 2 });
  const { data, shape } = batch.pixels!;
  assertEquals(shape, [30, 3, 12, 12]);
  const found = new Map<number, Set<number>>();
  for (const [r, { tokens, labels }] of rowsOf(batch).entries()) {
    assertEquals(tokens.filter((t) => t === 96).length, 9);
    assertEquals(labels.slice(0, -2), new Array(labels.length - 2).fill(-100));
    assertEquals(labels.slice(-2), tokens.slice(-2));
    assert(tokens.every((t) => t >= 0 && t < 97));
    const sums = [0, 0, 0, 0];
    for (let i = 0; i < 144; i++) {
      sums[(i % 12 < 6 ? 0 : 1) + (i < 72 ? 0 : 2)] += data[r * 432 + i];
    }
    const answers = found.get(sums.indexOf(Math.max(...sums))) ?? new Set();
    found.set(sums.indexOf(Math.max(...sums)), answers.add(labels.at(-2)!));
  }
  assertEquals(found.size, 4);
  assertEquals(
    new Set([...found.values()].flatMap((s) => [...s])).size,
    4,
    "a word for each quarter",
  );
  assertNotEquals(batch.tokens.join(), other.tokens.join());
  const [again] = exampleBatches(model, { rows: 30, seed: 2 });
  assertEquals(again, batch);
});

Deno.test("exampleBatches() asks a language model for the word in front, without pictures", async () => {
  const model = await loadPublished(folderOf("models/phi3"));
  const [batch] = exampleBatches(model);
  assertEquals([batch.shape, batch.pixels], [[8, 6], undefined]);
  for (const { tokens, labels } of rowsOf(batch)) assertEquals(labels.at(-2), tokens[1]);
  const inputs = publishedInputs(model, batch);
  assertEquals(Object.keys(inputs).sort(), ["mask", "positions", "tokens"]);
  assertGreater(await inputs.tokens!.data().then((d) => d[0]), 0);
});
