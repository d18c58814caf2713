/**
 * The law of scenes: what lies where in a picture, before anything is drawn.
 *
 * @module
 */

import { Random } from "../../tensor/random.ts";
import { type FontName, HELD_FONTS } from "./fonts.ts";
import type { PictureKind, Split } from "./scales.ts";
import { drawConcepts, isTrained, type World } from "./world.ts";

/** Quadrants in reading order; `cell & 1` is the column and `cell >> 1` the row. */
export const QUADRANTS = ["top-left", "top-right", "bottom-left", "bottom-right"] as const;

/** Background colours by name, RGB. */
export const BACKGROUNDS: Readonly<Record<string, readonly [number, number, number]>> = {
  white: [250, 250, 250],
  gray: [190, 190, 190],
  pink: [250, 205, 215],
  yellow: [250, 240, 170],
  green: [200, 235, 190],
  blue: [190, 220, 250],
  purple: [220, 205, 245],
  orange: [250, 215, 170],
};

/** Ink of printed and handwritten text, RGB. */
const INKS = [[32, 32, 32], [170, 16, 32], [16, 48, 160], [16, 96, 48]] as const;

/** The icon sets that emoji are drawn from; the last one is kept for the `style` split. */
export const EMOJI_STYLES = ["twemoji", "openmoji", "fluent", "emojione", "noto"] as const;
/** The icon sets that flags are drawn from; the last one is kept for the `style` split. */
export const FLAG_STYLES = ["flag", "twemoji", "openmoji", "circle"] as const;

/** Where a sprite sits in the free room of its box, each from 0 (left, top) to 1. */
export interface Jitter {
  /** Horizontally. */
  across: number;
  /** Vertically. */
  down: number;
}

/** Something in a picture. `cell` is a quadrant. */
export type Item =
  & { jitter: Jitter }
  & (
    | {
      type: "object";
      cell: number;
      concept: number;
      emoji: string;
      style: typeof EMOJI_STYLES[number];
      size: number;
      flip: boolean;
      gain: number;
    }
    | {
      type: "flag";
      cell: number;
      country: number;
      style: typeof FLAG_STYLES[number];
      size: number;
      gain: number;
    }
    | {
      type: "digit";
      cell: number;
      label: number;
      writers: "train" | "t10k";
      index: number;
      ink: readonly [number, number, number];
      size: number;
    }
    | {
      type: "print";
      /** First quadrant of the row that the text spans: 0 or 2. */
      cell: number;
      text: string;
      isNumber: boolean;
      font: FontName;
      ink: readonly [number, number, number];
      width: number;
    }
  );

/** An item of one type. */
export type ItemOf<T extends Item["type"]> = Extract<Item, { type: T }>;

/** A picture in words and numbers. */
export interface Scene {
  /** The split it belongs to. */
  split: Split;
  /** Its number within the split. */
  index: number;
  /** What is in it. */
  kind: PictureKind;
  /** Name of the background colour. */
  background: string;
  /** What lies in it, in reading order. */
  items: readonly Item[];
}

/** The random numbers of one sample: a function of scale, split, index and purpose alone. */
export function sampleRandom(world: World, split: Split, index: number, purpose: string): Random {
  return new Random(0, `emoji-vqa/${world.scale.name}/${split}/${index}/${purpose}`);
}

const FREQUENT_KINDS: readonly PictureKind[] = ["objects", "objects", "ocr", "flag"];

/** Draws how many things a picture of objects holds; those of `comp` hold a pair at least. */
export function drawCount(split: Split, random: Random): number {
  return split === "comp" ? 2 + random.int(3) : 1 + random.int(4);
}

/** The scene of a sample. Pure: the same scale, split and index give the same scene. */
export function makeScene(world: World, split: Split, index: number): Scene {
  const random = sampleRandom(world, split, index, "scene");
  const background = random.pick(Object.keys(BACKGROUNDS));
  const kind = random.pick(FREQUENT_KINDS);
  const items = LAWS[kind](world, split, random).sort((a, b) => a.cell - b.cell);
  return { split, index, kind, background, items };
}

type Law = (world: World, split: Split, random: Random) => Item[];

