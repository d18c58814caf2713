import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { inflateRawSync } from "node:zlib";
import {
  benchmark,
  type BenchmarkRow,
  evaluateBenchmark,
  hasSubmission,
  type Prediction,
  writeSubmission,
} from "../../../src/data/benchmarks/mod.ts";
import { delimitedText, records } from "../../../src/data/benchmarks/delimited.ts";
import { xlsx } from "../../../src/data/benchmarks/xlsx.ts";
import { readAll, withFolder } from "./folder.ts";

const said = (id: string, text: string, more: Partial<BenchmarkRow> = {}): Prediction => ({
  row: { id, images: [], question: "What?", answers: [], meta: {}, ...more },
  text,
});
const read = (path: string) => Deno.readTextFile(path);
const json = async (path: string) => JSON.parse(await read(path));

Deno.test("writeSubmission() writes VQAv2's answers as numbers and equalized texts, for all questions if told", async () => {
  const questions = { questions: [3, 1, 2].map((question_id) => ({ question_id, image_id: 7 })) };
  await withFolder({ "v2_OpenEnded_mscoco_test2015_questions.json": questions }, async (folder) => {
    const answers = [said("1", "The two dogs."), said("3", "Yes")];
    await writeSubmission("vqav2", `${folder}/a.json`, answers);
    assertEquals(await json(`${folder}/a.json`), [
      { question_id: 1, answer: "2 dogs" },
      { question_id: 3, answer: "yes" },
    ]);
    const all = { questions: `${folder}/v2_OpenEnded_mscoco_test2015_questions.json` };
    await writeSubmission("vqav2", `${folder}/b.json`, answers, all);
    assertEquals(await json(`${folder}/b.json`), [
      { question_id: 3, answer: "yes" },
      { question_id: 1, answer: "2 dogs" },
      { question_id: 2, answer: "" },
    ]);
    const write = (predictions: Prediction[]) =>
      writeSubmission("vqav2", `${folder}/c.json`, predictions, all);
    await assertRejects(() => write([said("9", "x")]), RangeError, "has no question 9");
    await assertRejects(() => write([said("a/9", "x")]), RangeError, '"a/9" has no number');
    assertEquals([...Deno.readDirSync(folder)].length, 3, "nothing is left of what failed");
  });
});

Deno.test("writeSubmission() writes the JSON of GQA, MMMU, DocVQA and MM-Vet", async () => {
  await withFolder({}, async (folder) => {
    const written = async (name: string, ...predictions: Prediction[]) => {
      await writeSubmission(name, `${folder}/${name}.json`, predictions);
      return await json(`${folder}/${name}.json`);
    };
    assertEquals(await written("gqa", said("0012", "Red car.")), [
      { questionId: "0012", prediction: "red car" },
    ]);
    const choices = ["red", "blue"];
    assertEquals(
      await written(
        "mmmu",
        said("test_Art_1", "The answer is (B) blue.", { choices }),
        said("test_Art_2", "About 4."),
      ),
      { test_Art_1: "B", test_Art_2: "About 4." },
    );
    assertEquals(await written("docvqa", said("49153", " 4 May")), [
      { questionId: 49153, answer: " 4 May" },
    ]);
    assertEquals(await written("mm_vet", said("v1_0", "a"), said("v1_1", "b\n")), {
      v1_0: "a",
      v1_1: "b\n",
    });
  });
});

const CHOICES: Prediction[] = [
  said("241", 'B. a "blue"\tone', { question: "Which,\nexactly?", choices: ["red", "blue"] }),
  said("1000241", "A & B < C\0 \ud800", { choices: ["blue", "red"] }),
];
const TABLE = [
  ["index", "question", "A", "B", "C", "D", "prediction"],
  ["241", "Which,\nexactly?", "red", "blue", "", "", 'B. a "blue"\tone'],
  ["1000241", "What?", "blue", "red", "", "", "A & B < C\0 \ud800"],
];

Deno.test("writeSubmission() writes MMBench's table as TSV and CSV that are read back", async () => {
  await withFolder({}, async (folder) => {
    for (const [suffix, separator] of [["tsv", "\t"], ["csv", ","]] as const) {
      const path = `${folder}/a.${suffix}`;
      await writeSubmission("mmbench", path, CHOICES);
      const back = await Array.fromAsync(records(path, separator));
      // A lone half of a pair is no text in UTF-8.
      assertEquals(back, TABLE.map((row) => row.map((text) => text.toWellFormed())));
    }
  });
  assertEquals(delimitedText([["a", 1], ["b\tc", 'd"']], "\t"), 'a\t1\n"b\tc"\t"d"""\n');
});

/** The files of an archive, found by its directory. */
function unzipped(bytes: Uint8Array<ArrayBuffer>): Map<string, string> {
  const view = new DataView(bytes.buffer), end = bytes.length - 22, files = new Map();
  assertEquals(view.getUint32(end, true), 0x06054b50);
  let at = view.getUint32(end + 16, true);
  for (let i = 0; i < view.getUint16(end + 10, true); i++) {
    assertEquals(view.getUint32(at, true), 0x02014b50);
    const size = view.getUint32(at + 20, true), name = view.getUint16(at + 28, true);
    const path = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + name));
    const local = view.getUint32(at + 42, true);
    // The head of the file itself says the same as the directory.
    assertEquals(bytes.slice(local + 4, local + 30), bytes.slice(at + 6, at + 32));
    const data = bytes.subarray(local + 30 + name, local + 30 + name + size);
    files.set(path, new TextDecoder().decode(inflateRawSync(data)));
    at += 46 + name;
  }
  assertEquals(at, end);
  return files;
}

