import { choiceRows } from "./choice_table.ts";
import { chosenLetter } from "./choices.ts";
import { LETTER_ANSWER } from "./prompts.ts";
import { letter } from "./rows.ts";
import { accuracy, checkSome, groupBy, mean } from "./scores.ts";
import type { BenchmarkRow, BenchmarkSpec, Prediction, Score } from "./types.ts";

const right = ({ row, text }: Prediction): number =>
  chosenLetter(text, row.choices ?? []) === row.answers[0] ? 1 : 0;

function prompt({ question, choices = [], meta }: BenchmarkRow): string {
  const hint = meta.hint === undefined ? [] : [String(meta.hint)];
  const lines = choices.map((choice, i) => `${letter(i)}. ${choice}`);
  return [...hint, question, ...lines, LETTER_ANSWER].join("\n");
}

/** Right only if all rotations of a question are; and the plain accuracy of the first ones. */
function score(predictions: readonly Prediction[]): Score[] {
  checkSome(predictions);
  const groups = [...groupBy(predictions, ({ row }) => String(row.meta.index)).values()];
  const circular: Score = {
    metric: "accuracy, all rotations",
    value: 100 * mean(groups.map((list) => list.every(right) ? 1 : 0)),
    n: groups.length,
    chance: 100 * mean(groups.map((list) => (list[0].row.choices?.length ?? 1) ** -list.length)),
  };
  const plain = accuracy("accuracy, first rotation", groups.map((list) => list[0]), right);
  return groups.length === predictions.length ? [plain] : [circular, plain];
}

/**
 * MMBench (arXiv 2307.06281). The published files of 2023 ("legacy") bring the rotations of each
 * question; for files without them there is the option `circular`.
 */
export const mmbench: BenchmarkSpec = {
  name: "mmbench",
  title: "MMBench",
  files: "MMBench_DEV_EN_legacy.tsv and the like, pictures in base64",
  source: "circular evaluation of open-compass/MMBench with exact matching (no judge model); " +
    "prompts of llava/eval/model_vqa_mmbench.py of haotian-liu/LLaVA",
  read: choiceRows,
  prompt,
  score,
};
