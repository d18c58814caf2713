import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  type BatchSample,
  captionBatch,
  instructionBatch,
  packRows,
  patchWords,
  textBatch,
  wordProblems,
  wordSceneBatch,
} from "../../src/data/batch.ts";
import { NO_LABEL } from "../../src/data/pack.ts";
import { WordTokenizer } from "../../src/data/tokenizer.ts";
import { Random } from "../../src/tensor/random.ts";

const tokenizer = new WordTokenizer(
  "what is in the top-left ? dog cat nothing text 4 2 background blue , where yes no".split(" "),
);
const id = (word: string): number => tokenizer.encode(word)[0];

const sample = (change: Partial<BatchSample> = {}): BatchSample => ({
  id: "a",
  image: Uint8Array.from({ length: 12 }, (_, i) => i * 20),
  caption: "top-left dog , background blue",
  questions: [
    { question: "what is in the top-left ?", answer: "dog" },
    { question: "what is text ?", answer: "4 2" },
    { question: "is dog ?", answer: "yes" },
    { question: "is cat ?", answer: "no" },
  ],
  cells: ["dog", "", "text 4 2", "text 4 2"],
  background: "blue",
  ...change,
});
const options = { tokenizer, length: 24, imageTokens: 4 };

Deno.test("instructionBatch() lays out image, questions and padding as documented", () => {
  const batch = instructionBatch([sample()], { ...options, questionsPerImage: 2 });
  assertEquals([batch.size, batch.length], [1, 24]);
  const words = Array.from(batch.tokens, (token) => tokenizer.tokens[token]);
  assertEquals(words.slice(0, 4), ["<image>", "<image>", "<image>", "<image>"]);
  assertEquals(words.slice(4, 11), "what is in the top-left ? dog".split(" "));
  assertEquals(words.slice(11, 17), "what is text ? 4 2".split(" "));
  assertEquals(words.slice(17), new Array(7).fill("<pad>"));
  const [pad, first, second] = [7, 7, 6];
  const blocks = [
    ...new Array(4).fill(0),
    ...new Array(first).fill(1),
    ...new Array(second).fill(2),
  ];
  assertEquals([...batch.segments], [...blocks, ...new Array(pad).fill(-1)]);
  assertEquals([...batch.positions.slice(0, 17)], [
    ...[0, 1, 2, 3],
    ...[4, 5, 6, 7, 8, 9, 10],
    ...[4, 5, 6, 7, 8, 9],
  ]);
  assertEquals([...batch.modality], [1, 1, 1, 1, ...new Array(20).fill(0)]);
  assertEquals([...batch.valid], [...new Array(17).fill(1), ...new Array(pad).fill(0)]);
});

Deno.test("instructionBatch() labels the answer and its end, shifted by one, and nothing else", () => {
  const batch = instructionBatch([sample()], { ...options, questionsPerImage: 2 });
  const labels = new Map([...batch.labels.entries()].filter(([, label]) => label !== NO_LABEL));
  assertEquals(
    [...labels],
    [[9, id("dog")], [10, tokenizer.eos], [14, id("4")], [15, id("2")], [16, tokenizer.eos]],
  );
});

Deno.test("instructionBatch() normalises pixels into channels when given RGB rows", () => {
  const { pixels } = instructionBatch([sample(), sample()], options);
  assertEquals(pixels.length, 2 * 3 * 2 * 2);
  for (let c = 0; c < 3; c++) {
    for (let p = 0; p < 4; p++) {
      const expected = ((3 * p + c) * 20 / 255 - 0.5) / 0.5;
      assertAlmostEquals(pixels[c * 4 + p], expected, 1e-6);
      assertEquals(pixels[12 + c * 4 + p], pixels[c * 4 + p]);
    }
  }
});

Deno.test("instructionBatch() draws the same questions when the random stream is the same", () => {
  const draw = (stream: string) => [
    ...instructionBatch([sample(), sample(), sample()], {
      ...options,
      questionsPerImage: 1,
      random: new Random(3, stream),
    }).tokens,
  ];
  assertEquals(draw("step 1"), draw("step 1"));
  const distinct = new Set(Array.from({ length: 8 }, (_, i) => draw(`step ${i}`).join()));
  assert(distinct.size > 4);
});

Deno.test("captionBatch() predicts the whole caption when it begins with <bos>", () => {
  const batch = captionBatch([sample()], options);
  assertEquals(batch.tokens[4], tokenizer.bos);
  const said = [...batch.labels].filter((label) => label !== NO_LABEL);
  assertEquals(tokenizer.decode(said), "top-left dog , background blue <eos>");
  assertEquals(batch.labels[4], id("top-left"));
});

