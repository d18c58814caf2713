/** What can be answered about scenes without hearing, without seeing, or without both. */
import type { QuestionKind, Scene, SoundAndSight } from "./dataset.ts";

/** Shares of right answers, by kind of question, of the best answer to what is known. */
export interface SceneFloor {
  /** Kind of question. */
  readonly kind: QuestionKind;
  /** Questions of the test split. */
  readonly n: number;
  /** Different answers in training. */
  readonly answers: number;
  /** Of the question's words alone. */
  readonly neither: number;
  /** Of the words and what the picture shows: the number of squares, or the colour. */
  readonly picture: number;
  /** Of the words and the spoken digit. */
  readonly sound: number;
}

/** What may be known of a scene besides a question's words; of a picture the one thing that helps more. */
const KNOWN: Readonly<Record<"neither" | "picture" | "sound", readonly (keyof Scene)[]>> = {
  neither: [],
  picture: ["count", "color"],
  sound: ["digit"],
};

/**
 * Floors of every kind of question in the test split, of scenes that have sound and picture: the answer
 * that was most frequent in training where the same was known (or with the same words, if it never was).
 */
export function sceneFloors(data: SoundAndSight): SceneFloor[] {
  const scenes = (split: "train" | "test"): Scene[] =>
    Array.from({ length: data.sizes[split] }, (_, i) => data.scene(split, i))
      .filter(({ kind }) => kind === "both");
  const train = scenes("train"), test = scenes("test");
  const kinds = [...new Set(train.flatMap((s) => s.questions.map((q) => q.kind)))];
  return kinds.map((kind) => {
    const of = (list: readonly Scene[]) =>
      list.flatMap((scene) =>
        scene.questions.filter((q) => q.kind === kind)
          .map(({ question, answer }) => ({ scene, question, answer }))
      );
    const asked = of(test), seen = of(train);
    const best = (fact?: keyof Scene) => {
      const key = ({ scene, question }: (typeof seen)[number]) =>
        fact ? `${question} ${scene[fact]}` : question;
      const answers = new Map(
        [...Map.groupBy(seen, key)].map(([k, all]) => [k, mostFrequent(all.map((q) => q.answer))]),
      );
      return (q: (typeof seen)[number]) => answers.get(key(q));
    };
    const byWords = best();
    const share = (facts: readonly (keyof Scene)[]): number => {
      const guesses = facts.length === 0 ? [byWords] : facts.map(best);
      const rights = guesses.map((guess) =>
        asked.filter((q) => (guess(q) ?? byWords(q)) === q.answer).length
      );
      return Math.max(...rights) / asked.length;
    };
    return {
      kind,
      n: asked.length,
      answers: new Set(seen.map(({ answer }) => answer)).size,
      neither: share(KNOWN.neither),
      picture: share(KNOWN.picture),
      sound: share(KNOWN.sound),
    };
  });
}

/** The value that occurs most often, the first in the alphabet of several. */
function mostFrequent(values: readonly string[]): string {
  const counts = [...Map.groupBy(values, (v) => v)].map(([value, all]) => ({
    value,
    n: all.length,
  }));
  return counts.sort((a, b) => b.n - a.n || (a.value < b.value ? -1 : 1))[0].value;
}
