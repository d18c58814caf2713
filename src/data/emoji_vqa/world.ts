/**
 * What exists at a scale, how often, and what of it is held out of training.
 *
 * @module
 */

import { hashString, type Random } from "../../tensor/random.ts";
import { type Concept, CONCEPTS } from "./concepts.ts";
import { type Country, COUNTRY_CODES, loadCountries } from "./countries.ts";
import { readPackageFile } from "./packages.ts";
import type { Scale, Split } from "./scales.ts";

/** Everything that scenes and questions of a scale are made of; pictures need more. */
export interface World {
  /** The scale. */
  scale: Scale;
  /** Concepts, the most frequent first. */
  concepts: readonly Concept[];
  /** Indices of concepts by kind. */
  kinds: ReadonlyMap<string, readonly number[]>;
  /** Running sums of the concepts' frequencies. */
  frequencies: Float64Array;
  /** Countries. */
  countries: readonly Country[];
  /** Printed words and numbers that training may show. */
  print: { words: readonly string[]; numbers: readonly string[] };
  /** What training never shows or asks. */
  held: {
    /** 1 at `a * concepts.length + b` when concepts a and b never share a trained picture. */
    pairs: Uint8Array;
    /** Concepts whose kind no trained picture asks for. */
    kinds: ReadonlySet<number>;
    /** Countries whose facts no trained picture asks for. */
    countries: ReadonlySet<number>;
    /** Printed words and numbers kept for `comp`. */
    words: readonly string[];
    numbers: readonly string[];
  };
  /** Labels of the handwritten digits: of the writers of `train`, and of others. */
  digitLabels: { train: Uint8Array; t10k: Uint8Array };
}

/** Whether a split follows the law of training. */
export function isTrained(split: Split): boolean {
  return split === "train" || split === "val" || split === "text";
}

/** Splits names into held and kept by the order of their hashes: independent of the list's order. */
function holdOut(
  names: readonly string[],
  share: number,
  salt: string,
): { held: string[]; kept: string[] } {
  const byHash = names.map((name) => ({ name, hash: hashString(salt + name) }))
    .sort((a, b) => a.hash - b.hash || (a.name < b.name ? -1 : 1)).map(({ name }) => name);
  const held = new Set(byHash.slice(0, Math.round(share * names.length)));
  return {
    held: names.filter((name) => held.has(name)),
    kept: names.filter((name) => !held.has(name)),
  };
}

function chooseConcepts(scale: Scale): Concept[] {
  const chosen = scale.concepts === "all"
    ? [...CONCEPTS]
    : scale.concepts.map((name) => CONCEPTS.find((concept) => concept.name === name)!);
  const rank = new Map(chosen.map((concept) => [concept, hashString(`frequency ${concept.name}`)]));
  return chosen.sort((a, b) => rank.get(a)! - rank.get(b)!);
}

function printable(scale: Scale, concepts: Concept[], countries: Country[]): readonly string[] {
  if (scale.printedWords !== "from names") return scale.printedWords;
  const names = [
    ...concepts.map((concept) => concept.name),
    ...countries.flatMap((country) => [country.name, country.capital]),
  ];
  const words = new Set(names.flatMap((name) => name.split(/[ -]/)));
  return [...words].filter((word) => /^[a-z]{3,5}$/.test(word)).sort();
}

function heldPairs(concepts: readonly Concept[], share: number): Uint8Array {
  const n = concepts.length, held = new Uint8Array(n * n);
  for (let a = 0; a < n; a++) {
    for (let b = 0; b < n; b++) {
      const [first, second] = [concepts[a].name, concepts[b].name].sort();
      if (a !== b && hashString(`pair ${first}|${second}`) < share * 2 ** 32) held[a * n + b] = 1;
    }
  }
  return held;
}

/** Zipf-like frequencies; whole numbers, so that no rounding of `**` can change a picture. */
function zipf(n: number): Float64Array {
  const sums = new Float64Array(n);
  let sum = 0;
  for (let i = 0; i < n; i++) sums[i] = sum += Math.round(1e6 / (i + 12) ** 0.6);
  return sums;
}

/** IDX files of labels have a header of 8 bytes. */
async function loadLabels(name: "train" | "t10k"): Promise<Uint8Array> {
  return (await readPackageFile("mnist", `data/${name}-labels-idx1-ubyte`)).subarray(8);
}

/**
 * Loads what exists at a scale.
 *
 * @throws Error when a package cannot be read
 */
export async function loadWorld(scale: Scale): Promise<World> {
  const concepts = chooseConcepts(scale);
  const codes = scale.countries === "all" ? COUNTRY_CODES : scale.countries;
  const countries = (await loadCountries(codes)).map((country) => ({
    ...country,
    region: scale.oneAmerica ? country.region.replace(/^(north|south) /, "") : country.region,
  }));
  const kinds = new Map<string, number[]>();
  for (const [index, { kind }] of concepts.entries()) {
    kinds.set(kind, [...kinds.get(kind) ?? [], index]);
  }
  const first = 10 ** (scale.numberDigits - 1);
  const numbers = Array.from({ length: 9 * first }, (_, i) => String(first + i));
  const words = printable(scale, concepts, countries);
  const printedWords = holdOut(words, scale.held.words, "word ");
  const printedNumbers = holdOut(numbers, scale.held.numbers, "number ");
  const names = concepts.map((concept) => concept.name);
  const heldKinds = new Set(holdOut(names, scale.held.kinds, "kind ").held);
  const heldCodes = new Set(holdOut(codes, scale.held.countries, "country ").held);
  const indices = <T>(list: readonly T[], test: (x: T) => boolean) =>
    new Set(list.flatMap((x, i) => test(x) ? [i] : []));
  return {
    scale,
    concepts,
    kinds,
    frequencies: zipf(concepts.length),
    countries,
    print: { words: printedWords.kept, numbers: printedNumbers.kept },
    held: {
      pairs: heldPairs(concepts, scale.held.pairs),
      kinds: indices(concepts, (concept) => heldKinds.has(concept.name)),
      countries: indices(countries, (country) => heldCodes.has(country.code)),
      words: printedWords.held,
      numbers: printedNumbers.held,
    },
    digitLabels: { train: await loadLabels("train"), t10k: await loadLabels("t10k") },
  };
}

/** Draws a concept by frequency. */
export function drawConcept(world: World, random: Random): number {
  const { frequencies } = world;
  const at = random.int(frequencies[frequencies.length - 1]);
  let low = 0, high = frequencies.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (frequencies[middle] > at) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * Draws n different concepts that may share a picture: things of one kind come together more often
 * than chance. Trained pictures never hold a held-out pair, those of `comp` hold one at least.
 */
export function drawConcepts(world: World, split: Split, n: number, random: Random): number[] {
  const { concepts, kinds, held } = world;
  for (;;) {
    const drawn = [drawConcept(world, random)];
    while (drawn.length < n) {
      const next = random.bool()
        ? random.pick(kinds.get(concepts[random.pick(drawn)].kind)!)
        : drawConcept(world, random);
      if (!drawn.includes(next)) drawn.push(next);
    }
    if (n === 1 || split === "style") return drawn;
    const hasHeldPair = drawn.some((a) =>
      drawn.some((b) => held.pairs[a * concepts.length + b] === 1)
    );
    if (hasHeldPair === (split === "comp")) return drawn;
  }
}
