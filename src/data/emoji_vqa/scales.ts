/**
 * The sizes in which the data set comes: everything that differs between them, as data.
 *
 * @module
 */

import { unknownName } from "../../tensor/nearest.ts";
import type { FontName } from "./fonts.ts";
import type { Task } from "./questions.ts";

/** The splits, in the order in which they are stored. */
export const SPLITS = ["train", "val", "comp", "style", "text"] as const;

/**
 * A split of the data set.
 *
 * - `train` and `val` share one law;
 * - `comp` shows pairs of things, printed words and numbers, and handwriting never trained with;
 * - `style` shows drawings by a vendor, flags, fonts and handwriting never trained with;
 * - `text` follows the law of `train` but has no pictures: scenes for the language model alone.
 */
export type Split = typeof SPLITS[number];

/** What is in a picture: things; printed text and handwriting; or a flag and things. */
export const PICTURE_KINDS = ["objects", "ocr", "flag"] as const;

/** See {@linkcode PICTURE_KINDS}. */
export type PictureKind = typeof PICTURE_KINDS[number];

/** Name of a scale. */
export type ScaleName = "tiny" | "small" | "full";

/** The law of one scale. */
export interface Scale {
  /** Its name. */
  name: ScaleName;
  /** Side of a picture in pixels; a canvas of 64 is halved for 32. */
  imageSize: 32 | 64;
  /** The concepts by name, or all of them. */
  concepts: readonly string[] | "all";
  /** The countries by code, or all of them. */
  countries: readonly string[] | "all";
  /** Whether North and South America are one region (a one-word name). */
  oneAmerica: boolean;
  /** The words that are printed, or the words that names are made of. */
  printedWords: readonly string[] | "from names";
  /** Whether a printed word is answered letter by letter; numbers always are, digit by digit. */
  spellWords: boolean;
  /** How many digits a printed number has. */
  numberDigits: number;
  /** Fonts of all splits but `style`. */
  fonts: readonly FontName[];
  /** Widths of printed words and of printed numbers on the canvas of 64 pixels. */
  printWidths: { word: readonly number[]; number: readonly number[] };
  /** Sizes of emoji and digits on the canvas. */
  spriteSizes: readonly number[];
  /** Share of OCR pictures that show two handwritten digits beside two things and no print. */
  digitPairs: number;
  /** How many of the most frequent concepts count as popular (for POPE's popular negatives). */
  popular: number;
  /** Shares that are held out of training, chosen by hashes of names. */
  held: { pairs: number; kinds: number; countries: number; words: number; numbers: number };
  /** Question types in use. */
  tasks: readonly Task[];
  /** Samples per split. */
  sizes: Readonly<Record<Split, number>>;
}

const EVERY_TASK: readonly Task[] = [
  ...["position", "relation", "where", "count", "which", "color", "choice"] as const,
  ...["word", "number", "char", "hand", "beside"] as const,
  ...["country", "capital", "region", "currency", "kind"] as const,
  ...["exists", "random", "popular", "adversarial"] as const,
];

const SMALL: Scale = {
  name: "small",
  imageSize: 64,
  concepts: "all",
  countries: "all",
  oneAmerica: false,
  printedWords: "from names",
  spellWords: true,
  numberDigits: 4,
  fonts: ["roboto", "merriweather", "oswald", "roboto-mono", "caveat"],
  printWidths: { word: [44, 48, 52, 56], number: [44, 48, 52, 56] },
  spriteSizes: [22, 26, 30],
  digitPairs: 0.4,
  popular: 40,
  held: { pairs: 0.1, kinds: 0.25, countries: 0.25, words: 0.2, numbers: 0.2 },
  tasks: EVERY_TASK,
  sizes: { train: 20_000, val: 1000, comp: 1000, style: 1000, text: 20_000 },
};

/** The scales by name. */
export const SCALES: Readonly<Record<ScaleName, Scale>> = {
  // For software renderers: few names, one word each, so that 500k parameters can learn them.
  tiny: {
    name: "tiny",
    imageSize: 32,
    concepts: [
      ...["pig", "panda", "lion", "elephant"],
      ...["penguin", "rooster", "owl", "chick"],
      ...["octopus", "crab", "whale", "blowfish"],
      ...["apple", "banana", "grapes", "watermelon"],
      ...["bus", "bicycle", "tractor", "ambulance"],
      ...["guitar", "trumpet", "violin", "drum"],
      ...["dress", "jeans", "crown", "backpack"],
      ...["rose", "tulip", "sunflower", "hibiscus"],
    ],
    countries: [
      ...["fr", "it", "se", "gr"],
      ...["jp", "np", "vn", "kz"],
      ...["eg", "ke", "ng", "so"],
      ...["br", "ca", "jm", "cu"],
    ],
    oneAmerica: true,
    printedWords: [
      ...["sun", "cup", "key", "box", "map", "jam"],
      ...["fox", "ice", "hat", "web", "pin", "log"],
    ],
    spellWords: false,
    numberDigits: 2,
    fonts: ["roboto", "merriweather", "oswald", "roboto-mono"],
    printWidths: { word: [46, 50, 54], number: [30, 34, 38] },
    spriteSizes: [24, 28],
    digitPairs: 0,
    popular: 8,
    held: { pairs: 0.1, kinds: 0.125, countries: 0.19, words: 0, numbers: 0.1 },
    tasks: [
      ...["position", "where", "count", "color"] as const,
      ...["word", "number", "hand"] as const,
      ...["country", "capital", "region", "kind"] as const,
      ...["exists", "random", "popular", "adversarial"] as const,
    ],
    sizes: { train: 20_000, val: 500, comp: 500, style: 500, text: 20_000 },
  },
  small: SMALL,
  full: {
    ...SMALL,
    name: "full",
    sizes: { train: 50_000, val: 2000, comp: 2000, style: 2000, text: 50_000 },
  },
};

/** The scale of that name. @throws RangeError naming the closest valid one */
export function scaleNamed(name: string): Scale {
  if (!Object.hasOwn(SCALES, name)) throw unknownName("scale", name, Object.keys(SCALES));
  return SCALES[name as ScaleName];
}

/** Checks the name of a split. @throws RangeError naming the closest valid one */
export function splitNamed(name: string): Split {
  if (!SPLITS.includes(name as Split)) throw unknownName("split", name, SPLITS);
  return name as Split;
}
