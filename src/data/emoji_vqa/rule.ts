/**
 * The shape of a question rule, and what rules share.
 *
 * @module
 */

import type { Random } from "../../tensor/random.ts";
import type { Family, Task } from "./questions.ts";
import type { ItemOf, Scene } from "./scene.ts";
import type { World } from "./world.ts";

/** A scene and what rules look up in it. */
export interface View {
  /** What exists. */
  world: World;
  /** The scene asked about. */
  scene: Scene;
  /** Its things. */
  objects: readonly ItemOf<"object">[];
  /** Whether it follows the law of training. */
  trained: boolean;
}

/** A question's text and answer, and whether it belongs to what training holds out. */
export type Asked = { question: string; answer: string; held?: boolean };

/** One type of question. */
export interface Rule {
  /** Its type. */
  task: Task;
  /** Its family. */
  family: Family;
  /** Asks about a scene: nothing when the question makes no sense there. */
  ask: (view: View, random: Random) => Asked[];
}

/** The answers of counting questions. */
export const COUNT_WORDS: readonly string[] = ["zero", "one", "two", "three", "four"];

/** What a thing is called. */
export function nameOf(world: World, object: ItemOf<"object">): string {
  return world.concepts[object.concept].name;
}

/** What kind a thing is. */
export function kindOf(world: World, object: ItemOf<"object">): string {
  return world.concepts[object.concept].kind;
}
