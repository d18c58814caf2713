import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { questionBatches } from "../../src/data/mod.ts";
import {
  accuracyRows,
  answerQuestions,
  evaluate,
  type Evaluation,
  fillBatch,
  rowOptions,
  type TestSplit,
  wilson,
} from "../../src/study/mod.ts";
import "../nn/shared.ts";
import { DATA } from "../train/shared.ts";
import { knownAnswer, knownModel, randomModel } from "./shared.ts";

/** Right answers and questions by family, or by another key, counted one question at a time. */
function counted(
  split: TestSplit,
  right: (question: string, answer: string) => boolean,
  key: "family" | "task",
) {
  const found: Record<string, [number, number]> = {};
  for (const { asked } of DATA.questions(split)) {
    const entry = found[asked[key]] ??= [0, 0];
    entry[0] += right(asked.question, asked.answer) ? 1 : 0;
    entry[1]++;
  }
  return found;
}

const scores = (of: Evaluation["families"]) =>
  Object.fromEntries(Object.entries(of).map(([k, s]) => [k, [s.correct, s.n]]));

Deno.test("evaluate() counts the right answers of a model whose answers are known", async () => {
  const evaluations = await evaluate(await knownModel(DATA), DATA);
  assertEquals(evaluations.map((e) => e.split), ["val", "comp", "style"]);
  const right = (question: string, answer: string) => knownAnswer(question) === answer;
  let some = 0;
  for (const { split, families, tasks, macro } of evaluations) {
    const want = counted(split as TestSplit, right, "family");
    assertEquals(scores(families), want);
    assertEquals(scores(tasks), counted(split as TestSplit, right, "task"));
    const shares = Object.values(want).map(([correct, n]) => correct / n);
    assertAlmostEquals(macro, shares.reduce((a, b) => a + b) / shares.length, 1e-12);
    for (const { accuracy, correct, n, low, high } of Object.values(families)) {
      assertEquals([accuracy, low, high], [correct / n, ...wilson(correct, n)]);
      some += correct;
    }
  }
  assert(some > 20, "some answers have to be right");
});

Deno.test("evaluate() finds nothing right when a model never ends its answers", async () => {
  for (const { families, macro } of await evaluate(await knownModel(DATA, true), DATA)) {
    assertEquals(macro, 0);
    assert(Object.values(families).every((s) => s.correct === 0 && s.n > 0));
  }
});

Deno.test("evaluate() counts every question once when a model is not trained, whatever the batches", async () => {
  const model = await randomModel(DATA);
  const [val] = await evaluate(model, DATA, { splits: ["val"] });
  const asked = [...DATA.questions("val")].length;
  assertEquals(Object.values(val.families).reduce((s, f) => s + f.n, 0), asked);
  assertEquals(Object.values(val.tasks).reduce((s, f) => s + f.n, 0), asked);
  assert(val.macro >= 0 && val.macro < 0.3);
  assertEquals(await evaluate(model, DATA, { splits: ["val"], batchSize: 7 }), [val]);
});

Deno.test("evaluate() asks about the first samples only when told to, and tells how far it is", async () => {
  const done: number[] = [];
  const model = await knownModel(DATA);
  const [val] = await evaluate(model, DATA, {
    splits: ["val"],
    limit: 3,
    onProgress: (share) => done.push(share),
  });
  const asked = [...DATA.questions("val")].filter(({ sample }) => sample < 3).length;
  assertEquals(Object.values(val.families).reduce((s, f) => s + f.n, 0), asked);
  assertEquals(done.at(-1), 1);
  assert(done.every((share, i) => share >= (done[i - 1] ?? 0) && share <= 1));
});

Deno.test("evaluate() throws RangeError when the split is unknown", async () => {
  const error = await assertRejects(
    async () => await evaluate(await knownModel(DATA), DATA, { splits: ["vall" as TestSplit] }),
    RangeError,
  );
  assertStringIncludes(error.message, "val");
});

/** All questions of a split, for {@linkcode answerQuestions}. */
const asksOf = (split: TestSplit, limit = Infinity) =>
  [...DATA.questions(split)].filter(({ sample }) => sample < limit)
    .map(({ sample, question }) => ({ sample: DATA.sample(split, sample), question }));