const LAWS: Record<PictureKind, Law> = {
  objects(world, split, random) {
    const concepts = drawConcepts(world, split, drawCount(split, random), random);
    return drawObjects(world, split, concepts, random.shuffle([0, 1, 2, 3]), random);
  },

  ocr(world, split, random) {
    const row = random.int(2), side = random.int(2);
    if (random.bool(world.scale.digitPairs)) {
      // A digit beside a thing in both rows: which is which can only be told by place.
      const concepts = drawConcepts(world, split, 2, random);
      const digitCells = [side, 2 + random.int(2)], thingCells = digitCells.map((cell) => cell ^ 1);
      return [
        ...drawTwoDigits(world, split, digitCells, random),
        ...drawObjects(world, split, concepts, thingCells, random),
      ];
    }
    const digitCell = 2 * (1 - row) + side;
    return [
      drawPrint(world, split, 2 * row, random),
      drawDigit(world, split, digitCell, random),
      ...drawObjects(
        world,
        split,
        drawConcepts(world, split, 1, random),
        [digitCell ^ 1],
        random,
      ),
    ];
  },

  flag(world, split, random) {
    const [flagCell, ...cells] = random.shuffle([0, 1, 2, 3]);
    const styles = FLAG_STYLES.slice(0, -1);
    const flag: ItemOf<"flag"> = {
      type: "flag",
      cell: flagCell,
      country: random.int(world.countries.length),
      style: split === "style" ? FLAG_STYLES[styles.length] : random.pick(styles),
      size: 26 + 2 * random.int(3),
      gain: 0.94 + 0.1 * random.uniform(),
      jitter: drawJitter(random),
    };
    const concepts = drawConcepts(world, split, 1 + random.int(2), random);
    return [flag, ...drawObjects(world, split, concepts, cells, random)];
  },
};

function drawJitter(random: Random): Jitter {
  return { across: random.uniform(), down: random.uniform() };
}

/** Share of emoji drawn in another style than the rest of their picture. */
const ODD_STYLE = 0.15;

function drawObjects(
  world: World,
  split: Split,
  concepts: readonly number[],
  cells: readonly number[],
  random: Random,
): ItemOf<"object">[] {
  const styles = EMOJI_STYLES.slice(0, -1), common = random.pick(styles);
  return concepts.map((concept, i) => {
    const style = random.bool(ODD_STYLE) ? random.pick(styles) : common;
    return {
      type: "object",
      cell: cells[i],
      concept,
      emoji: random.pick(world.concepts[concept].emoji),
      style: split === "style" ? EMOJI_STYLES[styles.length] : style,
      size: random.pick(world.scale.spriteSizes),
      flip: random.bool(0.3),
      gain: 0.92 + 0.14 * random.uniform(),
      jitter: drawJitter(random),
    };
  });
}

function drawDigit(world: World, split: Split, cell: number, random: Random): ItemOf<"digit"> {
  const writers = isTrained(split) ? "train" : "t10k";
  const labels = world.digitLabels[writers], index = random.int(labels.length);
  return {
    type: "digit",
    cell,
    label: labels[index],
    writers,
    index,
    ink: random.pick(INKS),
    size: random.pick(world.scale.spriteSizes),
    jitter: drawJitter(random),
  };
}

/** Two digits that differ, so that reading the wrong one is always wrong. */
function drawTwoDigits(
  world: World,
  split: Split,
  [firstCell, secondCell]: readonly number[],
  random: Random,
): ItemOf<"digit">[] {
  const first = drawDigit(world, split, firstCell, random);
  let second = drawDigit(world, split, secondCell, random);
  while (second.label === first.label) second = drawDigit(world, split, secondCell, random);
  return [first, second];
}

function drawPrint(world: World, split: Split, cell: number, random: Random): ItemOf<"print"> {
  const { scale, print, held } = world;
  const isNumber = random.bool(0.6);
  const what = isNumber ? "numbers" : "words";
  // A scale that holds no words out shows the trained ones in `comp` too.
  const texts = split === "comp" && held[what].length > 0 ? held[what] : print[what];
  return {
    type: "print",
    cell,
    text: random.pick(texts),
    isNumber,
    font: random.pick(split === "style" ? HELD_FONTS : scale.fonts),
    ink: random.pick(INKS),
    width: random.pick(scale.printWidths[isNumber ? "number" : "word"]),
    jitter: drawJitter(random),
  };
}
