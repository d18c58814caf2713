import { join } from "node:path";
import { parquetFiles, parquetRows, pictureOf } from "./parquet.ts";
import { fieldsOf, idOf, namesIn, readJson, textOf } from "./rows.ts";
import { accuracies, accuracy } from "./scores.ts";
import type { BenchmarkRow, BenchmarkSpec, Prediction, ReadOptions, Score } from "./types.ts";

async function* read(path: string, options: ReadOptions = {}): AsyncGenerator<BenchmarkRow> {
  const names = await namesIn(path);
  const files = names?.filter((name) => /^test_(human|augmented)\.json$/.test(name)) ?? [];
  if (files.length > 0) yield* original(path, files, options);
  else yield* hub(path, options);
}

/** The files of the authors: a list of `imgname`, `query`, `label`, and pictures in `png`. */
async function* original(path: string, files: readonly string[], { images }: ReadOptions) {
  for (const name of files) {
    const file = join(path, name), category = name.slice("test_".length, -".json".length);
    const rows = await readJson(file);
    if (!Array.isArray(rows)) throw new SyntaxError(`${file} should be a list`);
    for (const [i, value] of rows.entries()) {
      const where = `row ${i} of ${file}`, fields = fieldsOf(value, where);
      yield {
        id: `${category}/${i}`,
        images: [join(images ?? join(path, "png"), textOf(fields, "imgname", where))],
        question: textOf(fields, "query", where),
        answers: [idOf(fields, "label", where)],
        meta: { category },
      };
    }
  }
}

/** The files of lmms-lab/ChartQA. */
async function* hub(path: string, options: ReadOptions): AsyncGenerator<BenchmarkRow> {
  let number = 0;
  const files = await parquetFiles(path, options.split ?? "test");
  for await (const { row: fields, where } of parquetRows(files)) {
    const image = pictureOf(fields, "image", where);
    if (!image) throw new SyntaxError(`${where} has no image`);
    yield {
      id: String(number++),
      images: [image],
      question: textOf(fields, "question", where),
      answers: [textOf(fields, "answer", where)],
      meta: { category: textOf(fields, "type", where).replace(/_test$/, "") },
    };
  }
}

/** A number as Python reads it, or undefined. */
function numberOf(text: string): number | undefined {
  const plain = text.trim();
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(plain) ? Number(plain) : undefined;
}

/** A number, hundredths of it where it is followed by a percent sign. */
function shareOf(text: string): number | undefined {
  if (!text.endsWith("%")) return numberOf(text);
  const percent = numberOf(text.replace(/%+$/, ""));
  return percent === undefined ? undefined : percent / 100;
}

/**
 * Whether a number is right within 5 %, or any other answer to the letter, in any case.
 *
 * An answer of zero allows no tolerance and is compared to the letter, as in Pix2Struct.
 */
export function relaxedMatch(text: string, answer: string): boolean {
  const said = shareOf(text), right = shareOf(answer);
  if (said !== undefined && right) return Math.abs(said - right) / Math.abs(right) <= 0.05;
  return text.toLowerCase() === answer.toLowerCase();
}

/** The same as Cambrian has it: percent signs make a text of a number. */
function plainMatch(text: string, answer: string): boolean {
  const said = numberOf(text), right = numberOf(answer);
  if (said === undefined || right === undefined) return text.toLowerCase() === answer.toLowerCase();
  return Math.abs(said - right) <= Math.abs(right) * 0.05;
}

function score(predictions: readonly Prediction[]): Score[] {
  const by = (match: (text: string, answer: string) => boolean) => ({ row, text }: Prediction) =>
    match(text, row.answers[0]) ? 1 : 0;
  const [all, ...parts] = accuracies(predictions, by(relaxedMatch));
  const cambrian = accuracy("relaxed accuracy, % kept", predictions, by(plainMatch));
  return [{ ...all, metric: "relaxed accuracy" }, cambrian, ...parts];
}

/** ChartQA (arXiv 2203.10244). */
export const chartqa: BenchmarkSpec = {
  name: "chartqa",
  title: "ChartQA",
  files: "folder with test_human.json, test_augmented.json and png, or test-….parquet of lmms-lab",
  source:
    "relaxed accuracy (5 %) of pix2struct/metrics.py of google-research/pix2struct; besides " +
    "the one of eval/eval/chartqa of cambrian-mllm/cambrian, which the paper's scripts use",
  read,
  prompt: ({ question }) => `${question}\nAnswer the question using a single number or phrase.`,
  score,
};
