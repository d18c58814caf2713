/**
 * The variants: builders of pool tables. Dense, vanilla MoE, modality MoE and MoIIE are the paper's
 * (arXiv 2508.09779, sections 2.2 and 3.1); {@linkcode moiieOf} is MoIIE for any modalities.
 */
import { unknownName } from "../tensor/nearest.ts";
import { checkKeys, whole } from "./checks.ts";
import { checkTable, type ExpertGroup, type PoolTable } from "./table.ts";

/** What every table of experts may say. */
export interface TableOptions {
  /** Experts a token uses. Default 2. */
  topK?: number;
  /**
   * Divide the chosen probabilities by their sum. Default true. The same as a softmax over the chosen
   * logits only ("softmax after top-k"); false leaves the probabilities as they are.
   */
  renormalise?: boolean;
  /**
   * Cut every expert into this many slices, and choose as many times more of them. Counts and `topK`
   * are those of whole experts. Default 1.
   */
  split?: number;
  /** Experts that every token uses besides, as a number, or with a sigmoid gate. Default none. */
  alwaysOn?: number | { experts?: number; gate?: boolean };
}

/** Experts of each group, and how many a token uses. */
export interface ExpertCounts extends TableOptions {
  /** Experts for image tokens only. */
  vision: number;
  /** Experts for text tokens only. */
  language: number;
  /** Experts for both. */
  shared: number;
}

const TABLE_OPTIONS = ["topK", "renormalise", "split", "alwaysOn"];

const range = (from: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => from + i);

/** Names the experts of a group: V1, V2, … or their slices: V1.1, V1.2, … */
function named(
  letter: string,
  group: ExpertGroup,
  count: number,
  split: number,
): { name: string; group: ExpertGroup }[] {
  return range(0, count).flatMap((i) =>
    range(0, split).map((s) => ({
      name: `${letter}${i + 1}${split > 1 ? `.${s + 1}` : ""}`,
      group,
    }))
  );
}

/** The fields that {@linkcode TableOptions} stand for; those that say nothing are left out. */
function fields(
  { topK = 2, renormalise = true, split = 1, alwaysOn }: TableOptions,
): Pick<PoolTable, "topK" | "renormalise" | "split" | "alwaysOn"> {
  whole("split", split, 1);
  const { experts = 1, gate = false } = typeof alwaysOn === "object"
    ? alwaysOn
    : { experts: alwaysOn ?? 0 };
  return {
    topK: topK * split,
    renormalise,
    ...(split > 1 && { split }),
    ...((experts !== 0 || gate) && { alwaysOn: { experts, gate } }),
  };
}

/** The variant without experts: one feed-forward network for all tokens. */
export function dense(): PoolTable {
  return {
    variant: "dense",
    experts: [{ name: "FFN", group: "shared" }],
    pools: [
      { modality: "text", experts: [0], router: undefined },
      { modality: "image", experts: [0], router: undefined },
    ],
    topK: 1,
    renormalise: true,
  };
}

/** Vanilla MoE: every token chooses among all experts with one router. */
export function vanillaMoe(options: TableOptions & { experts?: number } = {}): PoolTable {
  checkKeys("vanillaMoe", options, ["experts", ...TABLE_OPTIONS]);
  const { experts = 4, split = 1 } = options;
  whole("experts", experts, 1);
  const all = range(0, experts * split);
  return checkTable({
    variant: "vanilla",
    experts: named("S", "shared", experts, split),
    pools: [
      { modality: "text", experts: all, router: 0 },
      { modality: "image", experts: all, router: 0 },
    ],
    ...fields(options),
  });
}

/**
 * Modality MoE: experts of their own for each modality and none shared. By default routed (2 + 2,
 * top-2, parameters as MoIIE); with one expert each nothing is left to route (the released code's
 * hard assignment).
 */
export function modalityMoe(options: Partial<Omit<ExpertCounts, "shared">> = {}): PoolTable {
  checkKeys("modalityMoe", options, ["vision", "language", ...TABLE_OPTIONS]);
  const { vision = 2, language = 2 } = options;
  const topK = options.topK ?? Math.min(2, vision, language);
  return { ...moiie({ ...options, vision, language, shared: 0, topK }), variant: "modality" };
}

