import { assertAlmostEquals, assertEquals } from "@std/assert";
import {
  openMatches,
  parsedChoice,
  parsedOpen,
} from "../../../src/data/benchmarks/mmmu_answers.ts";
import {
  m4cAccuracy,
  m4cAnswer,
  vqaAccuracy,
  vqaAnswer,
} from "../../../src/data/benchmarks/vqa_answers.ts";

/** Texts put together at random, and what the rules of the published scripts give in Python. */
interface PythonAnswer {
  text: string;
  people: string[];
  right: string[];
  vqa: string;
  m4c: string;
  vqaAccuracy: number;
  m4cAccuracy: number;
  open: boolean;
  /** Of "red apple", "green pear" and "x"; null where it would be drawn. */
  choice: string | null;
}

const ROWS: PythonAnswer[] = JSON.parse(
  await Deno.readTextFile(new URL("python_answers.json", import.meta.url)),
);

Deno.test("answers of VQAv2, TextVQA and MMMU come out as in Python", () => {
  assertEquals(ROWS.length, 120);
  for (const row of ROWS) {
    const { text, people, right } = row;
    assertEquals(vqaAnswer(text), row.vqa, text);
    assertEquals(m4cAnswer(text), row.m4c, text);
    assertAlmostEquals(vqaAccuracy(text, people), row.vqaAccuracy, 1e-6, text);
    assertAlmostEquals(m4cAccuracy(text, people), row.m4cAccuracy, 1e-6, text);
    assertEquals(openMatches(right, parsedOpen(text)), row.open, text);
    if (row.choice === null) continue;
    assertEquals(parsedChoice(text, ["red apple", "green pear", "x"], "id"), row.choice, text);
  }
});
