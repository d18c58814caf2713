/**
 * How answers to questions of MMMU are read.
 *
 * Follows `eval/eval_utils.py` of https://github.com/MMMU-Benchmark/MMMU, but where that draws a
 * choice at random, the draw follows from the question, so that scores can be repeated.
 *
 * @module
 */

import { Random } from "../../tensor/random.ts";
import { letter } from "./rows.ts";

const strip = (text: string, mark: string): string => {
  let start = 0, end = text.length;
  while (start < end && text[start] === mark) start++;
  while (end > start && text[end - 1] === mark) end--;
  return text.slice(start, end);
};

/**
 * The letter that an answer chooses: in brackets, else standing alone, else by the choice's text in
 * a longer answer; the last one of several; drawn where there is none.
 *
 * @param seed what the draw follows from: the question's id
 */
export function parsedChoice(text: string, choices: readonly string[], seed: string): string {
  const letters = choices.map((_, i) => letter(i));
  let answer = text;
  for (const mark of ",.!?;:'") answer = strip(answer, mark);
  answer = ` ${answer} `;
  const last = (places: readonly number[]): string | undefined => {
    const best = Math.max(...places);
    return best < 0 ? undefined : letters[places.indexOf(best)];
  };
  const found = last(letters.map((one) => answer.lastIndexOf(`(${one})`))) ??
    last(letters.map((one) => answer.lastIndexOf(` ${one} `)));
  if (found !== undefined) return found;
  if (answer.trim().split(/\s+/).length > 5) {
    const lower = answer.toLowerCase();
    const meant = last(choices.map((choice) => lower.lastIndexOf(choice.toLowerCase())));
    if (meant !== undefined) return meant;
  }
  return letters[new Random(42, `mmmu/${seed}`).int(letters.length)];
}

/** A number with commas as Python reads it, or undefined. */
function numberOf(text: string): number | undefined {
  const plain = text.replaceAll(",", "").trim();
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(plain) ? Number(plain) : undefined;
}

/** A text as it is compared: a number rounded to two digits, or lower case. */
function normalized(text: string): (string | number)[] {
  const plain = text.trim(), number = numberOf(plain);
  if (number !== undefined) return [Number(number.toFixed(2))];
  const lower = plain.toLowerCase();
  // A single letter must not be found inside of words.
  return lower.length === 1 ? [` ${lower}`, `${lower} `] : [lower];
}

/** Numbers with commas, in powers of ten, and plain; as Python reads them, é is a letter, too. */
const NUMBERS = [
  /-?(?<![\p{L}\p{N}_])\d{1,3}(?:,\d{3})+(?![\p{L}\p{N}_])/gu,
  /-?\d+(?:\.\d+)?[eE][+-]?\d+/gu,
  /-?(?:\d+\.\d+|\.\d+|\d+(?![\p{L}\p{N}_]))(?![eE][+-]?\d+)(?![,\d])/gu,
];

const INDICATORS = [
  "could be ",
  "so ",
  "is ",
  "thus ",
  "therefore ",
  "final ",
  "answer ",
  "result ",
];

const MARKS = [":", ",", ".", "!", "?", ";", "'"];

/** What an answer may mean: the ends of its sentences, and the numbers in them. */
export function parsedOpen(text: string): (string | number)[] {
  const answer = strip(text.trim(), ".").toLowerCase();
  // In lower case no sentence begins with a capital letter any more: only lines are told apart.
  const lines = answer.split("\n"), keys: string[] = [];
  for (const [i, line] of lines.entries()) {
    const indicators = i + 1 === lines.length ? [...INDICATORS, "="] : INDICATORS;
    let shortest = "";
    for (const indicator of indicators) {
      const at = line.lastIndexOf(indicator);
      if (at < 0) continue;
      const tail = line.slice(at + indicator.length).trim();
      if (shortest === "" || tail.length < shortest.length) shortest = tail;
    }
    if (shortest !== "" && !MARKS.includes(shortest)) keys.push(shortest);
  }
  const meant = keys.length === 0 ? [answer] : keys;
  const numbers = meant.flatMap((key) => NUMBERS.flatMap((pattern) => key.match(pattern) ?? []));
  return [...new Set([...meant, ...numbers].flatMap(normalized))];
}

/** Whether one of the right answers is among those that are meant, or a part of one. */
export function openMatches(
  answers: readonly string[],
  meant: readonly (string | number)[],
): boolean {
  const right = answers.flatMap(normalized);
  return meant.some((one) =>
    typeof one === "number"
      ? right.includes(one)
      : right.some((answer) => typeof answer === "string" && one.includes(answer))
  );
}

/**
 * A list of texts as Python writes it: `['$6', "it's"]`.
 *
 * @throws {SyntaxError} if it is something else.
 */
export function pythonList(text: string): string[] {
  const items: string[] = [], item = /\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\s*(,|$)/sy;
  const inner = /^\s*\[(.*)\]\s*$/s.exec(text)?.[1];
  if (inner === undefined) throw new SyntaxError(`no list of texts: ${text}`);
  if (inner.trim() === "") return items;
  while (item.lastIndex < inner.length) {
    const start = item.lastIndex, found = item.exec(inner);
    if (!found) {
      if (inner.slice(start).trim() === "") break;
      throw new SyntaxError(`no list of texts from character ${start + 1} on: ${text}`);
    }
    items.push(unescaped(found[1] ?? found[2]));
  }
  return items;
}

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r" };

function unescaped(text: string): string {
  return text.replace(
    /\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))/gis,
    (whole, x, u, long, other) => {
      const code = x ?? u ?? long;
      if (code !== undefined) return String.fromCodePoint(parseInt(code, 16));
      if (other in ESCAPES) return ESCAPES[other];
      return "\\'\"".includes(other) ? other : whole;
    },
  );
}
