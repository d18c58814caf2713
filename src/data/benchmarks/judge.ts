/** Asking another model about answers. */

import { keptOrNew, type PredictionsFile } from "./predictions.ts";
import type { BenchmarkSpec, Judge, Prediction } from "./types.ts";

/** The file of a judge's replies beside a file of answers. */
export function judgeFile(out: string): string {
  return `${out.replace(/\.jsonl$/, "")}.judge.jsonl`;
}

/**
 * Answers with what a judge says of them, where the benchmark asks one. What it said in an earlier run is
 * not asked again.
 */
export async function judged(
  { judge: wanted }: BenchmarkSpec,
  predictions: readonly Prediction[],
  judge: Judge,
  file?: PredictionsFile,
): Promise<Prediction[]> {
  const result: Prediction[] = [];
  for (const prediction of predictions) {
    const { row } = prediction, verdicts: string[] = [];
    for (;;) {
      const request = wanted?.ask({ ...prediction, ...(verdicts.length > 0 && { verdicts }) });
      if (!request) break;
      const { prompt, ...options } = request, tries = verdicts.length + 1;
      const id = tries === 1 ? row.id : `${row.id}, ${tries}`;
      verdicts.push(await keptOrNew({ id, prompt }, () => judge(prompt, options), file));
    }
    result.push(verdicts.length > 0 ? { ...prediction, verdicts } : prediction);
  }
  return result;
}
