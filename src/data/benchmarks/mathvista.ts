import { dirname, join } from "node:path";
import { type MathQuestion, normalAnswer, quickAnswer } from "./mathvista_answers.ts";
import { parquetFiles, parquetRows, pictureOf } from "./parquet.ts";
import { type Fields, fieldsOf, idOf, letter, oneOf, readJson, textOf, textsOf } from "./rows.ts";
import { accuracy, checkSome, groupBy } from "./scores.ts";
import type {
  BenchmarkImage,
  BenchmarkRow,
  BenchmarkSpec,
  JudgeRequest,
  Prediction,
  ReadOptions,
  Score,
} from "./types.ts";

const TYPES = ["text", "integer", "float", "list"] as const;

/** What is between the skills of a question. */
const JOINT = ", ";

async function* read(path: string, options: ReadOptions = {}): AsyncGenerator<BenchmarkRow> {
  if (path.endsWith(".json")) {
    const folder = options.images ?? dirname(path);
    for (const [id, value] of Object.entries(fieldsOf(await readJson(path), path))) {
      const where = `question ${id} of ${path}`, fields = fieldsOf(value, where);
      yield question(fields, where, join(folder, textOf(fields, "image", where)));
    }
    return;
  }
  const files = await parquetFiles(path, `${options.split ?? "testmini"}-`);
  for await (const { row: fields, where } of parquetRows(files)) {
    const image = pictureOf(fields, "decoded_image", where);
    if (!image) throw new SyntaxError(`${where} has no decoded_image`);
    yield question(fields, where, image);
  }
}

/** Whether a field says nothing. */
const isNone = (value: unknown): boolean => value === undefined || value === null || value === "";

function question(fields: Fields, where: string, image: BenchmarkImage): BenchmarkRow {
  const closed = textOf(fields, "question_type", where) === "multi_choice";
  const type = oneOf(textOf(fields, "answer_type", where), TYPES, `${where}: answer_type`);
  const choices = closed ? textsOf(fields, "choices", where) : undefined;
  const metadata = fieldsOf(fields.metadata, `${where}: metadata`);
  const named = (name: string) => textOf(metadata, name, `${where}: metadata`);
  const answer = isNone(fields.answer) ? undefined : textOf(fields, "answer", where);
  if (choices?.length === 0 || (choices && answer !== undefined && !choices.includes(answer))) {
    throw new SyntaxError(`${where}: the answer "${answer}" is none of ${choices.length} choices`);
  }
  const precision = isNone(fields.precision) ? undefined : Number(fields.precision);
  if (precision !== undefined && !(Number.isInteger(precision) && precision >= 0)) {
    throw new SyntaxError(`${where}: precision should be a number of digits, it is ${precision}`);
  }
  return {
    id: idOf(fields, "pid", where),
    images: [image],
    question: textOf(fields, "question", where),
    ...(choices && { choices }),
    // The test split has no answers.
    answers: answer === undefined ? [] : [answer],
    meta: {
      type,
      task: named("task"),
      source: named("source"),
      skills: textsOf(metadata, "skills", `${where}: metadata`).join(JOINT),
      ...(precision !== undefined && { precision }),
      ...(isNone(fields.unit) ? {} : { unit: textOf(fields, "unit", where) }),
    },
  };
}

const mathQuestion = ({ choices, meta }: BenchmarkRow): MathQuestion => ({
  choices,
  type: meta.type as MathQuestion["type"],
  precision: Number(meta.precision ?? 0),
});

function hint({ choices, meta }: BenchmarkRow): string {
  if (choices) {
    return "answer the question and provide the correct option letter, e.g., A, B, C, D";
  }
  const value = (kind: string, last: string, examples: string) =>
    `answer the question requiring ${kind} and provide the final ${last}, e.g., ${examples}`;
  const float = "a floating-point number with";
  if (meta.type === "integer") return value("an integer answer", "value", "1, 2, 3");
  if (meta.type === "list") {
    return value("a Python list as an answer", "list", "[1, 2, 3], [1.2, 1.3, 1.4]");
  }
  return meta.precision === 2
    ? value(`${float} two decimal places`, "value", "1.23, 1.34, 1.45")
    : value(`${float} one decimal place`, "value", "1.2, 1.3, 1.4");
}