/**
 * MoIIE: image tokens choose among vision and shared experts, text tokens among language and shared
 * experts, each modality with its own router.
 */
export function moiie(options: Partial<ExpertCounts> = {}): PoolTable {
  checkKeys("moiie", options, ["vision", "language", "shared", ...TABLE_OPTIONS]);
  const { vision = 1, language = 1, shared = 2, ...rest } = options;
  whole("vision", vision, 0);
  whole("language", language, 0);
  whole("shared", shared, 0);
  return moiieOf({
    modalities: ["text", "image"],
    own: { image: vision, text: language },
    shared,
    ...rest,
  });
}

/** Experts for any modalities: see {@linkcode moiieOf}. */
export interface ModalityExperts extends TableOptions {
  /** Names of the modalities; tokens carry positions in this list. The LVLM's are text, image, … */
  modalities: readonly string[];
  /**
   * Experts of each modality's own, 0 where nothing is said; the experts stand in this order, before
   * the shared ones.
   */
  own: Readonly<Record<string, number>>;
  /** Experts for all. */
  shared: number;
}

/**
 * MoIIE for any number of modalities: tokens of each choose among experts of their own and shared
 * ones, with a router for each modality.
 *
 * @throws {RangeError} on an unknown modality (the nearest is offered), or as
 * {@linkcode checkTable}.
 *
 * @example
 * ```ts
 * import { moiieOf } from "@moiie/lab/moe";
 * const table = moiieOf({
 *   modalities: ["text", "image", "audio"],
 *   own: { text: 1, image: 1, audio: 1 },
 *   shared: 2,
 * });
 * console.log(table.experts.map((e) => e.name).join(" ")); // L1 V1 A1 S1 S2
 * ```
 */
export function moiieOf(options: ModalityExperts): PoolTable {
  checkKeys("moiieOf", options, ["modalities", "own", "shared", ...TABLE_OPTIONS]);
  const { modalities, own, shared, split = 1 } = options;
  if (new Set(modalities).size !== modalities.length || modalities.length === 0) {
    throw new RangeError(`moiieOf: modalities [${modalities}] must be names that differ`);
  }
  for (const [name, count] of Object.entries(own)) {
    if (!modalities.includes(name)) throw unknownName("moiieOf modality", name, modalities);
    whole(`own.${name}`, count, 0);
  }
  whole("shared", shared, 0);
  const experts: { name: string; group: ExpertGroup }[] = [];
  const add = (letter: string, group: ExpertGroup, count: number): number[] => {
    const more = named(letter, group, count, split);
    return range(experts.push(...more) - more.length, more.length);
  };
  const letters = lettersOf(modalities);
  const mine = new Map(
    Object.entries(own).map(([name, count]) => [
      name,
      add(letters.get(name)!, GROUPS[name]?.group ?? name, count),
    ]),
  );
  const all = add("S", "shared", shared);
  let routers = 0;
  const pools = modalities.map((modality) => {
    const pool = [...mine.get(modality) ?? [], ...all];
    return { modality, experts: pool, router: pool.length > 1 ? routers++ : undefined };
  });
  return checkTable({ variant: "moiie", experts, pools, ...fields(options) });
}

/** Groups and letters of the paper's modalities. */
const GROUPS: Readonly<Record<string, { group: ExpertGroup; letter: string }>> = {
  text: { group: "language", letter: "L" },
  image: { group: "vision", letter: "V" },
};

/** A short name for each modality's experts: its first letter, or as many as tell it apart. */
function lettersOf(modalities: readonly string[]): Map<string, string> {
  const letters = new Map<string, string>();
  const taken = new Set(["S", "L", "V"]);
  for (const name of modalities) {
    const whole = name.charAt(0).toUpperCase() + name.slice(1);
    let letter = GROUPS[name]?.letter;
    for (let n = 1; letter === undefined; n++) {
      const start = whole.slice(0, n);
      if (!taken.has(start) || n >= whole.length) letter = start;
    }
    taken.add(letter);
    letters.set(name, letter);
  }
  return letters;
}
