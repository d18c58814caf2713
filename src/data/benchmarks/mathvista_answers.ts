/**
 * How answers to questions of MathVista are read.
 *
 * Follows https://github.com/lupantech/MathVista: `evaluation/extract_answer.py` (with `--quick_extract`)
 * and `evaluation/calculate_score.py`. Numbers are compared as Python writes them.
 *
 * @module
 */

import { editDistance } from "./edit_distance.ts";
import { floatText, pythonFloat, pythonInt, roundEven, wholePart } from "./python_numbers.ts";
import { letter } from "./rows.ts";

/** What is known of a question besides its text. */
export interface MathQuestion {
  /** Texts to choose from; missing for an open question. */
  readonly choices?: readonly string[];
  /** What the answer is. */
  readonly type: "text" | "integer" | "float" | "list";
  /** Digits behind the point that count. */
  readonly precision: number;
}

/** The answer in what a model said, as far as rules find it; undefined where a judge has to be asked. */
export function quickAnswer(text: string, { choices, type }: MathQuestion): string | undefined {
  if (text === "" || choices?.includes(text)) return text;
  if (type === "integer") {
    const whole = pythonInt(text);
    if (whole !== undefined) return whole;
  }
  if (type === "float") {
    const value = pythonFloat(text);
    if (value !== undefined) return floatText(value);
  }
  return /The answer is "(.*)"\./.exec(text)?.[1];
}

/**
 * An extracted answer as it is compared with the right one: the choice that it names by its letter or is
 * most like, a whole number, a rounded one; undefined where it is no number.
 */
export function normalAnswer(
  extracted: string,
  { choices, type, precision }: MathQuestion,
): string | undefined {
  if (choices) return chosen(extracted.trim(), choices);
  if (type === "list") return extracted;
  const value = pythonFloat(extracted);
  if (value === undefined) return undefined;
  return type === "integer" ? wholePart(value) : floatText(roundEven(value, precision));
}

function chosen(extracted: string, choices: readonly string[]): string {
  const named = /\(([a-zA-Z])\)/.exec(extracted)?.[1].toUpperCase() ?? extracted;
  const place = choices.findIndex((_, i) => letter(i) === named);
  if (place >= 0) return choices[place];
  const distances = choices.map((choice) => editDistance(named, choice));
  return choices[distances.indexOf(Math.min(...distances))];
}
