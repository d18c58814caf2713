/**
 * "Is there a dog ?": the rules of the hallucination family.
 *
 * @module
 */

import type { Random } from "../../tensor/random.ts";
import { type Asked, kindOf, type Rule, type View } from "./rule.ts";
import { drawCount } from "./scene.ts";
import { drawConcepts, type World } from "./world.ts";

/** One yes-or-no question of a POPE pool (Li et al. 2023), as often yes as no; never in training. */
export const ofPool =
  (pool: (view: View, random: Random) => readonly number[]): Rule["ask"] => (view, random) => {
    if (view.trained) return [];
    const present = view.objects.map((object) => object.concept);
    if (random.bool()) return [isThere(view.world, random.pick(present), "yes")];
    const absent = pool(view, random).filter((concept) => !present.includes(concept));
    return absent.length === 0 ? [] : [isThere(view.world, random.pick(absent), "no")];
  };

const isThere = (world: World, concept: number, answer: "yes" | "no"): Asked => ({
  question: `is there a ${world.concepts[concept].name} ?`,
  answer,
});

/**
 * Two questions for training, one answered yes and one no, such that the name alone tells nothing.
 *
 * A second scene is drawn from the same law; half of the time it is one that shares a kind with the
 * first, which makes the absent thing resemble a present one. The two scenes are exchangeable, so
 * what only the first holds (yes) and what only the second holds (no) follow the same distribution,
 * but for the few second scenes that are drawn again because they differ in nothing.
 */
export function askExistence({ world, scene, objects, trained }: View, random: Random): Asked[] {
  if (!trained) return [];
  const present = objects.map((object) => object.concept);
  const sharedKind = random.bool() ? kindOf(world, random.pick(objects)) : undefined;
  for (;;) {
    const count = scene.kind === "objects"
      ? drawCount(scene.split, random)
      : scene.kind === "flag"
      ? 1 + random.int(2)
      : objects.length;
    const other = drawConcepts(world, scene.split, count, random);
    if (sharedKind !== undefined && world.concepts[random.pick(other)].kind !== sharedKind) {
      continue;
    }
    const onlyHere = present.filter((concept) => !other.includes(concept));
    const onlyThere = other.filter((concept) => !present.includes(concept));
    if (onlyHere.length === 0 || onlyThere.length === 0) continue;
    return [
      isThere(world, random.pick(onlyHere), "yes"),
      isThere(world, random.pick(onlyThere), "no"),
    ];
  }
}
