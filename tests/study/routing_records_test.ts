import { assert, assertEquals, assertGreater, assertRejects } from "@std/assert";
import { questionBatches } from "../../src/data/mod.ts";
import {
  addRecords,
  cellOf,
  choicesOf,
  pathCounts,
  routerSaturation,
  tokensWhere,
} from "../../src/moe/mod.ts";
import {
  denseVectors,
  expertVectors,
  expertWeights,
  pairwiseCosine,
  recordPaths,
  recordRouting,
  relativeDrift,
  routingRecords,
  summaryOf,
} from "../../src/study/mod.ts";
import { makeLvlm, upcycle } from "../../src/models/mod.ts";
import { moiie } from "../../src/moe/mod.ts";
import { Random, setValues, tensor } from "../../src/tensor/mod.ts";
import { TOKEN_CLASSES, tokenClasses } from "../../src/train/mod.ts";
import { assertClose, read } from "../nn/shared.ts";
import { DATA, smallest } from "../train/shared.ts";
import { configOf, randomModel } from "./shared.ts";

/** Classes of the tokens of all batches of a family, by a loop over questions. */
function classesOf(family: string, limit: number): Record<string, number> {
  const counts: Record<string, number> = { patch: 0, question: 0, answer: 0, special: 0 };
  const words = (text: string) => DATA.tokenizer.encode(text).length;
  const batches = questionBatches(DATA, "val", {
    tokenizer: DATA.tokenizer,
    length: 48,
    imageTokens: 16,
    batchSize: 50,
    families: [family as "ocr"],
    limit,
  });
  for (const { batch, spans } of batches) {
    counts.patch += 16 * batch.size;
    for (const { sample, question } of spans) {
      const asked = DATA.sample("val", sample).questions[question];
      counts.question += words(asked.question);
      counts.answer += words(asked.answer);
    }
  }
  return counts;
}

Deno.test("routingRecords() counts image patches, words of questions and of answers apart", async () => {
  const model = await randomModel(DATA);
  const records = await routingRecords(model, DATA, { limit: 4 });
  assertEquals(records.map((r) => r.benchmark), [...DATA.families]);
  for (const record of records) {
    const want = classesOf(record.benchmark!, 4);
    for (const { layer } of record.layers) {
      for (const tokenClass of TOKEN_CLASSES) {
        const { tokens, choices } = cellOf(record, { layer, tokenClass });
        assertEquals(tokens, want[tokenClass], `${record.benchmark} ${tokenClass}`);
        assertEquals(choices.reduce((a, b) => a + b, 0), 2 * tokens);
      }
      const patches = cellOf(record, { layer, modality: "text", tokenClass: "patch" });
      assertEquals(patches.tokens, 0);
    }
  }
});

Deno.test("recordRouting() is the summary of routingRecords()", async () => {
  const model = await randomModel(DATA);
  const records = await routingRecords(model, DATA, { limit: 2 });
  assertEquals(await recordRouting(model, DATA, { limit: 2 }), records.map(summaryOf));
  const { margin, largest, entropy, tokens } = cellOf(addRecords(records), { layer: 0 });
  assert(margin > 0 && margin < tokens && largest > tokens / 3 && largest < tokens);
  assert(entropy > 0 && entropy < tokens * Math.log(3));
});

Deno.test("tokenClasses() tells words that are to be said from words that are given", async () => {
  const int = (values: number[]) => tensor(Int32Array.from(values), { shape: [1, 8] });
  // image, <bos> A, q q A (two texts), padding
  const classes = tokenClasses({
    tokens: int([3, 1, 9, 8, 8, 9, 9, 0]),
    modality: int([1, 0, 0, 0, 0, 0, 0, 0]),
    segments: int([0, 1, 1, 2, 2, 2, 2, -1]),
    labels: int([-100, 9, 2, -100, 9, 9, 2, -100]),
    valid: int([1, 1, 1, 1, 1, 1, 1, 0]),
  });
  const [got] = await read(classes);
  assertEquals(
    got.map((c) => TOKEN_CLASSES[c] ?? "none"),
    ["patch", "special", "answer", "question", "question", "answer", "answer", "none"],
  );
});

