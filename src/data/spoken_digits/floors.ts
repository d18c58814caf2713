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
  /** Of the words and all that the picture shows: number of squares and colour. */
  readonly picture: number;
  /** Of the words and the spoken digit. */
  readonly sound: number;
}

/** What is known of a scene. */
const KNOWN = {
  neither: () => "",
  picture: ({ count, color }: Scene) => `${count} ${color}`,
  sound: ({ digit }: Scene) => `${digit}`,
} as const;

/**
 * Floors of every kind of question in the test split, of scenes that have sound and picture: the answer
 * that was most frequent in training where the same was known.
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
    const share = (known: (scene: Scene) => string): number => {
      const best = new Map(
        [...Map.groupBy(seen, ({ scene, question }) => `${question} ${known(scene)}`)]
          .map(([key, all]) => [key, mostFrequent(all.map(({ answer }) => answer))]),
      );
      const right = asked.filter(({ scene, question, answer }) =>
        best.get(`${question} ${known(scene)}`) === answer
      );
      return right.length / asked.length;
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
