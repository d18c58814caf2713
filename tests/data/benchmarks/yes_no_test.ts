import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { hallusionBench } from "../../../src/data/benchmarks/hallusion_bench.ts";
import { mme } from "../../../src/data/benchmarks/mme.ts";
import { pope } from "../../../src/data/benchmarks/pope.ts";
import { answers, chances, readAll, scores, withFolder } from "./folder.ts";

const popeRow = (question_id: number, label: string) =>
  JSON.stringify({ question_id, image: "COCO_val2014_000000310196.jpg", text: "Is there?", label });

Deno.test("pope reads its three files and averages F1 over them", async () => {
  const random = [popeRow(1, "yes"), popeRow(2, "no"), popeRow(3, "yes"), popeRow(4, "no")];
  const popular = [popeRow(1, "yes"), popeRow(2, "no")];
  const files = {
    "coco_pope_random.json": random.join("\n"),
    "coco_pope_popular.json": popular.join("\n") + "\n",
    "other.json": "[]",
  };
  await withFolder(files, async (folder) => {
    const rows = await readAll(pope, folder);
    assertEquals(rows.map(({ id }) => id), [
      "popular/1",
      "popular/2",
      "random/1",
      "random/2",
      "random/3",
      "random/4",
    ]);
    assertEquals(rows[0].images, [`${folder}/val2014/COCO_val2014_000000310196.jpg`]);
    assertEquals(
      pope.prompt(rows[0]),
      "Is there?\nAnswer the question using a single word or phrase.",
    );
    const said = answers(
      rows,
      "Yes, there is. Not that I am sure.", // Only the first sentence counts.
      "There is no dog", // "no" among the words
      "yes",
      "yes", // wrong
      "No, there is not",
      "nothing", // not a word that denies: yes, wrong
    );
    // popular: all right. random: 1 of 2 found, 2 wrongly said: precision 1/3, recall 1/2.
    assertEquals(scores(pope, said), {
      "F1": 70, // (1 + 0.4) / 2
      "accuracy": 62.5, // (1 + 1/4) / 2
      "precision": 66.67,
      "recall": 75,
      "yes ratio": 62.5, // (1/2 + 3/4) / 2
      "F1 popular": 100,
      "F1 random": 40,
    });
    assertEquals(chances(pope, said).F1, 50);
    const never = answers(rows, "no", "no", "no", "no", "no", "no");
    assertEquals(scores(pope, never).F1, 0);
    assertEquals((await readAll(pope, `${folder}/coco_pope_random.json`)).length, 4);
  });
});

Deno.test("pope names the row that has no label, and the folder without its files", async () => {
  const files = { "coco_pope_random.json": `${popeRow(1, "yes")}\n${popeRow(2, "maybe")}` };
  await withFolder(files, async (folder) => {
    await assertRejects(
      () => readAll(pope, folder),
      SyntaxError,
      `row 1 of ${folder}/coco_pope_random.json: label should be "yes" or "no", it is "maybe"`,
    );
  });
  await withFolder({ "readme.txt": "" }, async (folder) => {
    await assertRejects(() => readAll(pope, folder), Deno.errors.NotFound, "coco_pope_random.json");
  });
  await assertRejects(() => readAll(pope, "/nowhere"), Deno.errors.NotFound, "/nowhere");
  assertThrows(() => pope.score([]), RangeError, "no predictions");
});

