/**
 * Tables of a study's results, ready to be shown.
 *
 * @module
 */

import { encodePng } from "../data/mod.ts";
import { type AnyPublished, type Lvlm, summarize, summarizePublished } from "../models/mod.ts";
import { percent, sampleGrid } from "../plot/mod.ts";
import type { Answer, FamilyAccuracy } from "../study/mod.ts";
import { type Table, table } from "./table.ts";

/**
 * A model in numbers: its parts, their sizes, all parameters and those that one token uses.
 *
 * @param model The library's own, before or after it got its experts: the configuration counts; or a
 * loaded checkpoint, whose tensors are counted.
 */
export function summary(model: Lvlm | AnyPublished): Table {
  const { rows, total, active } = "kind" in model
    ? summarizePublished(model)
    : summarize(model.config);
  return table(
    ["part", "sizes", "parameters", "used by a token"],
    [...rows.map((r) => [r.part, r.shape, r.total, r.active]), ["all", "", total, active]],
  );
}

/**
 * Accuracies beside their blind floors, with 95 % intervals over questions.
 *
 * @param rows From `accuracyRows`.
 */
export function accuracyTable(rows: readonly FamilyAccuracy[]): Table {
  return table(
    ["split", "family", "accuracy %", "95 % interval", "blind floor %", "questions"],
    rows.map((r) => [
      r.split,
      r.family,
      percent(r.accuracy),
      `${percent(r.low)} to ${percent(r.high)}`,
      percent(r.floor),
      r.n,
    ]),
  );
}

/**
 * Pictures with their questions, the right answers and the model's, as one PNG.
 *
 * @param answers From `answerQuestions`.
 */
export async function answerSheet(answers: readonly Answer[]): Promise<Uint8Array> {
  return await sampleGrid(
    await Promise.all(answers.map(async ({ sample, question, expected, answer, family }) => {
      const side = Math.sqrt(sample.image.length / 3);
      return {
        png: await encodePng(side, side, sample.image),
        question,
        expected,
        answer,
        correct: answer === expected,
        label: family,
      };
    })),
    { columns: 4 },
  );
}