Deno.test("builders throw RangeError with the numbers when a row does not fit", () => {
  assertThrows(
    () => instructionBatch([sample({ id: "tiny/train/7" })], { ...options, length: 16 }),
    RangeError,
    "tiny/train/7 does not fit: 4 image tokens and 17 of 3 texts are 21, a row has 16",
  );
  assertThrows(() => captionBatch([sample()], { ...options, length: 20 }), RangeError, "multiple");
  assertThrows(
    () => captionBatch([sample()], { ...options, imageTokens: 5 }),
    RangeError,
    "square",
  );
  assertThrows(() => captionBatch([sample({ caption: "" })], options), RangeError, "empty");
  assertThrows(
    () => instructionBatch([sample()], { ...options, questionsPerImage: 0 }),
    RangeError,
    "questionsPerImage",
  );
  const odd = sample({ id: "odd", image: new Uint8Array(27) });
  assertThrows(() => captionBatch([sample(), odd], options), RangeError, "odd has 27 bytes");
  const textOnly = sample({ image: new Uint8Array(0) });
  assertThrows(() => captionBatch([textOnly], options), RangeError, "0 bytes");
});

Deno.test("patchWords() puts phrases where they lie and spreads text over its row", () => {
  const words = patchWords(sample(), 4);
  assertEquals(words.slice(0, 4), ["dog blue", "dog blue", "blue", "blue"]);
  assertEquals(words.slice(8, 12), ["text 4 blue", "text 4 blue", "text 2 blue", "text 2 blue"]);
  const word = patchWords({ cells: ["text sun", "text sun", "", ""], background: "pink" }, 4);
  assertEquals(new Set(word.slice(0, 8)), new Set(["text sun pink"]));
  const five = patchWords(
    { cells: ["text s t u v w", "text s t u v w", "", ""], background: "" },
    4,
  );
  assertEquals(five.slice(0, 4).map((w) => w.trim()), ["text s", "text t", "text u", "text v w"]);
});

Deno.test("wordSceneBatch() fills image slots with words when there is no picture", () => {
  const scene = sample({ image: new Uint8Array(0) });
  const batch = wordSceneBatch([scene], { ...options, wordsPerPatch: 3, questionsPerImage: 2 });
  assertEquals(batch.sceneWords.length, 4 * 3);
  assertEquals(tokenizer.decode(batch.sceneWords.slice(0, 3)), "dog blue");
  assertEquals([...batch.sceneWords.slice(3, 6)], [id("blue"), 0, 0]);
  const questions = instructionBatch([sample()], { ...options, questionsPerImage: 2 });
  assertEquals(batch.tokens, questions.tokens);
  assertEquals(batch.labels, questions.labels);
  const described = wordSceneBatch([scene], { ...options, texts: "caption" });
  assertEquals(described.tokens, captionBatch([sample()], options).tokens);
  assertThrows(
    () => wordSceneBatch([scene], { ...options, wordsPerPatch: 2 }),
    RangeError,
    "raise wordsPerPatch",
  );
});

Deno.test("textBatch() packs texts from position 0 when there is no image", () => {
  const pairs = sample().questions.slice(0, 2);
  const batch = textBatch([pairs, []], { tokenizer, length: 16 });
  assertEquals(batch.size, 2);
  assertEquals([...batch.segments.slice(0, 13)], [
    ...new Array(7).fill(1),
    ...new Array(6).fill(2),
  ]);
  assertEquals([...batch.positions.slice(7, 10)], [0, 1, 2]);
  assertEquals(batch.modality.some((m) => m !== 0), false);
  assertEquals(batch.valid.slice(16).some((v) => v !== 0), false);
  const whole = textBatch([pairs], { tokenizer, length: 16, wholeText: true });
  assertEquals(whole.tokens, batch.tokens.slice(0, 16));
  const learned = [...whole.labels.slice(0, 7)];
  assertEquals(tokenizer.decode(learned), "is in the top-left ? dog <eos>");
});

Deno.test("wordProblems() puts the caption before each question", () => {
  assertEquals(wordProblems(sample())[2], {
    question: "top-left dog , background blue , is dog ?",
    answer: "yes",
  });
});

Deno.test("packRows() keeps rows independent when they are packed together", () => {
  const rows = [3, 5, 1].map((length, i) => ({
    id: `row ${i}`,
    segments: [{ prompt: new Array(length).fill(6 + i), answer: [7, 8] }],
  }));
  const together = packRows(rows, options);
  for (const [i, row] of rows.entries()) {
    const alone = packRows([row], options);
    for (
      const name of ["tokens", "positions", "segments", "labels", "modality", "valid"] as const
    ) {
      assertEquals(together[name].slice(24 * i, 24 * (i + 1)), alone[name]);
    }
  }
});