Deno.test("mme adds accuracy and accuracy+ of each subtask", async () => {
  const two = (a: string, b: string) =>
    `Is it? Please answer yes or no.\t${a}\nIs it not?  Please answer yes or no.\t${b}\n`;
  const files = {
    "existence/1.jpg": "picture",
    "existence/1.txt": two("Yes", "No"),
    "existence/2.png": "picture",
    "existence/2.txt": two("Yes", "No"),
    "landmark/images/a.jpg": "picture",
    "landmark/questions_answers_YN/a.txt": two("No", "Yes"),
    "code_reasoning/1.png": "picture",
    "code_reasoning/1.txt": two("Yes", "No"),
    "eval_tool/readme.txt": "",
  };
  await withFolder(files, async (folder) => {
    const rows = await readAll(mme, folder);
    assertEquals(rows.map(({ id }) => id), [
      "code_reasoning/1/0",
      "code_reasoning/1/1",
      "existence/1/0",
      "existence/1/1",
      "existence/2/0",
      "existence/2/1",
      "landmark/a/0",
      "landmark/a/1",
    ]);
    assertEquals(rows[4].images, [`${folder}/existence/2.png`]);
    assertEquals(rows[6].images, [`${folder}/landmark/images/a.jpg`]);
    assertEquals(
      mme.prompt(rows[1]),
      "Is it not?\nAnswer the question using a single word or phrase.",
    );
    const said = answers(
      rows,
      "Yes",
      "I do not know", // neither yes nor no in the first four characters
      "Yes, it is",
      "No.",
      "No",
      "no",
      "NO",
      "YES!",
    );
    assertEquals(scores(mme, said), {
      perception: 325, // 125 + 200
      cognition: 50,
      code_reasoning: 50, // half of the questions, none of the pictures
      existence: 125, // three of four questions, one of two pictures
      landmark: 200,
    });
    assertEquals(chances(mme, said), {
      perception: 150,
      cognition: 75,
      code_reasoning: 75,
      existence: 75,
      landmark: 75,
    });
  });
});

Deno.test("mme names the line without an answer and the missing picture", async () => {
  const files = { "count/1.jpg": "picture", "count/1.txt": "Are there two?\tYes\nAnd three?\n" };
  await withFolder(files, async (folder) => {
    await assertRejects(() => readAll(mme, folder), SyntaxError, `line 2 of ${folder}/count/1.txt`);
  });
  await withFolder({ "count/1.txt": "Are there two?\tYes" }, async (folder) => {
    await assertRejects(() => readAll(mme, folder), Deno.errors.NotFound, "no picture for 1.txt");
  });
  await withFolder({ "1.txt": "" }, async (folder) => {
    await assertRejects(() => readAll(mme, folder), Deno.errors.NotFound, "folder of a subtask");
  });
});

/** A row as in HallusionBench.json. */
const hallusion = (
  category: string,
  figure_id: string,
  question_id: string,
  gt_answer: string,
) => ({
  category,
  subcategory: "chart",
  visual_input: category === "VS" && figure_id === "0" ? "0" : "1",
  set_id: "3",
  figure_id,
  question_id,
  question: "Is it so?",
  gt_answer,
  gt_answer_details: "It is.",
  filename: null,
});

Deno.test("hallusionBench scores questions, figures and questions over figures", async () => {
  const rows = [
    hallusion("VD", "0", "0", "1"),
    hallusion("VD", "0", "1", "0"),
    hallusion("VD", "1", "0", "0"),
    hallusion("VD", "1", "1", "1"),
    hallusion("VS", "0", "0", "1"),
    hallusion("VS", "1", "0", "0"),
  ];
  await withFolder({ "HallusionBench.json": rows }, async (folder) => {
    const read = await readAll(hallusionBench, `${folder}/HallusionBench.json`);
    assertEquals(read[2].images, [`${folder}/hallusion_bench/VD/chart/3_1.png`]);
    assertEquals(read[4].images, []);
    const said = answers(
      read,
      "Yes",
      "No, it isn't.",
      "It is certainly not, no", // the first of the two words
      "I can't say", // wrong, for there is a figure
      "I can't say", // right: there is no figure to tell from
      "no",
    );
    assertEquals(scores(hallusionBench, said), {
      aAcc: 83.33,
      fAcc: 66.67, // VD/0 and VS/1 of VD/0, VD/1, VS/1
      qAcc: 66.67, // VD question 0, VS question 0; not VD question 1
    });
    assertEquals(chances(hallusionBench, said), { aAcc: 50, fAcc: 33.33, qAcc: 25 });
  });
  const broken = [{ ...rows[0], gt_answer: "2" }];
  await withFolder({ "HallusionBench.json": broken }, async (folder) => {
    await assertRejects(
      () => readAll(hallusionBench, `${folder}/HallusionBench.json`),
      SyntaxError,
      'gt_answer should be "0" or "1", it is "2"',
    );
  });
});
