/**
 * What can be answered without looking at the pictures.
 *
 * @module
 */

import { FAMILIES, type Family, type Question } from "./questions.ts";

/** Accuracies from 0 to 1 of answering every question by its most frequent answer in training. */
export interface BlindFloors {
  /** Mean of the families. */
  macro: number;
  /** Accuracy by family; NaN where a family has no question. */
  families: Record<Family, number>;
  /** Accuracy by question type. */
  tasks: Record<string, number>;
  /** How many questions there are by family. */
  counts: Record<Family, number>;
}

/** Counts answers per key, and tells the most frequent (ties: the first in code unit order). */
class Majority {
  #counts = new Map<string, Map<string, number>>();

  add(key: string, answer: string): void {
    let answers = this.#counts.get(key);
    if (!answers) this.#counts.set(key, answers = new Map());
    answers.set(answer, (answers.get(answer) ?? 0) + 1);
  }

  get(key: string): string | undefined {
    const answers = [...this.#counts.get(key) ?? []];
    answers.sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
    return answers[0]?.[0];
  }
}

/** Question type without its mark for held-out names. */
const baseTask = (task: string): string => task.replace(/-held$/, "");

/**
 * Answers test questions blindly: by the most frequent answer to the same text in training, else to
 * the same type of question.
 */
export function blindFloors(train: Iterable<Question>, test: Iterable<Question>): BlindFloors {
  const byText = new Majority(), byTask = new Majority();
  for (const { task, question, answer } of train) {
    byText.add(question, answer);
    byTask.add(baseTask(task), answer);
  }
  const guesses = new Map<string, string | undefined>();
  const guess = ({ question, task }: Question): string | undefined => {
    const key = `${task} ${question}`;
    if (!guesses.has(key)) guesses.set(key, byText.get(question) ?? byTask.get(baseTask(task)));
    return guesses.get(key);
  };
  const right = new Map<string, number>(), asked = new Map<string, number>();
  const count = (map: Map<string, number>, key: string, by: number) =>
    map.set(key, (map.get(key) ?? 0) + by);
  const tasks = new Set<string>();
  for (const question of test) {
    const hit = guess(question) === question.answer ? 1 : 0;
    tasks.add(question.task);
    for (const key of [`family ${question.family}`, `task ${question.task}`]) {
      count(right, key, hit);
      count(asked, key, 1);
    }
  }
  const share = (key: string): number => (right.get(key) ?? 0) / (asked.get(key) ?? 0);
  const perFamily = <T>(value: (family: Family) => T) =>
    Object.fromEntries(FAMILIES.map((family) => [family, value(family)])) as Record<Family, T>;
  const families = perFamily((family) => share(`family ${family}`));
  return {
    macro: FAMILIES.reduce((sum, family) => sum + families[family], 0) / FAMILIES.length,
    families,
    tasks: Object.fromEntries([...tasks].sort().map((task) => [task, share(`task ${task}`)])),
    counts: perFamily((family) => asked.get(`family ${family}`) ?? 0),
  };
}