Deno.test("writeSubmission() writes MMBench's table as an Excel file of one sheet", async () => {
  await withFolder({}, async (folder) => {
    await writeSubmission("mmbench", `${folder}/a.xlsx`, CHOICES);
    const files = unzipped(await Deno.readFile(`${folder}/a.xlsx`));
    assertEquals([...files.keys()], [
      "[Content_Types].xml",
      "_rels/.rels",
      "xl/workbook.xml",
      "xl/_rels/workbook.xml.rels",
      "xl/worksheets/sheet1.xml",
    ]);
    const sheet = files.get("xl/worksheets/sheet1.xml")!;
    const rows = sheet.split("<row>").slice(1).map((row) =>
      [...row.matchAll(/<c>.*?<v>(.*?)<\/v>|<t xml:space="preserve">(.*?)<\/t>/gs)]
        .map(([, number, text]) => number ?? text)
    );
    assertEquals(rows[0], TABLE[0]);
    assertEquals(rows[1], TABLE[1].map((text) => text.replaceAll('"', "&quot;")));
    assertEquals(rows[2].at(-1), "A &amp; B &lt; C \ufffd");
  });
});

Deno.test("xlsx() gives the same bytes for the same rows, and cuts what Excel does not take", () => {
  const long = "x".repeat(40_000), rows = [["a", 1.5], [long, -2]];
  assertEquals(xlsx(rows), xlsx(rows));
  const sheet = unzipped(xlsx(rows)).get("xl/worksheets/sheet1.xml")!;
  assertStringIncludes(sheet, "<c><v>1.5</v></c>");
  assertEquals(sheet.match(/x{100,}/)![0].length, 32_767);
});

Deno.test("writeSubmission() refuses what no server takes, and to replace a file unasked", async () => {
  await withFolder({ "there.json": "old" }, async (folder) => {
    const write = (name: string, file: string, ...predictions: Prediction[]) =>
      writeSubmission(name, `${folder}/${file}`, predictions);
    const one = said("1", "x");
    await assertRejects(() => write("pope", "a.json", one), RangeError, '"pope"');
    await assertRejects(() => write("mmbench", "a.json", one), RangeError, ".xlsx or .tsv or .csv");
    await assertRejects(() => write("gqa", "a.json"), RangeError, "no answers");
    await assertRejects(() => write("gqa", "a.json", one, one), RangeError, "two answers to 1");
    await assertRejects(() => write("gqa", "there.json", one), Deno.errors.AlreadyExists);
    assertEquals(await read(`${folder}/there.json`), "old");
    await writeSubmission("gqa", `${folder}/there.json`, [one], { overwrite: true });
    assertEquals((await json(`${folder}/there.json`)).length, 1);
    assertEquals([...Deno.readDirSync(folder)].length, 1);
  });
  assert(hasSubmission("mmmu") && !hasSubmission("toString"));
});

Deno.test("evaluateBenchmark() writes the file for the server, also where only a judge could score", async () => {
  const question = { imagename: "1.png", question: "What?", answer: "a", capability: ["rec"] };
  const files = {
    "mm-vet.json": { v1_0: question },
    "test_balanced_questions.json": { "0012": { imageId: "7", question: "What colour?" } },
    "old.json": "old",
  };
  await withFolder(files, async (folder) => {
    const tables: string[] = [];
    const run = (name: string, path: string, submission: string, more = {}) =>
      evaluateBenchmark(name, `${folder}/${path}`, () => Promise.resolve("Red."), {
        submission: `${folder}/${submission}`,
        print: (table) => tables.push(table),
        ...more,
      });
    const { scores } = await run("mm_vet", "mm-vet.json", "vet.json");
    assertEquals([scores, await json(`${folder}/vet.json`)], [[], { v1_0: "Red." }]);
    await run("gqa", "test_balanced_questions.json", "gqa.json");
    assertEquals(await json(`${folder}/gqa.json`), [{ questionId: "0012", prediction: "red" }]);
    for (const table of tables) assertStringIncludes(table, "a server has to score them");
    const refused = (submission: string, more = {}) => () =>
      run("gqa", "test_balanced_questions.json", submission, more);
    await assertRejects(refused("old.json"), Deno.errors.AlreadyExists);
    await assertRejects(refused("b.json", { limit: 1 }), RangeError, "wants all answers");
    await assertRejects(refused("b.tsv"), RangeError, "takes .json");
  });
});

Deno.test("gqa reads questions without answers, which only the server has", async () => {
  const files = { "test.json": { "1": { imageId: "7", question: "What?" } } };
  await withFolder(files, async (folder) => {
    const [row] = await readAll(benchmark("gqa"), `${folder}/test.json`);
    assertEquals(row.answers, []);
  });
});
