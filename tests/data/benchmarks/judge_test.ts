import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { assertStringIncludes } from "@std/assert";
import { evaluateBenchmark, type Judge } from "../../../src/data/benchmarks/mod.ts";
import { mathvista } from "../../../src/data/benchmarks/mathvista.ts";
import { normalAnswer, quickAnswer } from "../../../src/data/benchmarks/mathvista_answers.ts";
import { mmVet } from "../../../src/data/benchmarks/mm_vet.ts";
import { answers, parquet, readAll, scores, withFolder } from "./folder.ts";

const quiet = { print: () => {} };
const about = (answer: string, ...capability: string[]) => ({
  imagename: "v1.png",
  question: `Which ${answer}?`,
  answer,
  capability,
  imagesource: "somewhere",
});
const VET = {
  "mm-vet.json": {
    v1_0: about("-1<AND>-5", "ocr", "math"),
    v1_1: about("car", "rec"),
    v1_2: about("a<OR>b", "math", "ocr"),
    v1_3: about("tree", "rec", "spat"),
  },
};

Deno.test("mm_vet reads questions and grades them by a judge, by capability and by what is needed together", async () => {
  await withFolder(VET, async (folder) => {
    const [row] = await readAll(mmVet, folder);
    assertEquals([row.id, row.images, row.meta.capabilities], [
      "v1_0",
      [`${folder}/images/v1.png`],
      "math_ocr",
    ]);
    assertEquals(mmVet.prompt(row), "Which -1<AND>-5?");
    const asked: string[] = [];
    const judge: Judge = (prompt, { temperature, maxTokens }) => {
      assertEquals([temperature, maxTokens], [0, 3]);
      asked.push(prompt);
      return Promise.resolve(["1.0", "0.5 ", "0.3\n", "0"][asked.length - 1]);
    };
    const answer = () => Promise.resolve("x = -5");
    const { scores, predictions } = await evaluateBenchmark("mm_vet", folder, answer, {
      judge,
      ...quiet,
    });
    assertStringIncludes(asked[0], "Question | Ground truth | Prediction | Correctness\n--- |");
    assertEquals(asked[0].split("\n").at(-1), "Which -1<AND>-5? | -1 <AND> -5 | x = -5 | ");
    assertEquals(predictions.map(({ verdicts }) => verdicts), [["1.0"], ["0.5 "], ["0.3\n"], [
      "0",
    ]]);
    const rounded = scores.map(({ metric, value, n }) => [metric, Math.round(10 * value) / 10, n]);
    assertEquals(rounded, [
      ["total", 45, 4],
      ["math", 65, 2],
      ["ocr", 65, 2],
      ["rec", 25, 2],
      ["spat", 0, 1],
      ["only math_ocr", 65, 2],
      ["only rec", 50, 1],
      ["only rec_spat", 0, 1],
    ]);
  });
});

Deno.test("mm_vet asks a judge that says no number again, with a hint, and gives 0 in the end", async () => {
  const files = { "mm-vet.json": { v1_0: about("car", "rec"), v1_1: about("cat", "rec") } };
  await withFolder(files, async (folder) => {
    const temperatures: number[] = [], hints: boolean[] = [];
    const judge: Judge = (prompt, { temperature }) => {
      if (prompt.includes("Which cat?")) return Promise.resolve("1.5");
      temperatures.push(temperature);
      hints.push(prompt.endsWith("\nPredict the correctness of the answer (digit): "));
      return Promise.resolve(temperatures.length < 3 ? "The score" : ".7");
    };
    const { scores, predictions } = await evaluateBenchmark(
      "mm_vet",
      folder,
      () => Promise.resolve("a car"),
      { judge, ...quiet },
    );
    assertEquals([temperatures, hints], [[0, 0, 0.5], [false, true, true]]);
    assertEquals(predictions[1].verdicts?.length, 5, "1.5 is no grade");
    assertEquals(scores[0].value, 35);
  });
});

