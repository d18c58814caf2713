import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  benchmark,
  type BenchmarkQuestion,
  BENCHMARKS,
  evaluateBenchmark,
} from "../../../src/data/benchmarks/mod.ts";
import { withFolder } from "./folder.ts";

const POPE = Array.from({ length: 6 }, (_, i) =>
  JSON.stringify({
    question_id: i,
    image: `${i}.jpg`,
    text: `Is there ${i}?`,
    label: i % 2 === 0 ? "yes" : "no",
  })).join("\n");

const quiet = { print: () => {} };

Deno.test("evaluateBenchmark() asks, scores, and prints chance and number beside each score", async () => {
  await withFolder({ "coco_pope_random.json": POPE }, async (folder) => {
    const asked: string[] = [], tables: string[] = [], done: number[] = [];
    const answer = ({ prompt }: BenchmarkQuestion) => {
      asked.push(prompt);
      return Promise.resolve("yes");
    };
    const { n, scores, predictions } = await evaluateBenchmark("pope", folder, answer, {
      print: (table) => tables.push(table),
      onProgress: (count) => done.push(count),
    });
    assertEquals([n, predictions.length], [6, 6]);
    assertEquals(
      asked[0],
      "<image>\nIs there 0?\nAnswer the question using a single word or phrase.",
    );
    assertEquals(done, [1, 2, 3, 4, 5, 6]);
    assertEquals(scores[1], { metric: "accuracy", value: 50, n: 6, chance: 50 });
    assertEquals(tables.length, 1);
    assertEquals(tables[0].split("\n")[0].split(/\s+/), ["POPE", "score", "chance", "n"]);
    assertStringIncludes(tables[0], "metric: llava/eval/eval_pope.py");
  });
});

Deno.test("evaluateBenchmark() goes on where an interrupted run stopped", async () => {
  await withFolder({ "coco_pope_random.json": POPE }, async (folder) => {
    const out = `${folder}/answers.jsonl`, options = { out, model: "a", ...quiet };
    let calls = 0;
    const failing = () => {
      if (calls === 3) return Promise.reject(new Error("out of memory"));
      calls++;
      return Promise.resolve("no\u2028newline\n");
    };
    await assertRejects(
      () => evaluateBenchmark("pope", folder, failing, options),
      Error,
      "out of memory",
    );
    const part = `${out}.part`;
    assertEquals((await Deno.readTextFile(part)).split("\n").length, 1 + 3 + 1);
    // A crash in the middle of a line.
    await Deno.writeTextFile(part, '{"id":"random/3","pro', { append: true });
    calls = 0;
    const counting = () => Promise.resolve(`yes ${calls++}`);
    const { predictions } = await evaluateBenchmark("pope", folder, counting, options);
    assertEquals(calls, 3);
    assertEquals(predictions.map(({ text }) => text), [
      ...Array(3).fill("no\u2028newline\n"),
      "yes 0",
      "yes 1",
      "yes 2",
    ]);
    const lines = (await Deno.readTextFile(out)).trimEnd().split("\n");
    assertEquals(lines.length, 7);
    for (const line of lines) JSON.parse(line);
    await assertRejects(() => Deno.stat(part), Deno.errors.NotFound);
    // Complete: nothing is asked any more.
    await evaluateBenchmark("pope", folder, counting, options);
    assertEquals(calls, 3);
    await assertRejects(
      () => evaluateBenchmark("pope", folder, counting, { ...options, model: "b" }),
      RangeError,
      'holds answers with model "a", not "b"',
    );
    await Deno.writeTextFile(
      `${folder}/coco_pope_random.json`,
      POPE.replace("Is there 2?", "Is there another?"),
    );
    await assertRejects(
      () => evaluateBenchmark("pope", folder, counting, options),
      RangeError,
      "an answer to random/2, but to another prompt",
    );
  });
});

Deno.test("evaluateBenchmark() keeps a limited run open for more", async () => {
  await withFolder({ "coco_pope_random.json": POPE }, async (folder) => {
    const out = `${folder}/answers.jsonl`, options = { out, ...quiet };
    let calls = 0;
    const answer = () => Promise.resolve(`yes ${calls++}`);
    const first = await evaluateBenchmark("pope", folder, answer, { ...options, limit: 2 });
    assertEquals([first.n, calls], [2, 2]);
    await assertRejects(() => Deno.stat(out), Deno.errors.NotFound);
    const all = await evaluateBenchmark("pope", folder, answer, options);
    assertEquals([all.n, calls], [6, 6]);
    assert((await Deno.stat(out)).isFile);
  });
});

Deno.test("evaluateBenchmark() writes answers that only a server can score", async () => {
  const questions = [{ image_id: 1, question: "What?", question_id: 1 }];
  const file = "v2_OpenEnded_mscoco_test-dev2015_questions.json";
  await withFolder({ [file]: { questions } }, async (folder) => {
    const tables: string[] = [];
    const { scores, n } = await evaluateBenchmark(
      "vqav2",
      `${folder}/${file}`,
      () => Promise.resolve("red"),
      { print: (table) => tables.push(table) },
    );
    assertEquals([scores.length, n], [0, 1]);
    assertStringIncludes(tables[0], "a server has to score them");
  });
});

Deno.test("evaluateBenchmark() throws when names, limits or files make no sense", async () => {
  const answer = () => Promise.resolve("yes");
  await assertRejects(
    () => evaluateBenchmark("popes", "x", answer),
    RangeError,
    'did you mean "pope"?',
  );
  await assertRejects(
    () => evaluateBenchmark("pope", "x", answer, { limit: 0 }),
    RangeError,
    "limit",
  );
  await withFolder({ "a.tsv": "index\tquestion\n", "out.jsonl": "[1]\n" }, async (folder) => {
    await assertRejects(
      () => evaluateBenchmark("mmbench", `${folder}/a.tsv`, answer, quiet),
      RangeError,
      "has no questions of MMBench",
    );
    await assertRejects(
      () => evaluateBenchmark("pope", folder, answer, { out: `${folder}/out.jsonl` }),
      SyntaxError,
      'does not begin with "moiie-lab predictions 1"',
    );
  });
});

Deno.test("BENCHMARKS have names of their own, and say what they read and where metrics are from", () => {
  const names = BENCHMARKS.map(({ name }) => name);
  assertEquals(new Set(names).size, 16);
  for (const one of BENCHMARKS) {
    assertEquals(benchmark(one.name), one);
    assert(one.source.length > 20 && one.files.length > 10, one.name);
  }
});
