import { dirname, join } from "node:path";
import { JsonRows } from "../json_rows.ts";
import { SHORT_ANSWER } from "./prompts.ts";
import { fieldsOf, idOf, textOf, textsOf } from "./rows.ts";
import { accuracies } from "./scores.ts";
import { m4cAccuracy } from "./vqa_answers.ts";
import type { BenchmarkRow, BenchmarkSpec, ReadOptions } from "./types.ts";

async function* read(path: string, options: ReadOptions = {}): AsyncGenerator<BenchmarkRow> {
  const folder = options.images ?? join(dirname(path), "train_images");
  const texts = options.ocr === undefined ? undefined : await readTexts(options.ocr);
  await using rows = await JsonRows.open(path, { list: "data" });
  for (let i = 0; i < rows.length; i++) {
    const where = `question ${i} of ${path}`, fields = fieldsOf(await rows.value(i), where);
    const picture = textOf(fields, "image_id", where), found = texts?.get(picture);
    const answers = fields.answers === undefined ? [] : textsOf(fields, "answers", where);
    if (answers.length !== 10 && answers.length !== 0) {
      throw new SyntaxError(`${where} should have the answers of 10 people, not ${answers.length}`);
    }
    if (texts && !found) throw new SyntaxError(`${where}: ${options.ocr} does not know ${picture}`);
    yield {
      id: idOf(fields, "question_id", where),
      images: [join(folder, `${picture}.jpg`)],
      question: textOf(fields, "question", where),
      answers,
      meta: found === undefined ? {} : { ocr: found.join(", ") },
    };
  }
}

/** The texts that an OCR program found in each picture. */
async function readTexts(path: string): Promise<Map<string, string[]>> {
  const texts = new Map<string, string[]>();
  await using rows = await JsonRows.open(path, { list: "data" });
  for (let i = 0; i < rows.length; i++) {
    const where = `picture ${i} of ${path}`, fields = fieldsOf(await rows.value(i), where);
    texts.set(textOf(fields, "image_id", where), textsOf(fields, "ocr_tokens", where));
  }
  return texts;
}

/** TextVQA (arXiv 1904.08920). With the option `ocr` the prompt names the texts in the picture. */
export const textvqa: BenchmarkSpec = {
  name: "textvqa",
  title: "TextVQA",
  files: "TextVQA_0.5.1_val.json; pictures in train_images; " +
    "option ocr: TextVQA_Rosetta_OCR_v0.2_val.json",
  source: "m4c_evaluator.py and the prompts of haotian-liu/LLaVA",
  read,
  prompt: ({ question, meta: { ocr } }) =>
    [question, ...(ocr === undefined ? [] : [`Reference OCR token: ${ocr}`]), SHORT_ANSWER]
      .join("\n"),
  score: (predictions) =>
    accuracies(predictions, ({ row, text }) => m4cAccuracy(text, row.answers)),
};
