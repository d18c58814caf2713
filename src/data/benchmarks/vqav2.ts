import { basename, dirname, join } from "node:path";
import { JsonRows } from "../json_rows.ts";
import { shortAnswerPrompt } from "./prompts.ts";
import { fieldsOf, idOf, missing, textOf } from "./rows.ts";
import { accuracies } from "./scores.ts";
import { vqaAccuracy } from "./vqa_answers.ts";
import type { BenchmarkRow, BenchmarkSpec, ReadOptions } from "./types.ts";
import { stat } from "node:fs/promises";

/** Folder and file names of pictures say which part of COCO they are of. */
function subset(path: string): string {
  const found = /(train2014|val2014|test(?:-dev)?2015)/.exec(basename(path))?.[1];
  if (found) return found.replace("-dev", "");
  throw new SyntaxError(`${path} should name its pictures: train2014, val2014 or test2015`);
}

/** The file of people's answers; none for the test splits. */
async function answerFile(path: string, given: string | undefined): Promise<string | undefined> {
  if (given !== undefined) return given;
  const name = basename(path).replace("OpenEnded_", "").replace("_questions", "_annotations");
  const file = join(dirname(path), name);
  if (name === basename(path) || subset(path) === "test2015") return undefined;
  await stat(file).catch(missing(file));
  return file;
}

async function* read(path: string, options: ReadOptions = {}): AsyncGenerator<BenchmarkRow> {
  const part = subset(path), folder = options.images ?? join(dirname(path), part);
  const file = await answerFile(path, options.annotations);
  const answers = file === undefined ? undefined : await readAnswers(file);
  await using rows = await JsonRows.open(path, { list: "questions" });
  for (let i = 0; i < rows.length; i++) {
    const where = `question ${i} of ${path}`, fields = fieldsOf(await rows.value(i), where);
    const id = idOf(fields, "question_id", where), people = answers?.get(id);
    if (answers && !people) throw new SyntaxError(`${where}: ${file} has no answers to ${id}`);
    const picture = idOf(fields, "image_id", where).padStart(12, "0");
    yield {
      id,
      images: [join(folder, `COCO_${part}_${picture}.jpg`)],
      question: textOf(fields, "question", where),
      answers: people?.answers ?? [],
      meta: people ? { category: people.type } : {},
    };
  }
}

async function readAnswers(path: string) {
  const answers = new Map<string, { type: string; answers: string[] }>();
  await using rows = await JsonRows.open(path, { list: "annotations" });
  for (let i = 0; i < rows.length; i++) {
    const where = `annotation ${i} of ${path}`, fields = fieldsOf(await rows.value(i), where);
    const list = fields.answers;
    if (!Array.isArray(list) || list.length === 0) {
      throw new SyntaxError(`${where}: answers should be a list of people's answers`);
    }
    answers.set(idOf(fields, "question_id", where), {
      type: textOf(fields, "answer_type", where),
      answers: list.map((one) => textOf(fieldsOf(one, where), "answer", where)),
    });
  }
  return answers;
}

/** VQAv2 (arXiv 1612.00837). The test splits have no answers: a server scores them. */
export const vqav2: BenchmarkSpec = {
  name: "vqav2",
  title: "VQAv2",
  files: "v2_OpenEnded_mscoco_val2014_questions.json, annotations beside it; pictures in val2014",
  source: "vqaEval.py of GT-Vision-Lab/VQA: agreement with ten people",
  read,
  prompt: shortAnswerPrompt,
  score: (predictions) =>
    accuracies(predictions, ({ row, text }) => vqaAccuracy(text, row.answers)),
};