Deno.test("mm_vet refuses to score without a judge, keeps the answers, and grades them later, once", async () => {
  await withFolder(VET, async (folder) => {
    let said = 0, graded = 0;
    const answer = () => Promise.resolve(`answer ${said++}`);
    const out = `${folder}/runs.jsonl`;
    const run = (more: Parameters<typeof evaluateBenchmark>[3]) =>
      evaluateBenchmark("mm_vet", folder, answer, { ...quiet, ...more });
    await assertRejects(() => run({}), TypeError, "give the option out");
    assertEquals(said, 0, "nothing was asked for nothing");
    await assertRejects(() => run({ out }), TypeError, `the answers are in ${out}`);
    assertEquals(said, 4);
    const failing: Judge = () =>
      graded++ < 2 ? Promise.resolve("1") : Promise.reject(new Error("no quota"));
    await assertRejects(() => run({ out, judge: failing }), Error, "no quota");
    const judge: Judge = () => Promise.resolve(graded++ < 0 ? "" : "0.5");
    const { scores } = await run({ out, judge, judgeName: "judge" });
    assertEquals([said, graded, scores[0].value], [4, 5, 75]);
    assertEquals((await run({ out, judge })).scores[0].value, 75);
    assertEquals([said, graded], [4, 5], "nothing is asked twice");
    assert((await Deno.stat(`${folder}/runs.judge.jsonl`)).isFile);
    await assertRejects(() => run({ out, judge, judgeName: "other" }), RangeError, '"judge"');
    const rows = await readAll(mmVet, folder);
    assertThrows(() => mmVet.score(answers(rows, "a", "b", "c", "d")), RangeError, "needs a judge");
  });
});

Deno.test("mm_vet throws when its file is malformed", async () => {
  const broken = { "mm-vet.json": { v1_0: { ...about("car"), capability: "rec" } } };
  await withFolder(broken, async (folder) => {
    await assertRejects(() => readAll(mmVet, folder), SyntaxError, "capability should be a list");
  });
  await withFolder({ "mm-vet.json": { v1_0: about("car") } }, async (folder) => {
    await assertRejects(() => readAll(mmVet, folder), SyntaxError, "has no capability");
  });
});

const problem = (pid: string, more: Record<string, unknown>) => ({
  pid,
  question: "How far?",
  image: `images/${pid}.jpg`,
  choices: null,
  unit: null,
  precision: null,
  answer: "4",
  question_type: "free_form",
  answer_type: "integer",
  ...more,
  metadata: {
    task: "math word problem",
    source: "CLEVR-Math",
    skills: ["arithmetic reasoning", "geometry reasoning"],
    ...more.metadata as object,
  },
});
const closed = { question_type: "multi_choice", answer_type: "text" };
const MATH = {
  "testmini.json": Object.fromEntries(
    [
      problem("1", { unit: "g" }),
      problem("2", { ...closed, choices: ["135°", "140°"], answer: "140°" }),
      problem("3", { answer_type: "float", precision: 1, answer: "1.2" }),
      problem("4", {
        answer_type: "list",
        answer: "[1, 2]",
        metadata: { task: "figure question answering", skills: ["statistical reasoning"] },
      }),
    ].map((one) => [one.pid, one]),
  ),
};

Deno.test("mathvista reads testmini.json and asks as the published queries", async () => {
  await withFolder(MATH, async (folder) => {
    const rows = await readAll(mathvista, `${folder}/testmini.json`);
    assertEquals(
      rows.map(({ images }) => images[0]),
      [1, 2, 3, 4].map((i) => `${folder}/images/${i}.jpg`),
    );
    assertEquals(
      rows.map((row) => mathvista.prompt(row)),
      [
        "Hint: Please answer the question requiring an integer answer and provide the final value, " +
        "e.g., 1, 2, 3, at the end.\nQuestion: How far? (Unit: g)",
        "Hint: Please answer the question and provide the correct option letter, e.g., A, B, C, D, " +
        "at the end.\nQuestion: How far?\nChoices:\n(A) 135°\n(B) 140°",
        "Hint: Please answer the question requiring a floating-point number with one decimal place " +
        "and provide the final value, e.g., 1.2, 1.3, 1.4, at the end.\nQuestion: How far?",
        "Hint: Please answer the question requiring a Python list as an answer and provide the " +
        "final list, e.g., [1, 2, 3], [1.2, 1.3, 1.4], at the end.\nQuestion: How far?",
      ],
    );
    const said = answers(rows, "4", "(b) it is", "1.21", "[1, 2]");
    assertEquals(scores(mathvista, said), {
      accuracy: 100,
      "extracted by rules or judge": 50,
      "accuracy math word problem": 100,
      "accuracy figure question answering": 100,
      "accuracy arithmetic reasoning": 100,
      "accuracy geometry reasoning": 100,
      "accuracy statistical reasoning": 100,
      "accuracy CLEVR-Math": 100,
    });
    const wrong = answers(rows, "It is 4", "135", "1.26", "[1,2]");
    assertEquals(scores(mathvista, wrong).accuracy, 0);
  });
});

