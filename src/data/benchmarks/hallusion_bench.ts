import { dirname, join } from "node:path";
import { JsonRows } from "../json_rows.ts";
import { shortAnswerPrompt } from "./prompts.ts";
import { fieldsOf, idOf, oneOf, textOf } from "./rows.ts";
import { accuracy, checkSome, groupBy, mean } from "./scores.ts";
import type { BenchmarkRow, BenchmarkSpec, Prediction, ReadOptions, Score } from "./types.ts";

async function* read(path: string, options: ReadOptions = {}): AsyncGenerator<BenchmarkRow> {
  const folder = options.images ?? join(dirname(path), "hallusion_bench");
  await using rows = await JsonRows.open(path);
  for (let i = 0; i < rows.length; i++) {
    const where = `row ${i} of ${path}`, fields = fieldsOf(await rows.value(i), where);
    const text = (name: string) => idOf(fields, name, where);
    const category = oneOf(text("category"), ["VD", "VS"], `${where}: category`);
    const [kind, set, figure, number] = ["subcategory", "set_id", "figure_id", "question_id"]
      .map(text);
    const answer = oneOf(text("gt_answer"), ["0", "1"], `${where}: gt_answer`);
    yield {
      id: [category, kind, set, figure, number].join("/"),
      images: text("visual_input") === "0"
        ? []
        : [join(folder, category, kind, `${set}_${figure}.png`)],
      question: textOf(fields, "question", where),
      answers: [answer === "1" ? "yes" : "no"],
      meta: {
        category,
        figure,
        picture: [category, kind, set, figure].join("/"),
        question: [category, kind, set, number].join("/"),
      },
    };
  }
}

/** The first of the words yes and no; none where neither is said. */
function said(text: string): string | undefined {
  return /\b(yes|no)\b/.exec(text.toLowerCase())?.[1];
}

/** Whether a figure is missing on purpose: not to know is right then. */
const lacksFigure = ({ row: { meta } }: Prediction): boolean =>
  meta.category === "VS" && meta.figure === "0";

function right(prediction: Prediction): number {
  const answer = said(prediction.text);
  if (answer === undefined) return lacksFigure(prediction) ? 1 : 0;
  return answer === prediction.row.answers[0] ? 1 : 0;
}

/** The share of groups in which all answers are right. */
function together(metric: string, predictions: readonly Prediction[], by: string): Score[] {
  if (predictions.length === 0) return [];
  const groups = [...groupBy(predictions, ({ row }) => String(row.meta[by])).values()];
  return [{
    metric,
    value: 100 * mean(groups.map((list) => list.every(right) ? 1 : 0)),
    n: groups.length,
    chance: 100 * mean(groups.map((list) => 0.5 ** list.length)),
  }];
}

function score(predictions: readonly Prediction[]): Score[] {
  checkSome(predictions);
  const figures = predictions.filter((one) => !lacksFigure(one));
  return [
    accuracy("aAcc", predictions, right, () => 0.5),
    ...together("fAcc", figures, "picture"),
    ...together("qAcc", predictions, "question"),
  ];
}

/**
 * HallusionBench (arXiv 2310.14566): accuracy of all questions (aAcc), of figures with all their
 * questions right (fAcc), of questions right for all their figures (qAcc).
 */
export const hallusionBench: BenchmarkSpec = {
  name: "hallusion_bench",
  title: "HallusionBench",
  files: "HallusionBench.json; pictures in hallusion_bench",
  source:
    "utils.py of tianyi-lab/HallusionBench, with yes and no read off the answer instead of by " +
    "GPT-4 (as VLMEvalKit does)",
  read,
  prompt: shortAnswerPrompt,
  score,
};
