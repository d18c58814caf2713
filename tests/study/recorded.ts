/** A study's file with known answers, for the tests of results and tables. */
import {
  gatherResults,
  type PlannedRun,
  planStudy,
  type RunResult,
  type Study,
  StudyDatabase,
  studyNamed,
  type StudyResults,
} from "../../src/study/mod.ts";

const FAMILIES = ["general", "ocr", "knowledge", "hallucination"];

/** Percent of right answers in every family and split, by variant and seed. */
export type Answers = Readonly<Record<string, Readonly<Record<number, number>>>>;

/** Full is better by 2 in every seed but for noise, 8 experts differ in no direction. */
export const ANSWERS: Answers = {
  moiie: { 7: 60, 8: 70, 9: 50 },
  "moiie-full": { 7: 62, 8: 72.5, 9: 51.5 },
  "moiie-8-balanced": { 7: 61, 8: 69, 9: 50 },
  "moiie-aux-0.01": { 7: 40 },
};

/** Results of a study with known answers. */
export function resultsOf(answers: Answers): StudyResults {
  using database = recorded(answers);
  return gatherResults(database);
}

/** A file in memory with a study's runs, those of `answers` finished. */
export function recorded(
  answers: Answers,
  { study = studyNamed("ablations"), steps, path = ":memory:", device = "llvmpipe-llvm-15.0.6" }: {
    study?: Study;
    steps?: number;
    path?: string;
    device?: string;
  } = {},
): StudyDatabase {
  const seeds = [...new Set(Object.values(answers).flatMap((s) => Object.keys(s).map(Number)))];
  const plans = planStudy(study, { seeds, steps });
  const database = new StudyDatabase(path);
  database.plan(study.name, plans);
  for (const plan of plans) {
    const result = resultOf(plan, answers);
    if (result) database.finish(database.claim(plan.id)!, { adapter: device, ...result });
  }
  return database;
}

function resultOf({ kind, variant, config }: PlannedRun, answers: Answers): RunResult | undefined {
  const entries = (name: string, value: number, count?: { n: number; correct: number }) =>
    ["val", "comp", "style"].flatMap((split) => [
      { name, family: "mean", split, value },
      ...FAMILIES.map((family) => ({ name, family, split, value, ...count })),
    ]);
  const records = (stage: string, steps: number) =>
    Array.from({ length: steps }, (_, step) => (
      { stage, step, loss: 100 - step, auxiliary: 1, gradientNorm: 1, learningRate: 1 }
    ));
  switch (kind) {
    case "floor":
      return { seconds: 0, metrics: entries("floor", 0.25) };
    case "connector":
      return { seconds: 1, metrics: [], records: records("1 connector", 100) };
    case "model": {
      const correct = answers[variant]?.[config.seed];
      if (correct === undefined) return undefined;
      const modalities = ["image", "text"].map((name) => (
        { name, tokens: 2, chanceShared: 0.5, counts: config.ffn.experts.map((_, i) => i) }
      ));
      return {
        seconds: 2,
        code: "abc",
        versions: { deno: "2" },
        metrics: [
          ...entries("accuracy", correct / 100, { n: 1000, correct: 10 * correct }),
          { name: "parameters", family: "total", split: "", value: 10 },
          { name: "parameters", family: "active", split: "", value: 5 },
        ],
        records: records("2 everything", 70),
        routing: [{
          benchmark: "ocr",
          experts: config.ffn.experts,
          layers: [{ layer: 1, modalities }],
        }],
      };
    }
  }
}
