import { dirname, join } from "node:path";
import { shortAnswerPrompt } from "./prompts.ts";
import { fieldsOf, idOf, readJson, textOf } from "./rows.ts";
import { accuracies } from "./scores.ts";
import type { BenchmarkRow, BenchmarkSpec, Prediction, ReadOptions, Score } from "./types.ts";

async function* read(path: string, options: ReadOptions = {}): AsyncGenerator<BenchmarkRow> {
  const folder = options.images ?? join(dirname(path), "images");
  for (const [id, value] of Object.entries(fieldsOf(await readJson(path), path))) {
    const where = `question ${id} of ${path}`, fields = fieldsOf(value, where);
    const types = fieldsOf(fields.types ?? {}, `${where}: types`);
    const structure = typeof types.structural === "string" ? types.structural : "";
    yield {
      id,
      images: [join(folder, `${idOf(fields, "imageId", where)}.jpg`)],
      question: textOf(fields, "question", where),
      // The questions of the test splits have none.
      answers: fields.answer === undefined ? [] : [textOf(fields, "answer", where)],
      meta: structure === "" ? {} : { category: structure === "query" ? "open" : "binary" },
    };
  }
}

/** Equal to the answer after its full stops are cut off and it is put in lower case. */
function right({ row, text }: Prediction): number {
  return text.replace(/\.+$/, "").toLowerCase() === row.answers[0] ? 1 : 0;
}

function score(predictions: readonly Prediction[]): Score[] {
  const binary = ({ row }: Prediction) => row.meta.category === "binary" ? 0.5 : 0;
  return accuracies(predictions, right, "category", binary);
}

/** GQA (arXiv 1902.09506), the balanced test-development questions, or others of its files. */
export const gqa: BenchmarkSpec = {
  name: "gqa",
  title: "GQA",
  files: "testdev_balanced_questions.json; pictures in images",
  source: "exact match of GQA's eval.py after scripts/convert_gqa_for_eval.py of haotian-liu/LLaVA",
  read,
  prompt: shortAnswerPrompt,
  score,
};
