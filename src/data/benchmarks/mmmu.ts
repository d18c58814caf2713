import { openMatches, parsedChoice, parsedOpen, pythonList } from "./mmmu_answers.ts";
import { parquetFiles, parquetRows, pictureOf } from "./parquet.ts";
import { LETTER_ANSWER, SHORT_ANSWER } from "./prompts.ts";
import { type Fields, idOf, letter, textOf } from "./rows.ts";
import { accuracies } from "./scores.ts";
import type { BenchmarkRow, BenchmarkSpec, Prediction, ReadOptions } from "./types.ts";

async function* read(path: string, options: ReadOptions = {}): AsyncGenerator<BenchmarkRow> {
  const files = await parquetFiles(path, options.split ?? "validation");
  for await (const { row: fields, where } of parquetRows(files)) yield question(fields, where);
}

function question(fields: Fields, where: string): BenchmarkRow {
  const id = idOf(fields, "id", where);
  const closed = textOf(fields, "question_type", where) === "multiple-choice";
  const lists = (text: string): string[] => {
    try {
      return pythonList(text);
    } catch (cause) {
      throw new SyntaxError(`${where}: ${(cause as Error).message}`, { cause });
    }
  };
  const choices = closed ? lists(textOf(fields, "options", where)) : undefined;
  const answer = textOf(fields, "answer", where);
  if (choices && answer !== "?" && !choices.some((_, i) => letter(i) === answer)) {
    throw new SyntaxError(`${where}: the answer "${answer}" is none of ${choices.length} choices`);
  }
  // The test split has no answers, which its files show by a question mark.
  const open = answer.startsWith("[") ? lists(answer) : [answer];
  const answers = answer === "?" ? [] : closed ? [answer] : open;
  const texts = [textOf(fields, "question", where), ...choices ?? []];
  const images = texts.flatMap((text) => [...text.matchAll(/<image (\d)>/g)]).map(
    ([tag, number]) => {
      const picture = pictureOf(fields, `image_${number}`, where);
      if (picture) return picture;
      throw new SyntaxError(`${where}: the text shows ${tag}, but image_${number} is empty`);
    },
  );
  const subject = /^[a-z]+_(.+)_\d+$/.exec(id)?.[1] ?? "";
  return { id, images, question: texts[0], choices, answers, meta: { category: subject } };
}

/** Pictures stand where the question shows them. */
function prompt({ question, choices }: BenchmarkRow): string {
  const options = choices?.map((choice, i) => `(${letter(i)}) ${choice}\n`).join("");
  const text = options === undefined
    ? `${question}\n${SHORT_ANSWER}`
    : `${question}\n${options}\n${LETTER_ANSWER}`;
  return text.replace(/<image \d>/g, "<image>");
}

function right({ row, text }: Prediction): number {
  const { choices, answers, id } = row;
  if (choices) return parsedChoice(text, choices, id) === answers[0] ? 1 : 0;
  return openMatches(answers, parsedOpen(text)) ? 1 : 0;
}

/** MMMU (arXiv 2311.16502). */
export const mmmu: BenchmarkSpec = {
  name: "mmmu",
  title: "MMMU",
  files: "folder with a folder of validation-….parquet for each subject, or one such file",
  source: "eval/eval_utils.py of MMMU-Benchmark/MMMU and its prompt for LLaVA; answers without a " +
    "choice are drawn by the question's id",
  read,
  prompt,
  score: (predictions) => accuracies(predictions, right),
};