Deno.test("mathvista asks a judge for what the rules do not find, and nothing else", async () => {
  await withFolder(MATH, async (folder) => {
    const said = ["It is 4.", 'The answer is "140°".', "1.2", ""];
    const prompts: string[] = [];
    const judge: Judge = (prompt, options) => {
      assertEquals(options, { temperature: 0, maxTokens: 256 });
      prompts.push(prompt);
      return Promise.resolve(" 4\n");
    };
    const { scores, predictions } = await evaluateBenchmark(
      "mathvista",
      `${folder}/testmini.json`,
      ({ id }) => Promise.resolve(said[Number(id) - 1]),
      { judge, ...quiet },
    );
    assertEquals(prompts.length, 1);
    assertStringIncludes(prompts[0], "Model response: The correct answer is (B) 8/11.");
    assert(
      prompts[0].endsWith("Question: How far? (Unit: g)\n\nIt is 4.\n\nExtracted answer: "),
    );
    assertEquals(predictions.map(({ verdicts }) => verdicts?.length), [
      1,
      undefined,
      undefined,
      undefined,
    ]);
    assertEquals(scores[0], { metric: "accuracy", value: 75, n: 4, chance: 12.5 });
    assertEquals(scores[1].value, 100);
  });
});

Deno.test("mathvista takes answers as the published rules do", () => {
  const choices = ["quarter", "half", "o'clock"], closed = { choices, type: "text", precision: 0 };
  const quick = (text: string, type: "text" | "integer" | "float" = "integer") =>
    quickAnswer(text, { type, precision: 1 });
  assertEquals(
    [quick("+4 "), quick("4.0"), quick(""), quick("4.0", "float"), quick("1e-5", "float")],
    ["4", undefined, "", "4.0", "1e-05"],
  );
  assertEquals(quick('So: The answer is "3" or "4".'), '3" or "4');
  assertEquals(quickAnswer("half", closed as never), "half");
  assertEquals(quickAnswer("B", closed as never), undefined);
  const normal = (text: string) => normalAnswer(text, closed as never);
  assertEquals(
    ["B", " (c) or (A)", "halve", "D", "b", ""].map(normal),
    ["half", "o'clock", "half", "half", "half", "half"],
  );
  const number = (text: string, type: "integer" | "float" | "list", precision = 0) =>
    normalAnswer(text, { type, precision });
  assertEquals([number("4.9", "integer"), number("four", "integer")], ["4", undefined]);
  assertEquals([number("1.25", "float", 1), number("3", "float", 2)], ["1.2", "3.0"]);
  assertEquals(number("[1]", "list"), "[1]");
});

Deno.test("mathvista reads the hub's Parquet files, with and without answers", async () => {
  const row = { task: "math word problem", source: "CLEVR-Math", skills: ["arithmetic reasoning"] };
  const file = (answer: string) =>
    parquet({
      texts: {
        pid: ["1", "2"],
        question: ["How many?", "Which?"],
        answer: [answer, answer === "" ? "" : "b"],
        question_type: ["free_form", "multi_choice"],
        answer_type: ["integer", "text"],
        unit: [null, null],
      },
      lists: { choices: [[], ["a", "b"]] },
      pictures: { decoded_image: [Uint8Array.of(1, 2), Uint8Array.of(3)] },
      groups: { metadata: [row, row] },
    });
  const files = { "data/testmini-0.parquet": file("3"), "data/test-0.parquet": file("") };
  await withFolder(files, async (folder) => {
    const rows = await readAll(mathvista, folder);
    assertEquals(rows.map(({ answers, choices }) => [answers, choices]), [
      [["3"], undefined],
      [["b"], ["a", "b"]],
    ]);
    assertEquals(rows[0].images, [Uint8Array.of(1, 2)]);
    assertEquals(scores(mathvista, answers(rows, "3", "A")).accuracy, 50);
    const test = await readAll(mathvista, folder, { split: "test" });
    assertEquals(test.map(({ answers }) => answers), [[], []]);
  });
});

Deno.test("mathvista throws when a question is malformed", async () => {
  const cases: [Record<string, unknown>, string][] = [
    [{ ...closed, choices: ["a"], answer: "b" }, 'the answer "b" is none of 1'],
    [{ answer_type: "number" }, "answer_type"],
    [{ precision: 1.5 }, "precision"],
  ];
  for (const [more, text] of cases) {
    await withFolder({ "testmini.json": { "1": problem("1", more) } }, async (folder) => {
      await assertRejects(() => readAll(mathvista, `${folder}/testmini.json`), SyntaxError, text);
    });
  }
});
