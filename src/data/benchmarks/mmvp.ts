import { dirname, join } from "node:path";
import { shortenedAnswer } from "./ai2d.ts";
import { table } from "./delimited.ts";
import { LETTER_ANSWER } from "./prompts.ts";
import { letter, namesIn } from "./rows.ts";
import { accuracy, checkSome, groupBy, mean } from "./scores.ts";
import type { BenchmarkRow, BenchmarkSpec, Prediction, ReadOptions, Score } from "./types.ts";

async function* read(path: string, options: ReadOptions = {}): AsyncGenerator<BenchmarkRow> {
  const inFolder = await namesIn(path) !== undefined;
  const file = inFolder ? join(path, "Questions.csv") : path;
  const folder = options.images ?? join(dirname(file), "MMVP Images");
  for await (const { row, where } of table(file, ",")) {
    // The published file has a slip of the pen in its first name.
    const index = Number(row.Index ?? row.lndex);
    const { Question: question, Options: list = "", "Correct Answer": correct = "" } = row;
    const choices = list.split(/\([a-z]\)/).slice(1).map((choice) => choice.trim());
    const answer = /^\s*\(([a-z])\)\s*$/.exec(correct)?.[1].toUpperCase() ?? "";
    if (!Number.isInteger(index) || index < 1) {
      throw new SyntaxError(`${where}: Index should be a number from 1, it is "${row.Index}"`);
    }
    if (!question) throw new SyntaxError(`${where} has no question`);
    if (choices.length < 2 || !choices.some((_, i) => letter(i) === answer)) {
      throw new SyntaxError(`${where}: the answer is "${correct}", the options are "${list}"`);
    }
    yield {
      id: String(index),
      images: [join(folder, `${index}.jpg`)],
      question,
      choices,
      answers: [answer],
      meta: { pair: Math.floor((index - 1) / 2) },
    };
  }
}

function right({ row, text }: Prediction): number {
  const said = shortenedAnswer(text), choices = row.choices ?? [];
  const place = choices.findIndex((_, i) => letter(i) === row.answers[0]);
  return said === letter(place).toLowerCase() || said === choices[place].toLowerCase() ? 1 : 0;
}

function score(predictions: readonly Prediction[]): Score[] {
  checkSome(predictions);
  const pairs = [...groupBy(predictions, ({ row }) => String(row.meta.pair)).values()];
  const chance = (list: readonly Prediction[]) =>
    list.reduce((product, { row }) => product / (row.choices?.length ?? 1), 1);
  return [{
    metric: "pair accuracy",
    value: 100 * mean(pairs.map((list) => list.every(right) ? 1 : 0)),
    n: pairs.length,
    chance: 100 * mean(pairs.map(chance)),
  }, accuracy("accuracy", predictions, right)];
}

function prompt({ question, choices = [] }: BenchmarkRow): string {
  const lines = choices.map((choice, i) => `${letter(i)}. ${choice}`);
  return [`${question} Options:`, ...lines, LETTER_ANSWER].join("\n");
}

/** MMVP (arXiv 2401.06209): pairs of pictures that CLIP takes for the same. */
export const mmvp: BenchmarkSpec = {
  name: "mmvp",
  title: "MMVP",
  files: "Questions.csv with the pictures in MMVP Images, or the folder of both",
  source: "eval/eval/mmvp of cambrian-mllm/cambrian: a pair counts if both answers are right",
  read,
  prompt,
  score,
};
