import { dirname, join } from "node:path";
import { JsonRows } from "../json_rows.ts";
import { editDistance } from "./edit_distance.ts";
import { parquetFiles, parquetRows, pictureOf } from "./parquet.ts";
import { fieldsOf, idOf, textOf, textsOf } from "./rows.ts";
import { accuracies, accuracy } from "./scores.ts";
import type { BenchmarkRow, BenchmarkSpec, Prediction, ReadOptions, Score } from "./types.ts";

async function* read(path: string, options: ReadOptions = {}): AsyncGenerator<BenchmarkRow> {
  if (!path.endsWith(".json")) {
    yield* hub(path, options);
    return;
  }
  const folder = options.images ?? dirname(path);
  await using rows = await JsonRows.open(path, { list: "data" });
  for (let i = 0; i < rows.length; i++) {
    const where = `question ${i} of ${path}`, fields = fieldsOf(await rows.value(i), where);
    yield {
      id: idOf(fields, "questionId", where),
      images: [join(folder, textOf(fields, "image", where))],
      question: textOf(fields, "question", where),
      answers: fields.answers === undefined ? [] : textsOf(fields, "answers", where),
      meta: {},
    };
  }
}

/** The files of lmms-lab/DocVQA; the test split has no answers. */
async function* hub(path: string, options: ReadOptions): AsyncGenerator<BenchmarkRow> {
  const files = await parquetFiles(path, options.split ?? "validation");
  for await (const { row: fields, where } of parquetRows(files)) {
    const image = pictureOf(fields, "image", where);
    if (!image) throw new SyntaxError(`${where} has no image`);
    yield {
      id: idOf(fields, "questionId", where),
      images: [image],
      question: textOf(fields, "question", where),
      answers: fields.answers === null || fields.answers === undefined
        ? []
        : textsOf(fields, "answers", where),
      meta: {},
    };
  }
}

/**
 * Average normalized Levenshtein similarity of an answer to the nearest of the right ones; below one
 * half it counts nothing. Case, blanks at the ends and the number of blanks do not matter; the
 * distance is divided by the length of the longer text as it was given, in capitals.
 *
 * So does the evaluation script that the Robust Reading Competition (rrc.cvc.uab.es, challenge 17)
 * hands out, with its default threshold 0.5. The papers (Biten et al., arXiv 1905.13648, Eq. 1, whence
 * Mathew et al., arXiv 2007.00398) give nothing at exactly one half, where the script gives one half.
 */
export function anls(text: string, answers: readonly string[]): number {
  const plain = (one: string) => one.trim().toLowerCase().split(/\s+/).join(" ");
  const lengthOf = (one: string) => [...one.toUpperCase()].length; // ß becomes two letters
  const distances = answers.map((answer) => {
    const length = Math.max(lengthOf(answer), lengthOf(text));
    return length === 0 ? 0 : editDistance(plain(answer), plain(text)) / length;
  });
  const similarity = answers.length === 0 ? 0 : 1 - Math.min(...distances);
  return similarity < 0.5 ? 0 : similarity;
}

function score(predictions: readonly Prediction[]): Score[] {
  const [all] = accuracies(predictions, ({ row, text }) => anls(text, row.answers));
  const exact = accuracy(
    "exact match",
    predictions,
    ({ row, text }) => row.answers.some((one) => one.toLowerCase() === text.toLowerCase()) ? 1 : 0,
  );
  return [{ ...all, metric: "ANLS" }, exact];
}

/** DocVQA (arXiv 2007.00398). */
export const docvqa: BenchmarkSpec = {
  name: "docvqa",
  title: "DocVQA",
  files: "val_v1.0.json with its pictures beside it, or validation-….parquet of lmms-lab/DocVQA",
  source: "ANLS of the evaluation script of the Robust Reading Competition (threshold 0.5; arXiv " +
    "1905.13648); prompt " +
    "of eval/eval/docvqa of cambrian-mllm/cambrian",
  read,
  prompt: ({ question }) => `${question}\nGive the short answer directly.`,
  score,
};