Deno.test("recordPaths() knows each token's experts, as routingRecords() counts them", async () => {
  const model = await randomModel(DATA);
  const paths = await recordPaths(model, DATA, { mostTokens: 1e6 });
  const records = await routingRecords(model, DATA, { limit: 1000 });
  for (const [number, record] of records.entries()) {
    for (const [l, layer] of paths.layers.entries()) {
      for (const tokenClass of TOKEN_CLASSES) {
        const mine = tokensWhere(paths, {
          benchmark: paths.benchmarkNames[number],
          tokenClass,
        });
        const cell = cellOf(record, { layer, tokenClass });
        const counts = paths.experts.map((_, e) =>
          mine.filter((t) => choicesOf(paths, l, t).includes(e)).length
        );
        assertEquals(counts, [...cell.choices]);
      }
    }
  }
  const all = pathCounts(paths, tokensWhere(paths));
  assertEquals(all.reduce((n, p) => n + p.tokens, 0), paths.tokens);
});

Deno.test("recordPaths() is bounded, fair to families, and the same twice", async () => {
  const model = await randomModel(DATA);
  const few = await recordPaths(model, DATA, { mostTokens: 40 });
  assertEquals(few.tokens, 40);
  for (const benchmark of DATA.families) {
    assertEquals(tokensWhere(few, { benchmark }).length, 10);
  }
  const again = await recordPaths(model, DATA, { mostTokens: 40 });
  assertEquals(routerSaturation(few, again), [1, 1]);
  const other = await recordPaths(await randomModel(DATA, 2), DATA, { mostTokens: 40 });
  const [first] = routerSaturation(few, other);
  assert(first >= 0.5 && first < 1, "top-2 of 3 have at least one in common");
  await assertRejects(() => recordPaths(smallest(), DATA), RangeError, "no mixture layers");
});

Deno.test("pairwiseCosine() and relativeDrift() equal sums by hand", () => {
  const cosine = pairwiseCosine([[3, 4], [4, 3], [-3, -4], [0, 0]]);
  assertClose(cosine[0].slice(0, 3), [1, 24 / 25, -1], 1e-12);
  assert(cosine[3].every(Number.isNaN));
  assertClose([relativeDrift([3, 4], [3, 0])], [4 / 3], 1e-12);
  assertEquals(relativeDrift([3, 4], [3, 4]), 0);
});

Deno.test("expertWeights() is 1 and 0 right after upcycling, and tells how far experts moved", async () => {
  const model = makeLvlm(new Random(1), configOf(DATA, moiie()));
  const start = await denseVectors(model);
  assertEquals([...start.keys()], [0, 1]);
  await upcycle(model, new Random(2));
  for (const { cosine, drift, experts } of await expertWeights(model, start)) {
    assertEquals(experts.length, 4);
    assertClose(cosine.flat(), new Array(16).fill(1), 1e-6);
    assertEquals(drift, [0, 0, 0, 0]);
  }
  const { ffn } = model.language.blocks[0];
  const values = await ffn.down.data() as Float32Array, part = values.length / 4;
  setValues(ffn.down, values.map((v, i) => i < part ? v + 0.5 : v));
  const [moved, other] = await expertWeights(model, start);
  const norm = Math.hypot(...start.get(0)!);
  assertClose([moved.drift[0]], [0.5 * Math.sqrt(part) / norm], 1e-5);
  assertEquals(moved.drift.slice(1), [0, 0, 0]);
  assertEquals(other.drift, [0, 0, 0, 0]);
  const [a, b] = await expertVectors(ffn);
  assertGreater(1, moved.cosine[0][1]);
  assertClose([moved.cosine[0][1]], [pairwiseCosine([a, b])[0][1]], 1e-12);
  assertEquals((await expertWeights(model))[0].drift, []);
});
