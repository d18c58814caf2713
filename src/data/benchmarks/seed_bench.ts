import { dirname, join } from "node:path";
import { JsonRows } from "../json_rows.ts";
import { letterPrompt } from "./prompts.ts";
import { fieldsOf, idOf, oneOf, textOf } from "./rows.ts";
import { accuracies } from "./scores.ts";
import type { BenchmarkRow, BenchmarkSpec, ReadOptions } from "./types.ts";

/** Kinds of questions about pictures, by `question_type_id`. */
const TYPES = new Map([
  ["1", "scene understanding"],
  ["2", "instance identity"],
  ["3", "instance attributes"],
  ["4", "instance location"],
  ["5", "instances counting"],
  ["6", "spatial relation"],
  ["7", "instance interaction"],
  ["8", "visual reasoning"],
  ["9", "text understanding"],
]);

async function* read(path: string, options: ReadOptions = {}): AsyncGenerator<BenchmarkRow> {
  const folder = options.images ?? join(dirname(path), "SEED-Bench-image");
  await using rows = await JsonRows.open(path, { list: "questions" });
  for (let i = 0; i < rows.length; i++) {
    const where = `question ${i} of ${path}`, fields = fieldsOf(await rows.value(i), where);
    if (textOf(fields, "data_type", where) !== "image") continue;
    const type = idOf(fields, "question_type_id", where);
    const names = ["choice_a", "choice_b", "choice_c", "choice_d"];
    yield {
      id: idOf(fields, "question_id", where),
      images: [join(folder, textOf(fields, "data_id", where))],
      question: textOf(fields, "question", where),
      choices: names.map((name) => textOf(fields, name, where)),
      answers: [oneOf(textOf(fields, "answer", where), ["A", "B", "C", "D"], `${where}: answer`)],
      meta: { category: TYPES.get(type) ?? type },
    };
  }
}

/** SEED-Bench (arXiv 2307.16125), the questions about pictures. */
export const seedBench: BenchmarkSpec = {
  name: "seed_bench",
  title: "SEED-Bench (image)",
  files: "SEED-Bench.json; pictures in SEED-Bench-image",
  source: "scripts/convert_seed_for_submission.py of haotian-liu/LLaVA: the answer is the letter",
  read,
  prompt: letterPrompt,
  score: (predictions) =>
    accuracies(predictions, ({ row, text }) => text.trim() === row.answers[0] ? 1 : 0),
};
