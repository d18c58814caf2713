/**
 * Benchmarks of vision-language models in their usual files: readers, prompts, metrics.
 *
 * @module
 */

export { benchmark, BENCHMARKS } from "./benchmarks.ts";
export {
  benchmarkPrompt,
  type BenchmarkQuestion,
  type BenchmarkResult,
  benchmarkTable,
  evaluateBenchmark,
  type EvaluateBenchmarkOptions,
} from "./evaluate.ts";
export type {
  BenchmarkImage,
  BenchmarkRow,
  BenchmarkSpec,
  Judge,
  JudgeOptions,
  JudgeRequest,
  JudgeSpec,
  Prediction,
  ReadOptions,
  Score,
} from "./types.ts";
export { hasSubmission, type SubmissionOptions, writeSubmission } from "./submission.ts";
export { anls } from "./docvqa.ts";
export { relaxedMatch } from "./chartqa.ts";
export { m4cAccuracy, vqaAccuracy } from "./vqa_answers.ts";
