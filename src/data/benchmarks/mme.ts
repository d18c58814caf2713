import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { SHORT_ANSWER } from "./prompts.ts";
import { missing, namesIn, oneOf } from "./rows.ts";
import { checkSome, groupBy, mean } from "./scores.ts";
import type { BenchmarkRow, BenchmarkSpec, Prediction, ReadOptions, Score } from "./types.ts";

/** Subtasks of the two kinds; the score of a kind is the sum over its subtasks. */
const KINDS = {
  perception: [
    "existence",
    "count",
    "position",
    "color",
    "posters",
    "celebrity",
    "scene",
    "landmark",
    "artwork",
    "OCR",
  ],
  cognition: [
    "commonsense_reasoning",
    "numerical_calculation",
    "text_translation",
    "code_reasoning",
  ],
} as const;

const TASKS: readonly string[] = Object.values(KINDS).flat();

/** Questions and pictures lie side by side, or in two folders. */
async function taskFolders(folder: string): Promise<{ texts: string; pictures: string }> {
  const names = await namesIn(folder) ?? [];
  const apart = names.includes("questions_answers_YN");
  return {
    texts: apart ? join(folder, "questions_answers_YN") : folder,
    pictures: apart ? join(folder, "images") : folder,
  };
}

async function* read(path: string, _: ReadOptions = {}): AsyncGenerator<BenchmarkRow> {
  const tasks = (await namesIn(path) ?? []).filter((name) => TASKS.includes(name));
  if (tasks.length === 0) {
    throw new Deno.errors.NotFound(`${path} holds no folder of a subtask, such as ${TASKS[0]}`);
  }
  for (const task of tasks) {
    const { texts, pictures } = await taskFolders(join(path, task));
    const found = await namesIn(pictures) ?? [];
    for (const name of (await namesIn(texts) ?? []).filter((name) => name.endsWith(".txt"))) {
      const file = join(texts, name), stem = name.slice(0, -4);
      const picture = found.find((one) => one.startsWith(`${stem}.`) && !one.endsWith(".txt"));
      if (!picture) throw new Deno.errors.NotFound(`${pictures} has no picture for ${name}`);
      const lines = (await readFile(file, "utf8").catch(missing(file))).split(/\r?\n/);
      for (const [i, line] of lines.entries()) {
        if (line.trim() === "") continue;
        const [question, answer, ...more] = line.split("\t"), where = `line ${i + 1} of ${file}`;
        if (answer === undefined || more.length > 0) {
          throw new SyntaxError(`${where} should be a question, a tab and an answer: ${line}`);
        }
        const label = oneOf(answer.trim().toLowerCase(), ["yes", "no"], `${where}: the answer`);
        yield {
          id: `${task}/${stem}/${i}`,
          images: [join(pictures, picture)],
          question: question.trim(),
          answers: [label],
          meta: { task, picture: stem },
        };
      }
    }
  }
}

/** Yes, no or something else, by the first four characters. */
function said(text: string): string {
  const lower = text.trim().toLowerCase(), start = lower.slice(0, 4);
  return start.includes("yes") ? "yes" : start.includes("no") ? "no" : "other";
}

function score(predictions: readonly Prediction[]): Score[] {
  checkSome(predictions);
  const tasks = groupBy(predictions, ({ row }) => String(row.meta.task));
  const scores = new Map([...tasks].map(([task, list]) => [task, taskScore(task, list)]));
  const sums = Object.entries(KINDS).flatMap(([metric, names]) => {
    const own = names.flatMap((name) => scores.get(name) ?? []);
    if (own.length === 0) return [];
    const sum = (of: (one: Score) => number) => own.reduce((total, one) => total + of(one), 0);
    return [{
      metric,
      value: sum(({ value }) => value),
      n: sum(({ n }) => n),
      chance: sum(({ chance = 0 }) => chance),
    }];
  });
  return [...sums, ...scores.values()];
}

/** The share of right answers plus the share of pictures with right answers only, in percent. */
function taskScore(task: string, predictions: readonly Prediction[]): Score {
  const right = ({ row, text }: Prediction) => said(text) === row.answers[0] ? 1 : 0;
  const pictures = [...groupBy(predictions, ({ row }) => String(row.meta.picture)).values()];
  const plus = mean(pictures.map((list) => list.every(right) ? 1 : 0));
  const chance = 0.5 + mean(pictures.map((list) => 0.5 ** list.length));
  return {
    metric: task,
    value: 100 * (mean(predictions.map(right)) + plus),
    n: predictions.length,
    chance: 100 * chance,
  };
}

/** MME (arXiv 2306.13394): two questions to be answered by yes and no about each picture. */
export const mme: BenchmarkSpec = {
  name: "mme",
  title: "MME",
  files: "folder MME_Benchmark_release_version with a folder for each subtask",
  source:
    "calculation.py of BradyFU/Awesome-Multimodal-Large-Language-Models (branch Evaluation): " +
    "accuracy plus accuracy+ for each subtask, in percent, summed; prompts of LLaVA",
  read,
  prompt: ({ question }) =>
    `${question.replace(/\s*Please answer yes or no\.$/, "")}\n${SHORT_ANSWER}`,
  score,
};