/** As the field `query` of the published files. */
function prompt(row: BenchmarkRow): string {
  const { question, choices, meta } = row, unit = meta.unit ? ` (Unit: ${meta.unit})` : "";
  const listed = choices?.map((choice, i) => `(${letter(i)}) ${choice}`) ?? [];
  return [
    `Hint: Please ${hint(row)}, at the end.`,
    `Question: ${question}${unit}`,
    ...(choices ? ["Choices:", ...listed] : []),
  ].join("\n");
}

/** The first part of what the judge is asked: `demo_prompt` of the published code, word by word. */
const EXAMPLES =
  `Please read the following example. Then extract the answer from the model response and type it at the end of the prompt.

Hint: Please answer the question requiring an integer answer and provide the final value, e.g., 1, 2, 3, at the end.
Question: Which number is missing?

Model response: The number missing in the sequence is 14.

Extracted answer: 14

Hint: Please answer the question requiring a floating-point number with one decimal place and provide the final value, e.g., 1.2, 1.3, 1.4, at the end.
Question: What is the fraction of females facing the camera?

Model response: The fraction of females facing the camera is 0.6, which means that six out of ten females in the group are facing the camera.

Extracted answer: 0.6

Hint: Please answer the question requiring a floating-point number with two decimal places and provide the final value, e.g., 1.23, 1.34, 1.45, at the end.
Question: How much money does Luca need to buy a sour apple candy and a butterscotch candy? (Unit: $)

Model response: Luca needs $1.45 to buy a sour apple candy and a butterscotch candy.

Extracted answer: 1.45

Hint: Please answer the question requiring a Python list as an answer and provide the final list, e.g., [1, 2, 3], [1.2, 1.3, 1.4], at the end.
Question: Between which two years does the line  graph saw its maximum peak?

Model response: The line graph saw its maximum peak between 2007 and 2008.

Extracted answer: [2007, 2008]

Hint: Please answer the question and provide the correct option letter, e.g., A, B, C, D, at the end.
Question: What fraction of the shape is blue?
Choices:
(A) 3/11
(B) 8/11
(C) 6/11
(D) 3/5

Model response: The correct answer is (B) 8/11.

Extracted answer: B`;

/** Once, for what the rules do not find. */
function ask({ row, text, verdicts = [] }: Prediction): JudgeRequest | undefined {
  if (verdicts.length > 0 || quickAnswer(text, mathQuestion(row)) !== undefined) return undefined;
  const request = `${EXAMPLES}\n\n${prompt(row)}\n\n${text}\n\nExtracted answer: `;
  return { prompt: request, temperature: 0, maxTokens: 256 };
}

/** What rules or the judge take from an answer; undefined where nobody was asked. */
const extracted = ({ row, text, verdicts }: Prediction): string | undefined =>
  quickAnswer(text, mathQuestion(row)) ?? verdicts?.at(-1)?.trim();

function right(prediction: Prediction): number {
  const { row, text } = prediction;
  return normalAnswer(extracted(prediction) ?? text, mathQuestion(row)) === row.answers[0] ? 1 : 0;
}

function score(predictions: readonly Prediction[]): Score[] {
  checkSome(predictions);
  const parts = (name: "task" | "skills" | "source") => {
    const single = predictions.flatMap((one) =>
      String(one.row.meta[name]).split(JOINT).map((part) => ({ part, one }))
    );
    return [...groupBy(single, ({ part }) => part)].map(([part, list]) =>
      accuracy(`accuracy ${part}`, list.map(({ one }) => one), right)
    );
  };
  return [
    accuracy("accuracy", predictions, right),
    accuracy(
      "extracted by rules or judge",
      predictions,
      (one) => extracted(one) === undefined ? 0 : 1,
      () => 0,
    ),
    ...parts("task"),
    ...parts("skills"),
    ...parts("source"),
  ];
}

/**
 * MathVista (arXiv 2310.02255), the split `testmini`. Prompts are those of the field `query`. Where the
 * published rules do not find the answer in what the model said, a judge extracts it, if there is one
 * (GPT-4 in the paper). Without one all that was said is taken for the answer, which the published code
 * does not do: it makes a difference for answers in sentences. The share of answers that rules or judge
 * extracted is printed.
 */
export const mathvista: BenchmarkSpec = {
  name: "mathvista",
  title: "MathVista",
  files: "testmini.json with images beside it, or testmini-….parquet of AI4Math/MathVista",
  source: "evaluation/extract_answer.py (quick rules; a judge for the rest, if given) and " +
    "calculate_score.py of lupantech/MathVista",
  read,
  prompt,
  score,
  judge: {
    needed: false,
    remedy: "give the option judge, which asks a model such as GPT-4",
    ask,
  },
};