Deno.test("answerQuestions() says what a model whose answers are known says", async () => {
  const asks = asksOf("val");
  assert(asks.length > 50, "more than one batch of rows");
  const answers = await answerQuestions(await knownModel(DATA), DATA, asks);
  assertEquals(
    answers.map(({ question, family, expected, answer }) => [question, family, expected, answer]),
    [...DATA.questions("val")].map(({ asked: { question, family, answer } }) => [
      question,
      family,
      answer,
      knownAnswer(question),
    ]),
  );
  assert(new Set(answers.map((a) => a.answer)).size > 3);
});

for (const [name, make] of Object.entries({ known: knownModel, random: randomModel })) {
  Deno.test(`answerQuestions() and evaluate() agree on what is right when the model's answers are ${name}`, async () => {
    const model = await make(DATA), limit = 6;
    const answers = await answerQuestions(model, DATA, asksOf("val", limit));
    const [{ families }] = await evaluate(model, DATA, { splits: ["val"], limit });
    for (const [family, { correct, n }] of Object.entries(families)) {
      const mine = answers.filter((a) => a.family === family);
      const right = mine.filter((a) => a.answer === a.expected);
      assertEquals([right.length, mine.length], [correct, n], family);
    }
  });
}

Deno.test("answerQuestions() stops after maxTokens words, or where the row is full", async () => {
  const model = await knownModel(DATA, true), [{ sample }] = asksOf("val");
  const words = async (question: string, maxTokens: number) => {
    const asked = { ...sample, questions: [{ ...sample.questions[0], question }] };
    const [{ answer }] = await answerQuestions(
      model,
      DATA,
      [{ sample: asked, question: 0 }],
      maxTokens,
    );
    return answer.split(" ").length;
  };
  assertEquals(await words("is there a chick ?", 2), 2);
  const { length, imageTokens } = rowOptions(model, DATA);
  assertEquals(await words("? ".repeat(length - imageTokens - 3), 8), 3);
  assertEquals(await answerQuestions(model, DATA, []), []);
});

Deno.test("answerQuestions() throws RangeError when a sample has no such question", async () => {
  const model = await knownModel(DATA), [{ sample }] = asksOf("val");
  const error = await assertRejects(
    () => answerQuestions(model, DATA, [{ sample, question: 99 }]),
    RangeError,
  );
  assertStringIncludes(error.message, "tiny/val/0");
  assertStringIncludes(error.message, "no number 99");
});

Deno.test("fillBatch() adds rows that count as padding", () => {
  const [{ batch }] = questionBatches(DATA, "val", {
    tokenizer: DATA.tokenizer,
    length: 48,
    imageTokens: 16,
    batchSize: 3,
    limit: 1,
  });
  const full = fillBatch(batch, 5);
  assertEquals(full.size, 5);
  const cells = batch.tokens.length;
  assertEquals(full.tokens.length, 5 * 48);
  assertEquals(full.pixels.length, 5 * 3 * 32 * 32);
  assertEquals(full.tokens.subarray(0, cells), batch.tokens);
  assertEquals(full.valid.subarray(0, cells), batch.valid);
  assert(full.valid.subarray(cells).every((v) => v === 0));
  assertEquals(full.tokens.subarray(4 * 48), batch.tokens.subarray(0, 48));
  assertEquals(fillBatch(batch, batch.size), batch);
});

Deno.test("accuracyRows() puts each family beside its blind floor", async () => {
  const evaluations = await evaluate(await knownModel(DATA), DATA);
  const rows = accuracyRows(evaluations, DATA);
  assertEquals(rows.length, evaluations.reduce((n, e) => n + Object.keys(e.families).length, 0));
  for (const row of rows) {
    const { accuracy, n, low, high } = evaluations.find((e) => e.split === row.split)!
      .families[row.family];
    assertEquals([row.accuracy, row.n, row.low, row.high], [accuracy, n, low, high]);
    const floors: Record<string, number> = DATA.blindFloors(row.split as TestSplit).families;
    assertEquals(row.floor, floors[row.family]);
    assert(row.floor >= 0 && row.floor <= 1);
  }
});
