import { dirname, join } from "node:path";
import { pythonFloat } from "./python_numbers.ts";
import { fieldsOf, namesIn, readJson, textOf, textsOf } from "./rows.ts";
import { checkSome, groupBy, mean } from "./scores.ts";
import type {
  BenchmarkRow,
  BenchmarkSpec,
  JudgeRequest,
  Prediction,
  ReadOptions,
  Score,
} from "./types.ts";

/** What is between the capabilities of a question. */
const JOINT = "_";

async function* read(path: string, options: ReadOptions = {}): AsyncGenerator<BenchmarkRow> {
  const file = await namesIn(path) === undefined ? path : join(path, "mm-vet.json");
  const folder = options.images ?? join(dirname(file), "images");
  for (const [id, value] of Object.entries(fieldsOf(await readJson(file), file))) {
    const where = `question ${id} of ${file}`, fields = fieldsOf(value, where);
    const capabilities = [...new Set(textsOf(fields, "capability", where))].sort();
    if (capabilities.length === 0) throw new SyntaxError(`${where} has no capability`);
    yield {
      id,
      images: [join(folder, textOf(fields, "imagename", where))],
      question: textOf(fields, "question", where),
      answers: [textOf(fields, "answer", where)],
      meta: { capabilities: capabilities.join(JOINT) },
    };
  }
}

/** The first part of what the judge is asked: `prompt` of the published evaluator, word by word. */
const EXAMPLES =
  `Compare the ground truth and prediction from AI models, to give a correctness score for the prediction. <AND> in the ground truth means it is totally right only when all elements in the ground truth are present in the prediction, and <OR> means it is totally right when any one element in the ground truth is present in the prediction. The correctness score is 0.0 (totally wrong), 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, or 1.0 (totally right). Just complete the last space of the correctness score.

Question | Ground truth | Prediction | Correctness
--- | --- | --- | ---
What is x in the equation? | -1 <AND> -5 | x = 3 | 0.0
What is x in the equation? | -1 <AND> -5 | x = -1 | 0.5
What is x in the equation? | -1 <AND> -5 | x = -5 | 0.5
What is x in the equation? | -1 <AND> -5 | x = -5 or 5 | 0.5
What is x in the equation? | -1 <AND> -5 | x = -1 or x = -5 | 1.0
Can you explain this meme? | This meme is poking fun at the fact that the names of the countries Iceland and Greenland are misleading. Despite its name, Iceland is known for its beautiful green landscapes, while Greenland is mostly covered in ice and snow. The meme is saying that the person has trust issues because the names of these countries do not accurately represent their landscapes. | The meme talks about Iceland and Greenland. It's pointing out that despite their names, Iceland is not very icy and Greenland isn't very green. | 0.4
Can you explain this meme? | This meme is poking fun at the fact that the names of the countries Iceland and Greenland are misleading. Despite its name, Iceland is known for its beautiful green landscapes, while Greenland is mostly covered in ice and snow. The meme is saying that the person has trust issues because the names of these countries do not accurately represent their landscapes. | The meme is using humor to point out the misleading nature of Iceland's and Greenland's names. Iceland, despite its name, has lush green landscapes while Greenland is mostly covered in ice and snow. The text 'This is why I have trust issues' is a playful way to suggest that these contradictions can lead to distrust or confusion. The humor in this meme is derived from the unexpected contrast between the names of the countries and their actual physical characteristics. | 1.0
`;

/** How often a judge is asked until what it says can be read. */
const TRIES = 5;

/** The score that a reply begins with, or undefined. */
function grade(reply: string): number | undefined {
  const value = pythonFloat(reply.split(" ")[0]);
  return value !== undefined && value >= 0 && value <= 1 ? value : undefined;
}

/** The next question to the judge: the table with a line to be completed; asked again, with a hint. */
function ask({ row, text, verdicts = [] }: Prediction): JudgeRequest | undefined {
  const last = verdicts.at(-1);
  if (verdicts.length === TRIES || (last !== undefined && grade(last) !== undefined)) {
    return undefined;
  }
  const truth = row.answers[0].replaceAll("<AND>", " <AND> ").replaceAll("<OR>", " <OR> ");
  const line = [row.question, truth, text, ""].join(" | ");
  const hint = verdicts.length === 0 ? "" : "\nPredict the correctness of the answer (digit): ";
  const temperature = 0.5 * Math.max(0, verdicts.length - 1);
  return { prompt: `${EXAMPLES}\n${line}${hint}`, temperature, maxTokens: 3 };
}

/** From 0 to 1; 0 where the judge gave no number. */
function gradeOf({ row, verdicts }: Prediction): number {
  if (verdicts === undefined) {
    throw new RangeError(`MM-Vet: the answer to ${row.id} was not graded; it needs a judge`);
  }
  return grade(verdicts.at(-1) ?? "") ?? 0;
}

function score(predictions: readonly Prediction[]): Score[] {
  checkSome(predictions);
  const of = (metric: string, list: readonly Prediction[]): Score => ({
    metric,
    value: 100 * mean(list.map(gradeOf)),
    n: list.length,
  });
  const joint = ({ row }: Prediction) => String(row.meta.capabilities);
  const largest = (groups: Map<string, Prediction[]>) =>
    [...groups].sort(([, a], [, b]) => b.length - a.length);
  const single = predictions.flatMap((one) =>
    joint(one).split(JOINT).map((capability) => ({ capability, one }))
  );
  const capabilities = new Map(
    [...groupBy(single, ({ capability }) => capability)].map(([name, list]) =>
      [name, list.map(({ one }) => one)] as const
    ),
  );
  return [
    of("total", predictions),
    ...largest(capabilities).map(([name, list]) => of(name, list)),
    ...largest(groupBy(predictions, joint)).map(([name, list]) => of(`only ${name}`, list)),
  ];
}

/**
 * MM-Vet (arXiv 2308.02490). Answers are graded by a judge, GPT-4 in the paper, which is asked as in the
 * published evaluator: up to five times until it says a number, else the grade is 0. Scores are the mean
 * of all grades, of those of the questions that need a capability, and of those that need exactly these
 * (`only ocr_spat`), in percent. One run where the paper takes the mean of five; sums are divided by the
 * questions that were asked, so a part of the benchmark can be graded.
 */
export const mmVet: BenchmarkSpec = {
  name: "mm_vet",
  title: "MM-Vet",
  files: "mm-vet.json with the pictures in images, or the folder of both",
  source:
    "mm-vet_evaluator.py of yuweihao/MM-Vet: grades of a judge, one run; the question alone as " +
    "prompt",
  read,
  prompt: ({ question }) => question,
  score,
  judge: {
    needed: true,
    remedy: "give the option judge, which asks a model such as GPT-4, or the option " +
      "submission, the file of answers that MM-Vet's own evaluator takes",
    ask,
  },
};
