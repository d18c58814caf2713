import { textTable } from "../../tensor/text_table.ts";
import { IMAGE_TAG } from "../llava_data.ts";
import { benchmark } from "./benchmarks.ts";
import { judged, judgeFile } from "./judge.ts";
import { keptOrNew, PredictionsFile } from "./predictions.ts";
import { checkSubmission, hasSubmission, writeSubmission } from "./submission.ts";
import type {
  BenchmarkRow,
  BenchmarkSpec,
  Judge,
  Prediction,
  ReadOptions,
  Score,
} from "./types.ts";

/** A question as a model is asked it. */
export interface BenchmarkQuestion extends BenchmarkRow {
  /** The whole text, with one {@linkcode IMAGE_TAG} for each picture. */
  readonly prompt: string;
}

/** Options of {@linkcode evaluateBenchmark}. */
export interface EvaluateBenchmarkOptions extends ReadOptions {
  /** File that the answers are kept in, as JSON lines. Given it, an interrupted run goes on. */
  out?: string;
  /** Name of what answers, kept in the file: a file is of one model. Default `model`. */
  model?: string;
  /**
   * Another model that reads the answers, where the metric asks one (MM-Vet, MathVista). Its replies are
   * kept beside `out`, so that none is paid for twice.
   */
  judge?: Judge;
  /**
   * File for the server of the benchmark, see {@linkcode writeSubmission}; it must not be there. With it,
   * answers that only a judge could grade are left to the server if there is no `judge`.
   */
  submission?: string;
  /** Name of the judge, kept in its file. Default `judge`. */
  judgeName?: string;
  /** How many questions to ask, the first ones. Default all. */
  limit?: number;
  /** Called after each answer. */
  onProgress?: (done: number, prediction: Prediction) => void;
  /** Takes the table of scores. Default `console.log`. */
  print?: (table: string) => void;
}

/** What an evaluation gives. */
export interface BenchmarkResult {
  /** Name of the benchmark. */
  readonly benchmark: string;
  /** How many questions were asked. */
  readonly n: number;
  /** Numbers; none where the files have no answers. */
  readonly scores: readonly Score[];
  /** All answers, in the order of the questions. */
  readonly predictions: readonly Prediction[];
}

/**
 * Asks a model the questions of a benchmark and scores its answers. Prints a table with chance
 * level and number of questions beside each score.
 *
 * @param name one of `BENCHMARKS`
 * @param path its file or folder
 * @param answer asks the model
 * @throws {RangeError} if there is no such benchmark or no question, or the file of answers is of
 * another model or other prompts. @throws {TypeError} if the metric needs a judge and there is none; the
 * answers are kept in `out`, without which none is asked for.
 * @throws {Deno.errors.AlreadyExists} if the file for the server is there. @throws {SyntaxError} if a file is malformed.
 * @throws {Deno.errors.NotFound} if one is missing. Whatever `answer` throws ends the run; what was
 * answered is kept.
 *
 * @example
 * ```ts ignore
 * const { scores } = await evaluateBenchmark("pope", "data/pope", async ({ prompt, images }) => {
 *   const pictures = await Promise.all(images.map(readPicture));
 *   return await say(prompt, pictures); // generation with your model
 * }, { out: "runs/pope.jsonl", model: "moiie-phi3", limit: 100 });
 * ```
 */
export async function evaluateBenchmark(
  name: string,
  path: string,
  answer: (question: BenchmarkQuestion) => Promise<string>,
  options: EvaluateBenchmarkOptions = {},
): Promise<BenchmarkResult> {
  const chosen = benchmark(name);
  const { out, model = "model", limit = Infinity, judge, submission, onProgress } = options;
  const { print = console.log } = options;
  if (!(limit >= 1)) throw new RangeError(`limit should be at least 1, it is ${limit}`);
  if (submission !== undefined) {
    if (limit < Infinity) {
      throw new RangeError(`${submission}: a server wants all answers; leave the option limit out`);
    }
    await checkSubmission(name, submission, {});
  }
  const canScore = judge !== undefined || !chosen.judge?.needed;
  const isInVain = !canScore && submission === undefined;
  if (isInVain && out === undefined) throw unjudged(chosen);
  const predictions: Prediction[] = [];
  await using file = out === undefined
    ? undefined
    : await PredictionsFile.open(out, { benchmark: name, model });
  for await (const row of chosen.read(path, options)) {
    const question = { ...row, prompt: benchmarkPrompt(chosen, row) };
    const text = await keptOrNew(question, () => answer(question), file);
    // Pictures are done with; of a large benchmark they would fill the memory.
    const images = row.images.map((image) => typeof image === "string" ? image : new Uint8Array());
    const prediction = { row: { ...row, images }, text };
    predictions.push(prediction);
    onProgress?.(predictions.length, prediction);
    if (predictions.length >= limit) break;
  }
  const n = predictions.length;
  if (n === 0) throw new RangeError(`${path} has no questions of ${chosen.title}`);
  if (limit === Infinity) await file?.finish();
  if (submission !== undefined) await writeSubmission(name, submission, predictions);
  if (isInVain) throw unjudged(chosen, out);
  const scored = canScore && predictions.some(({ row }) => row.answers.length > 0);
  const graded = scored && judge
    ? await gradedBy(judge, chosen, predictions, options)
    : predictions;
  const scores = scored ? chosen.score(graded) : [];
  print(benchmarkTable(chosen, scores, n));
  return { benchmark: name, n, scores, predictions: graded };
}

/** Answers with a judge's replies, which are kept beside them. */
async function gradedBy(
  judge: Judge,
  chosen: BenchmarkSpec,
  predictions: readonly Prediction[],
  { out, judgeName = "judge", limit = Infinity }: EvaluateBenchmarkOptions,
): Promise<readonly Prediction[]> {
  if (!chosen.judge) return predictions;
  const head = { benchmark: chosen.name, model: judgeName };
  await using file = out === undefined
    ? undefined
    : await PredictionsFile.open(judgeFile(out), head);
  const graded = await judged(chosen, predictions, judge, file);
  if (limit === Infinity) await file?.finish();
  return graded;
}

/** Why there are no scores. @param out where the answers are */
function unjudged({ title, judge }: BenchmarkSpec, out?: string): TypeError {
  const kept = out === undefined
    ? "; to answer first and grade later, give the option out"
    : `; the answers are in ${out}, and the next run with this file grades them`;
  return new TypeError(`${title} is graded by a judge: ${judge!.remedy}${kept}`);
}

/** The prompt of a question, pictures in front unless the prompt places them. */
export function benchmarkPrompt(chosen: BenchmarkSpec, row: BenchmarkRow): string {
  const prompt = chosen.prompt(row);
  return prompt.includes(IMAGE_TAG) ? prompt : `${IMAGE_TAG}\n`.repeat(row.images.length) + prompt;
}

/** Scores as text: value, chance level and number for each, and where the metric is from. */
export function benchmarkTable(
  { name, title, source }: BenchmarkSpec,
  scores: readonly Score[],
  n: number,
): string {
  if (scores.length === 0) {
    const how = hasSubmission(name) ? "; the option submission writes the file for it" : "";
    return `${title}: ${n} answers; a server has to score them${how}`;
  }
  const digits = (value: number) => value.toFixed(2);
  const rows = scores.map(({ metric, value, chance, n }) => [
    metric,
    digits(value),
    chance === undefined ? "" : digits(chance),
    String(n),
  ]);
  const table = textTable([title, "score", "chance", "n"], rows);
  return `${table}\nmetric: ${source}`;
}
