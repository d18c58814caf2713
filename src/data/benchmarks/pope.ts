import { basename, dirname, join } from "node:path";
import { JsonRows } from "../json_rows.ts";
import { shortAnswerPrompt } from "./prompts.ts";
import { fieldsOf, idOf, namesIn, oneOf, textOf } from "./rows.ts";
import { checkSome, groupBy, mean } from "./scores.ts";
import type { BenchmarkRow, BenchmarkSpec, Prediction, ReadOptions, Score } from "./types.ts";

async function* read(path: string, { images }: ReadOptions = {}): AsyncGenerator<BenchmarkRow> {
  const names = await namesIn(path), pattern = /pope_([a-z]+)\.jsonl?$/;
  const files = names?.filter((name) => pattern.test(name)).map((name) => join(path, name));
  if (files?.length === 0) {
    throw new Deno.errors.NotFound(`${path} holds no coco_pope_random.json and the like`);
  }
  for (const file of files ?? [path]) {
    const category = pattern.exec(basename(file))?.[1] ?? "all";
    const folder = images ?? join(dirname(file), "val2014");
    await using rows = await JsonRows.open(file);
    for (let i = 0; i < rows.length; i++) {
      const where = `row ${i} of ${file}`, fields = fieldsOf(await rows.value(i), where);
      const label = oneOf(textOf(fields, "label", where), ["yes", "no"], `${where}: label`);
      yield {
        id: `${category}/${idOf(fields, "question_id", where)}`,
        images: [join(folder, textOf(fields, "image", where))],
        question: textOf(fields, "text", where),
        answers: [label],
        meta: { category },
      };
    }
  }
}

/** Whether an answer says yes: its first sentence has no word that denies. */
function saysYes(text: string): boolean {
  const words = text.split(".")[0].replaceAll(",", "").split(" ");
  return !words.some((word) => word === "No" || word === "not" || word === "no");
}

function parts(predictions: readonly Prediction[]) {
  let [bothYes, saidYes, areYes, right] = [0, 0, 0, 0];
  for (const { row, text } of predictions) {
    const said = saysYes(text), is = row.answers[0] === "yes";
    if (said) saidYes++;
    if (is) areYes++;
    if (said && is) bothYes++;
    if (said === is) right++;
  }
  const n = predictions.length;
  // Where nothing was said yes to, Python would stop at a division by zero.
  const precision = bothYes / (saidYes || 1), recall = bothYes / (areYes || 1);
  const f1 = 2 * precision * recall / (precision + recall || 1);
  return { n, f1, accuracy: right / n, precision, recall, yes: saidYes / n, areYes: areYes / n };
}

function score(predictions: readonly Prediction[]): Score[] {
  checkSome(predictions);
  const groups = groupBy(predictions, ({ row }) => String(row.meta.category));
  const all = [...groups].map(([name, list]) => ({ name, ...parts(list) }));
  const n = predictions.length;
  const average = (of: (part: typeof all[number]) => number) => 100 * mean(all.map(of));
  // A coin says yes to half of both kinds: precision is the share of yes, recall one half.
  const coin = ({ areYes }: { areYes: number }) => areYes / (areYes + 0.5);
  return [
    { metric: "F1", value: average(({ f1 }) => f1), n, chance: average(coin) },
    { metric: "accuracy", value: average((part) => part.accuracy), n, chance: 50 },
    {
      metric: "precision",
      value: average((part) => part.precision),
      n,
      chance: average((p) => p.areYes),
    },
    { metric: "recall", value: average((part) => part.recall), n, chance: 50 },
    { metric: "yes ratio", value: average((part) => part.yes), n, chance: 50 },
    ...all.map((part) => ({
      metric: `F1 ${part.name}`,
      value: 100 * part.f1,
      n: part.n,
      chance: 100 * coin(part),
    })),
  ];
}

/** POPE (arXiv 2305.10355): whether objects are in a picture. */
export const pope: BenchmarkSpec = {
  name: "pope",
  title: "POPE",
  files:
    "folder with coco_pope_{random,popular,adversarial}.json, or one of them; pictures in val2014",
  source: "llava/eval/eval_pope.py of haotian-liu/LLaVA; F1 averaged over the categories, as Bunny",
  read,
  prompt: shortAnswerPrompt,
  score,
};
