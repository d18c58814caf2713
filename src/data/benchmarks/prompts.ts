/** The sentences that ask for short answers, as in LLaVA and Bunny. */

import { letter } from "./rows.ts";
import type { BenchmarkRow } from "./types.ts";

/** For open questions. */
export const SHORT_ANSWER = "Answer the question using a single word or phrase.";

/** For questions with choices. */
export const LETTER_ANSWER = "Answer with the option's letter from the given choices directly.";

/** The question and the sentence for short answers. */
export function shortAnswerPrompt({ question }: BenchmarkRow): string {
  return `${question}\n${SHORT_ANSWER}`;
}

/** The question, a line for each choice, and the sentence for letters. */
export function letterPrompt({ question, choices = [] }: BenchmarkRow): string {
  const lines = choices.map((choice, i) => `${letter(i)}. ${choice}`);
  return [question, ...lines, LETTER_ANSWER].join("\n");
}
