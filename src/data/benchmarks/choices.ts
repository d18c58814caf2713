/** Which choice an answer in words means. */

import { letter } from "./rows.ts";

/**
 * The letter of the choice that an answer means: the choice that it is word by word, else the only
 * letter among its words, else the only choice whose text it contains; none where that is not clear.
 *
 * After the rule by which VLMEvalKit takes answers without asking another model (`can_infer` in
 * `vlmeval/utils/matching_util.py`). An "A" inside of a sentence is taken for an article.
 */
export function chosenLetter(text: string, choices: readonly string[]): string | undefined {
  const letters = choices.map((_, i) => letter(i)), lower = text.trim().toLowerCase();
  const same = letters.filter((_, i) => lower.replace(/\.$/, "") === choices[i].toLowerCase());
  if (same.length === 1) return same[0];
  const words = text.replace(/[.()[\],:;!*#{}]/g, " ").split(/\s+/).filter((word) => word !== "");
  const named = letters.filter((one) => words.includes(one));
  const isArticle = named[0] === "A" && words.length > 3 && words[0] !== "A" &&
    words.at(-1) !== "A";
  if (named.length === 1 && !isArticle) return named[0];
  if (lower.length > 2 * choices.reduce((sum, choice) => sum + choice.length, 0)) return undefined;
  const meant = letters.filter((_, i) => lower.includes(choices[i].toLowerCase()));
  return meant.length === 1 ? meant[0] : undefined;
}

/** The choices turned so that number `by` comes first. */
export function rotated<T>(choices: readonly T[], by: number): T[] {
  return choices.map((_, i) => choices[(i + by) % choices.length]);
}
