import { assert, assertEquals, assertThrows } from "@std/assert";
import { NO_LABEL } from "../../src/data/pack.ts";
import { questionBatches } from "../../src/data/question_batches.ts";
import { tinyData } from "./emoji_vqa/shared.ts";

const data = await tinyData(), { tokenizer } = data;
const options = { tokenizer, length: 48, imageTokens: 16, batchSize: 8 };

Deno.test("questionBatches() asks every question once and in order", () => {
  const spans = [...questionBatches(data, "comp", options)].flatMap(({ spans }) => spans);
  assertEquals(
    spans.map(({ sample, question, family, task }) => [sample, question, family, task]),
    [...data.questions("comp")].map(({ sample, question, asked }) => [
      sample,
      question,
      asked.family,
      asked.task,
    ]),
  );
});

Deno.test("questionBatches() labels exactly the spans, with the answers", () => {
  let rows = 0;
  for (const { batch, spans } of questionBatches(data, "val", options)) {
    assert(batch.size <= 8);
    rows += batch.size;
    const covered = new Uint8Array(batch.labels.length);
    for (const { sample, question, row, start, end } of spans) {
      const asked = data.sample("val", sample).questions[question];
      const [from, to] = [row * batch.length + start, row * batch.length + end];
      assertEquals(tokenizer.decode(batch.labels.slice(from, to)), `${asked.answer} <eos>`);
      const prompt = batch.tokens.slice(
        from + 1 - tokenizer.encode(asked.question).length,
        from + 1,
      );
      assertEquals(tokenizer.decode(prompt), asked.question);
      covered.fill(1, from, to);
      const pixel = data.sample("val", sample).image[0];
      assert(Math.abs(batch.pixels[row * 3 * 32 * 32] - (pixel / 255 - 0.5) / 0.5) < 1e-6);
    }
    assertEquals(
      covered.map((c) => c),
      Uint8Array.from(batch.labels, (l) => l === NO_LABEL ? 0 : 1),
    );
  }
  assert(rows > 40, "some pictures have more questions than fit into a row");
});

Deno.test("questionBatches() asks some families of the first samples when told to", () => {
  const batches = questionBatches(data, "style", { ...options, families: ["ocr"], limit: 10 });
  const spans = [...batches].flatMap(({ spans }) => spans);
  assert(spans.length > 0);
  assert(spans.every(({ family, sample }) => family === "ocr" && sample < 10));
});

Deno.test("questionBatches() throws RangeError when a question or an option does not fit", () => {
  const run =
    (change: object) => () => [...questionBatches(data, "val", { ...options, ...change })];
  assertThrows(run({ length: 24 }), RangeError, "does not fit");
  assertThrows(run({ batchSize: 0 }), RangeError, "batchSize");
  // deno-lint-ignore no-explicit-any
  assertThrows(() => [...questionBatches(data, "vall" as any, options)], RangeError, '"val"');
});
