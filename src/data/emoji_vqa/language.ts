/**
 * What is told in words alone: facts, and the vocabulary of a scale.
 *
 * @module
 */

import { spell } from "./describe.ts";
import type { Question, Task } from "./questions.ts";
import { COUNT_WORDS } from "./rule.ts";
import { BACKGROUNDS, QUADRANTS } from "./scene.ts";
import type { World } from "./world.ts";

/**
 * Facts in words alone, of every country and concept: the language side of two-hop questions. What
 * is held out of trained pictures is learned here.
 */
export function textFacts(world: World): Question[] {
  const fact = (task: Task, question: string, answer: string): Question[] =>
    world.scale.tasks.includes(task)
      ? [{ family: "knowledge", task: `fact-${task}`, question, answer }]
      : [];
  return [
    ...world.countries.flatMap(({ name, capital, region, currency }) => [
      ...fact("capital", `what is the capital of ${name} ?`, capital),
      ...fact("region", `in which region is ${name} ?`, region),
      ...fact("currency", `which money is used in ${name} ?`, currency),
    ]),
    ...world.concepts.flatMap(({ name, kind }) => fact("kind", `what kind is a ${name} ?`, kind)),
  ];
}

/** Every word that questions, answers, captions and phrases of a scale can hold. */
export function vocabulary(world: World): string[] {
  const texts = [
    "nothing flag hand text background ,",
    "0 1 2 3 4 5 6 7 8 9",
    ...world.concepts.flatMap(({ name, kind }) => [name, kind]),
    ...world.countries.flatMap(({ name, capital, region, currency }) => [
      name,
      capital,
      region,
      ...world.scale.tasks.includes("currency") ? [currency] : [],
    ]),
    ...[...world.print.words, ...world.held.words].map((word) => spell(world, word, false)),
    ...Object.keys(BACKGROUNDS),
    ...QUADRANTS,
    ...COUNT_WORDS,
    ...world.scale.tasks.map((task) => WORDING[task]),
    ...textFacts(world).map(({ question }) => question),
  ];
  return [...new Set(texts.flatMap((text) => text.split(" ")).filter((word) => word !== ""))];
}

/** The fixed words of each question type and of its answers. */
const WORDING: Record<Task, string> = {
  position: "what is in the ?",
  relation: "what is right left of below above the ?",
  where: "where is the ?",
  count: "how many ?",
  which: "which is there ?",
  color: "what color is the background ?",
  choice: "what is in the ? a b c d : letter :",
  word: "what word is written ?",
  number: "what number is written ?",
  char: "what is the last digit first letter of the text ?",
  hand: "which digit is written by hand ?",
  beside: "which digit is beside the ?",
  country: "which country has this flag ?",
  capital: "what is the capital of the country ?",
  region: "in which region is the country ?",
  currency: "which money is used in the country ?",
  kind: "what kind is in the ?",
  exists: "is there a ? yes no",
  random: "is there a ? yes no",
  popular: "is there a ? yes no",
  adversarial: "is there a ? yes no",
};
