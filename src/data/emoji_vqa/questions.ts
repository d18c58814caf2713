/**
 * What is asked about a scene: a table of question types in four families.
 *
 * @module
 */

import { spell } from "./describe.ts";
import { askExistence, ofPool } from "./existence.ts";
import { type Asked, COUNT_WORDS, kindOf, nameOf, type Rule, type View } from "./rule.ts";
import { type ItemOf, QUADRANTS, sampleRandom, type Scene } from "./scene.ts";
import { isTrained, type World } from "./world.ts";

/** The families of questions, after the four groups of benchmarks in the literature. */
export const FAMILIES = ["general", "ocr", "knowledge", "hallucination"] as const;

/** A family of questions. */
export type Family = typeof FAMILIES[number];

/** A type of question. */
export type Task =
  | ("position" | "relation" | "where" | "count" | "which" | "color" | "choice")
  | ("word" | "number" | "char" | "hand" | "beside")
  | ("country" | "capital" | "region" | "currency" | "kind")
  | ("exists" | "random" | "popular" | "adversarial");

/** A question with its answer; words are parted by single spaces. */
export interface Question {
  /** Its family. */
  family: Family;
  /** Its type; "-held" is appended when no trained picture asks it of that country or thing. */
  task: string;
  /** Its text, as in "what is in the top-left ?". */
  question: string;
  /** The only right answer. */
  answer: string;
}

/** The name of the thing in a quadrant. */
function thingAt({ world, objects }: View, cell: number): string {
  const object = objects.find((object) => object.cell === cell);
  return object ? nameOf(world, object) : "nothing";
}

/** Whether the picture may reveal kinds: a trained one never does for things held out. */
function mayTellKinds({ world, objects, trained }: View): boolean {
  return !trained || !objects.some((object) => world.held.kinds.has(object.concept));
}

const itemsOf = <T extends "print" | "digit" | "flag">(scene: Scene, type: T): ItemOf<T>[] =>
  scene.items.filter((item): item is ItemOf<T> => item.type === type);

/** Neighbours: the step to the other quadrant, and in which quadrants there is one. */
const DIRECTIONS = [
  { words: "right of", step: 1, from: [0, 2] },
  { words: "left of", step: -1, from: [1, 3] },
  { words: "below", step: 2, from: [0, 1] },
  { words: "above", step: -2, from: [2, 3] },
];

/** Questions about pictures of things only. */
const ofObjects = (ask: Rule["ask"]): Rule["ask"] => (view, random) =>
  view.scene.kind === "objects" ? ask(view, random) : [];

/** A question about the country of the flag; held-out countries are not asked in training. */
const ofCountry =
  (question: string, fact: "capital" | "region" | "currency"): Rule["ask"] =>
  ({ world, scene, trained }) =>
    itemsOf(scene, "flag").flatMap(({ country }) => {
      const held = world.held.countries.has(country);
      return held && trained ? [] : [{ question, answer: world.countries[country][fact], held }];
    });

/** A question about printed text. */
const ofPrint =
  (ask: (world: World, print: ItemOf<"print">) => Asked | undefined): Rule["ask"] =>
  ({ world, scene }) => itemsOf(scene, "print").flatMap((print) => ask(world, print) ?? []);

