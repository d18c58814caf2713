import { assertEquals, assertThrows } from "@std/assert";
import {
  type Annotation,
  AnnotationTable,
  type TableJson,
  TextTable,
} from "../../../src/data/emoji_vqa/table.ts";

const annotations: Annotation[] = [
  {
    kind: "objects",
    background: "red",
    caption: "a dog",
    cells: ["dog", "", "", ""],
    questions: [
      { family: "general", task: "position", question: "what ?", answer: "dog" },
      { family: "ocr", task: "word", question: "what ?", answer: "red" },
    ],
  },
  { kind: "flag", background: "red", caption: "a flag", cells: ["", "", "", "x"], questions: [] },
];

Deno.test("AnnotationTable gives back what was packed, each text stored once", () => {
  const texts = new TextTable();
  const json: TableJson = JSON.parse(JSON.stringify(AnnotationTable.pack(annotations, texts)));
  assertEquals(new Set(texts.texts).size, texts.texts.length);
  const table = new AnnotationTable(texts.texts, json);
  assertEquals(table.length, 2);
  assertEquals([0, 1].map((index) => table.annotation(index)), annotations);
  assertEquals([table.kind(1), table.questionCount(0), table.questionCount(1)], ["flag", 2, 0]);
});

Deno.test("AnnotationTable throws TypeError when columns do not fit together", () => {
  const texts = new TextTable(), json = AnnotationTable.pack(annotations, texts);
  const make = (change: Partial<TableJson>) => () =>
    new AnnotationTable(texts.texts, { ...json, ...change });
  assertThrows(make({ samples: json.samples.slice(1) }), TypeError);
  assertThrows(make({ questions: json.questions.slice(1) }), TypeError);
  assertThrows(make({ samples: json.samples.with(0, 999) }), TypeError);
  assertThrows(make({ questions: json.questions.with(0, -1) }), TypeError);
});
