import { choiceRows } from "./choice_table.ts";
import { parquetFiles, parquetRows, pictureOf } from "./parquet.ts";
import { letterPrompt } from "./prompts.ts";
import { idOf, letter, textOf, textsOf } from "./rows.ts";
import { accuracies } from "./scores.ts";
import type { BenchmarkRow, BenchmarkSpec, Prediction, ReadOptions } from "./types.ts";

async function* read(path: string, options: ReadOptions = {}): AsyncGenerator<BenchmarkRow> {
  if (path.endsWith(".tsv")) {
    yield* choiceRows(path, options);
    return;
  }
  let number = 0;
  const files = await parquetFiles(path, options.split ?? "test");
  for await (const { row: fields, where } of parquetRows(files)) {
    const choices = textsOf(fields, "options", where),
      answer = Number(idOf(fields, "answer", where));
    const image = pictureOf(fields, "image", where);
    if (choices[answer] === undefined) {
      throw new SyntaxError(`${where}: answer ${answer} of ${choices.length} choices`);
    }
    if (!image) throw new SyntaxError(`${where} has no image`);
    yield {
      id: String(number++),
      images: [image],
      question: textOf(fields, "question", where),
      choices,
      answers: [letter(answer)],
      meta: {},
    };
  }
}

/** The first character of what is left of an answer without brackets and "answer is". */
export function leadingLetter(text: string): string {
  return shortenedAnswer(text).slice(0, 1).toUpperCase();
}

/** An answer in lower case, without brackets around it and without what leads to it. */
export function shortenedAnswer(text: string): string {
  let answer = text.toLowerCase().trim();
  for (const lead of ["answer is", "answer is:", "answer:"]) answer = answer.split(lead).at(-1)!;
  return answer.trim().replace(/[.:,]+$/, "").replace(/^\(+/, "").replace(/\)+$/, "");
}

const right = ({ row, text }: Prediction): number => leadingLetter(text) === row.answers[0] ? 1 : 0;

/** AI2D (arXiv 1603.07396): diagrams of school books. */
export const ai2d: BenchmarkSpec = {
  name: "ai2d",
  title: "AI2D",
  files: "test-….parquet (lmms-lab/ai2d), a folder of it, or AI2D_TEST.tsv of VLMEvalKit",
  source: "eval/eval/ai2d of cambrian-mllm/cambrian: the first letter of the answer",
  read,
  prompt: letterPrompt,
  score: (predictions) => accuracies(predictions, right),
};