const RULES: readonly Rule[] = [
  {
    task: "position",
    family: "general",
    ask: ofObjects((view, random) => {
      const cell = random.bool(0.8) ? random.pick(view.objects).cell : random.int(4);
      return [{ question: `what is in the ${QUADRANTS[cell]} ?`, answer: thingAt(view, cell) }];
    }),
  },
  {
    task: "relation",
    family: "general",
    ask: ofObjects((view, random) => {
      const object = random.pick(view.objects);
      const { words, step } = random.pick(DIRECTIONS.filter((d) => d.from.includes(object.cell)));
      const answer = thingAt(view, object.cell + step);
      if (answer === "nothing" && random.bool(0.7)) return [];
      return [{ question: `what is ${words} the ${nameOf(view.world, object)} ?`, answer }];
    }),
  },
  {
    task: "where",
    family: "general",
    ask: ({ world, scene, objects }, random) => {
      if (scene.kind === "ocr") return [];
      const flag = itemsOf(scene, "flag")[0], object = random.pick(objects);
      const [what, cell] = flag ? ["flag", flag.cell] : [nameOf(world, object), object.cell];
      return [{ question: `where is the ${what} ?`, answer: QUADRANTS[cell] }];
    },
  },
  {
    task: "count",
    family: "general",
    ask: ofObjects((view, random) => {
      const { world, objects } = view;
      const kind = random.bool(0.75)
        ? kindOf(world, random.pick(objects))
        : random.pick([...world.kinds.keys()]);
      if (!mayTellKinds(view)) return [];
      const count = objects.filter((object) => kindOf(world, object) === kind).length;
      return [{ question: `how many ${kind} ?`, answer: COUNT_WORDS[count] }];
    }),
  },
  {
    task: "which",
    family: "general",
    ask: ofObjects((view, random) => {
      const { world, objects } = view, object = random.pick(objects), kind = kindOf(world, object);
      const single = objects.filter((other) => kindOf(world, other) === kind).length === 1;
      if (!single || !mayTellKinds(view)) return [];
      return [{ question: `which ${kind} is there ?`, answer: nameOf(world, object) }];
    }),
  },
  {
    task: "color",
    family: "general",
    ask: ofObjects(({ scene }) => [
      { question: "what color is the background ?", answer: scene.background },
    ]),
  },
  {
    task: "choice",
    family: "general",
    ask: ofObjects(({ world, objects }, random) => {
      const object = random.pick(objects);
      const options = [object.concept], alike = world.kinds.get(kindOf(world, object))!;
      while (options.length < 4) {
        const option = random.bool() ? random.pick(alike) : random.int(world.concepts.length);
        if (!options.includes(option)) options.push(option);
      }
      random.shuffle(options);
      const list = options.map((option, i) => `${"abcd"[i]} : ${world.concepts[option].name}`);
      return [{
        question: `what is in the ${QUADRANTS[object.cell]} ? ${list.join(" ")} letter :`,
        answer: "abcd"[options.indexOf(object.concept)],
      }];
    }),
  },
  {
    task: "word",
    family: "ocr",
    ask: ofPrint((world, { text, isNumber }) =>
      isNumber
        ? undefined
        : { question: "what word is written ?", answer: spell(world, text, isNumber) }
    ),
  },
  {
    task: "number",
    family: "ocr",
    ask: ofPrint((world, { text, isNumber }) =>
      isNumber
        ? { question: "what number is written ?", answer: spell(world, text, isNumber) }
        : undefined
    ),
  },
  {
    task: "char",
    family: "ocr",
    ask: ofPrint((_, { text, isNumber }) => ({
      question: `what is the ${isNumber ? "last digit" : "first letter"} of the text ?`,
      answer: isNumber ? text[text.length - 1] : text[0],
    })),
  },
  {
    task: "hand",
    family: "ocr",
    ask: ({ scene }) => {
      const digits = itemsOf(scene, "digit");
      if (digits.length !== 1) return [];
      return [{ question: "which digit is written by hand ?", answer: String(digits[0].label) }];
    },
  },
  {
    task: "beside",
    family: "ocr",
    ask: ({ world, scene, objects }) => {
      const digits = itemsOf(scene, "digit");
      if (digits.length !== 2) return [];
      return objects.map((object) => ({
        question: `which digit is beside the ${nameOf(world, object)} ?`,
        answer: String(digits.find((digit) => digit.cell === (object.cell ^ 1))!.label),
      }));
    },
  },
  {
    task: "country",
    family: "knowledge",
    ask: ({ world, scene }) =>
      itemsOf(scene, "flag").map(({ country }) => ({
        question: "which country has this flag ?",
        answer: world.countries[country].name,
      })),
  },
  {
    task: "capital",
    family: "knowledge",
    ask: ofCountry("what is the capital of the country ?", "capital"),
  },
  {
    task: "region",
    family: "knowledge",
    ask: ofCountry("in which region is the country ?", "region"),
  },
  {
    task: "currency",
    family: "knowledge",
    ask: ofCountry("which money is used in the country ?", "currency"),
  },
  {
    task: "kind",
    family: "knowledge",
    ask: ofObjects(({ world, objects, trained }, random) => {
      const object = random.pick(objects), held = world.held.kinds.has(object.concept);
      if (held && trained) return [];
      const question = `what kind is in the ${QUADRANTS[object.cell]} ?`;
      return [{ question, answer: kindOf(world, object), held }];
    }),
  },
  { task: "exists", family: "hallucination", ask: askExistence },
  {
    task: "random",
    family: "hallucination",
    ask: ofPool(({ world }) => [...world.concepts.keys()]),
  },
  {
    task: "popular",
    family: "hallucination",
    ask: ofPool(({ world }) => [...world.concepts.keys()].slice(0, world.scale.popular)),
  },
  {
    task: "adversarial",
    family: "hallucination",
    ask: ofPool(({ world, objects }, random) =>
      world.kinds.get(kindOf(world, random.pick(objects)))!
    ),
  },
];

/** All questions about a scene. Pure: the same scale, split and index give the same questions. */
export function askAbout(world: World, scene: Scene): Question[] {
  const random = sampleRandom(world, scene.split, scene.index, "questions");
  const objects = scene.items.filter((item): item is ItemOf<"object"> => item.type === "object");
  const view: View = { world, scene, objects, trained: isTrained(scene.split) };
  return RULES.filter(({ task }) => world.scale.tasks.includes(task)).flatMap((rule) =>
    rule.ask(view, random).map(({ question, answer, held }) => ({
      family: rule.family,
      task: held ? `${rule.task}-held` : rule.task,
      question,
      answer,
    }))
  );
}
