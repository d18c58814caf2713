/**
 * Answers in the files that the servers of benchmarks take.
 *
 * @module
 */

import { randomUUID } from "node:crypto";
import { rename, rm, stat, writeFile } from "node:fs/promises";
import { unknownName } from "../../tensor/nearest.ts";
import { JsonRows } from "../json_rows.ts";
import { delimitedText } from "./delimited.ts";
import { parsedChoice } from "./mmmu_answers.ts";
import { fieldsOf, idOf, letter } from "./rows.ts";
import type { Prediction } from "./types.ts";
import { m4cAnswer } from "./vqa_answers.ts";
import { xlsx } from "./xlsx.ts";

/** Options of {@linkcode writeSubmission}. */
export interface SubmissionOptions {
  /** Replace a file that is there. Default false. */
  overwrite?: boolean;
  /**
   * VQAv2: the file of all questions that the server knows, such as
   * `v2_OpenEnded_mscoco_test2015_questions.json`. Those without an answer get an empty one.
   */
  questions?: string;
}

/** A benchmark's server and its files. */
interface SubmissionFormat {
  /** How the file's name may end. */
  readonly suffixes: readonly string[];
  /** The whole file. @param suffix how its name ends */
  readonly content: (
    predictions: readonly Prediction[],
    suffix: string,
    options: SubmissionOptions,
  ) => Promise<string | Uint8Array> | string | Uint8Array;
}

/** A question's number where a file has numbers. @throws {RangeError} if it has none. */
function numberOf({ row: { id } }: Prediction): number {
  const number = Number(id);
  if (id.trim() !== "" && Number.isSafeInteger(number)) return number;
  throw new RangeError(`the question "${id}" has no number, which the server wants`);
}

/** As `scripts/convert_vqav2_for_submission.py` of haotian-liu/LLaVA. */
async function vqav2(
  predictions: readonly Prediction[],
  _suffix: string,
  { questions }: SubmissionOptions,
): Promise<string> {
  const answers = new Map(predictions.map((one) => [numberOf(one), m4cAnswer(one.text)]));
  const numbers = questions === undefined ? [...answers.keys()] : await questionNumbers(questions);
  const known = new Set(numbers), stranger = [...answers.keys()].find((id) => !known.has(id));
  if (stranger !== undefined) throw new RangeError(`${questions} has no question ${stranger}`);
  return JSON.stringify(numbers.map((id) => ({ question_id: id, answer: answers.get(id) ?? "" })));
}

async function questionNumbers(path: string): Promise<number[]> {
  await using rows = await JsonRows.open(path, { list: "questions" });
  const numbers: number[] = [];
  for (let i = 0; i < rows.length; i++) {
    const where = `question ${i} of ${path}`;
    numbers.push(Number(idOf(fieldsOf(await rows.value(i), where), "question_id", where)));
  }
  return numbers;
}

/** As `scripts/convert_mmbench_for_submission.py` of haotian-liu/LLaVA. */
function mmbench(predictions: readonly Prediction[], suffix: string): string | Uint8Array {
  const most = Math.max(4, ...predictions.map(({ row }) => row.choices?.length ?? 0));
  const letters = Array.from({ length: most }, (_, i) => letter(i));
  const rows = [
    ["index", "question", ...letters, "prediction"],
    ...predictions.map((one) => {
      const { question, choices = [] } = one.row;
      return [numberOf(one), question, ...letters.map((_, i) => choices[i] ?? ""), one.text];
    }),
  ];
  return suffix === "xlsx" ? xlsx(rows) : delimitedText(rows, suffix === "tsv" ? "\t" : ",");
}

const byId = (
  predictions: readonly Prediction[],
  answer: (prediction: Prediction) => string,
): string =>
  JSON.stringify(Object.fromEntries(predictions.map((one) => [one.row.id, answer(one)])), null, 2);

const FORMATS: Readonly<Record<string, SubmissionFormat>> = {
  vqav2: { suffixes: ["json"], content: vqav2 },
  /** As `scripts/convert_gqa_for_eval.py` of haotian-liu/LLaVA. */
  gqa: {
    suffixes: ["json"],
    content: (predictions) =>
      JSON.stringify(predictions.map(({ row, text }) => ({
        questionId: row.id,
        prediction: text.replace(/\.+$/, "").toLowerCase(),
      }))),
  },
  /** "Evaluation only" of `mmmu/README.md` of MMMU-Benchmark/MMMU: letters, and texts of open answers. */
  mmmu: {
    suffixes: ["json"],
    content: (predictions) =>
      byId(
        predictions,
        ({ row, text }) => row.choices ? parsedChoice(text, row.choices, row.id) : text,
      ),
  },
  /** As `eval/eval/docvqa/docvqa_test.py` of cambrian-mllm/cambrian. */
  docvqa: {
    suffixes: ["json"],
    content: (predictions) =>
      JSON.stringify(
        predictions.map((one) => ({ questionId: numberOf(one), answer: one.text })),
      ),
  },
  mmbench: { suffixes: ["xlsx", "tsv", "csv"], content: mmbench },
  /** As `results/llava_llama2_13b_chat.json` of yuweihao/MM-Vet. */
  mm_vet: { suffixes: ["json"], content: (predictions) => byId(predictions, ({ text }) => text) },
};

/** Whether a benchmark has a server that takes files which {@linkcode writeSubmission} writes. */
export function hasSubmission(name: string): boolean {
  return Object.hasOwn(FORMATS, name);
}

/**
 * Looks whether a file can be written, before a model is asked anything.
 *
 * @returns how its name ends @throws as {@linkcode writeSubmission} for benchmark and name.
 */
export async function checkSubmission(
  name: string,
  path: string,
  { overwrite }: SubmissionOptions,
): Promise<string> {
  if (!hasSubmission(name)) {
    throw unknownName("benchmark with a server", name, Object.keys(FORMATS));
  }
  const { suffixes } = FORMATS[name], suffix = /\.([a-z]+)$/.exec(path)?.[1] ?? "";
  if (!suffixes.includes(suffix)) {
    throw new RangeError(
      `${path}: the server of ${name} takes ${suffixes.map((one) => `.${one}`).join(" or ")}`,
    );
  }
  if (overwrite || !await stat(path).then(() => true, () => false)) return suffix;
  throw new Deno.errors.AlreadyExists(
    `${path} exists; choose another name, or set overwrite: true`,
  );
}

/**
 * Writes answers as the file that a benchmark's server takes: for benchmarks whose right answers are not
 * published.
 *
 * | benchmark | file | server |
 * | --- | --- | --- |
 * | `vqav2` | JSON list of `question_id`, `answer`, made equal as M4C does | EvalAI, challenge 830 |
 * | `gqa` | JSON list of `questionId`, `prediction` | GQA's `eval.py`, EvalAI |
 * | `mmmu` | JSON object of letters and texts by id | EvalAI, challenge 2179 |
 * | `docvqa` | JSON list of `questionId`, `answer` | rrc.cvc.uab.es, challenge 17 |
 * | `mmbench` | `.xlsx`, `.tsv` or `.csv`: `index`, `question`, `A` to `D`, `prediction` | MMBench's |
 * | `mm_vet` | JSON object of texts by id | MM-Vet's evaluator |
 *
 * The formats are those of the published scripts that fill these servers: LLaVA's (`scripts/convert_…`),
 * Cambrian's, and MMMU's own. That MMBench's server takes TSV and CSV is said in `scripts/mmb_eval_gradio.py`
 * of open-compass/VLMEvalKit; which questions of GQA a phase wants, and how files have to be named, only the
 * servers say. VQAv2's server wants all questions of test2015, see the option `questions`.
 *
 * The file is written under another name and renamed.
 *
 * @param name of the benchmark @param path of the file
 * @param predictions as `evaluateBenchmark()` gives them
 * @throws {Deno.errors.AlreadyExists} if the file is there. @throws {RangeError} if the benchmark has no
 * such server, the name ends otherwise, or answers are missing, doubled or to no known question.
 *
 * @example
 * ```ts ignore
 * const { predictions } = await evaluateBenchmark("mmbench", "MMBench_TEST_EN_legacy.tsv", answer);
 * await writeSubmission("mmbench", "uploads/moiie.xlsx", predictions);
 * ```
 */
export async function writeSubmission(
  name: string,
  path: string,
  predictions: readonly Prediction[],
  options: SubmissionOptions = {},
): Promise<void> {
  const suffix = await checkSubmission(name, path, options);
  if (predictions.length === 0) throw new RangeError(`${path}: there are no answers to write`);
  const ids = new Set<string>();
  for (const { row: { id } } of predictions) {
    if (ids.has(id)) throw new RangeError(`${path}: there are two answers to ${id}`);
    ids.add(id);
  }
  const temporary = `${path}.${randomUUID().slice(0, 8)}.part`;
  try {
    await writeFile(temporary, await FORMATS[name].content(predictions, suffix, options));
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
