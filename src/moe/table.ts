/**
 * The pool table: for each modality, which experts its tokens may use and which router scores them.
 * Every feed-forward variant of the paper is one such table (arXiv 2508.09779, sections 2.2 and 3.1).
 */
import { unknownName } from "../tensor/nearest.ts";

/** Group of an expert: who may use it. */
export type ExpertGroup = "vision" | "language" | "shared";

/** A modality's row of the table. */
export interface Pool {
  /** Name of the modality; its position in the table is the number that tokens carry. */
  readonly modality: string;
  /** Experts that its tokens may use, in the order of the router's outputs. */
  readonly experts: readonly number[];
  /** Router that scores them, or undefined if there is nothing to choose. */
  readonly router: number | undefined;
}

/** Which expert serves whom. Plain data. */
export interface PoolTable {
  /** Name of the variant, for tables and figures. */
  readonly variant: string;
  /** The experts: short names (`V1`, `L1`, `S1`) and groups. */
  readonly experts: readonly { readonly name: string; readonly group: ExpertGroup }[];
  /** One row for each modality; token modality numbers are positions in this list. */
  readonly pools: readonly Pool[];
  /** Experts a token uses. */
  readonly topK: number;
  /**
   * Divide the chosen probabilities by their sum (paper eq. 2, Mixtral). With top-1 the weight is then
   * always 1, so that only the balance loss trains the router; use raw weights there (Switch).
   */
  readonly renormalise: boolean;
}

/** Modality numbers of the LVLM's tokens. */
export const TEXT = 0, IMAGE = 1;

/** Experts of each group, and how many a token uses. */
export interface ExpertCounts {
  /** Experts for image tokens only. */
  vision: number;
  /** Experts for text tokens only. */
  language: number;
  /** Experts for both. */
  shared: number;
  /** Experts a token uses. Default 2. */
  topK?: number;
  /** Divide the chosen probabilities by their sum. Default true. */
  renormalise?: boolean;
}

function whole(name: string, n: number, least: number): void {
  if (!Number.isInteger(n) || n < least) {
    throw new RangeError(
      `expert table: ${name} = ${n} must be a whole number of at least ${least}`,
    );
  }
}

/** Names the experts of a group: V1, V2, … */
function named(group: ExpertGroup, count: number): { name: string; group: ExpertGroup }[] {
  const letter = { vision: "V", language: "L", shared: "S" }[group];
  return Array.from({ length: count }, (_, i) => ({ name: `${letter}${i + 1}`, group }));
}

const range = (from: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => from + i);

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
export function vanillaMoe(
  options: { experts?: number; topK?: number; renormalise?: boolean } = {},
): PoolTable {
  checkKeys("vanillaMoe", options, ["experts", "topK", "renormalise"]);
  const { experts = 4, topK = 2, renormalise = true } = options;
  whole("experts", experts, 1);
  const all = range(0, experts);
  return checkTable({
    variant: "vanilla",
    experts: named("shared", experts),
    pools: [
      { modality: "text", experts: all, router: 0 },
      { modality: "image", experts: all, router: 0 },
    ],
    topK,
    renormalise,
  });
}

/**
 * Modality MoE: experts of their own for each modality and none shared. By default routed (2 + 2,
 * top-2, parameters as MoIIE); with one expert each nothing is left to route (the released code's
 * hard assignment).
 */
export function modalityMoe(options: Partial<Omit<ExpertCounts, "shared">> = {}): PoolTable {
  checkKeys("modalityMoe", options, ["vision", "language", "topK", "renormalise"]);
  const { vision = 2, language = 2 } = options;
  const topK = options.topK ?? Math.min(2, vision, language);
  return { ...moiie({ ...options, vision, language, shared: 0, topK }), variant: "modality" };
}

/**
 * MoIIE: image tokens choose among vision and shared experts, text tokens among language and shared
 * experts, each modality with its own router.
 */
export function moiie(options: Partial<ExpertCounts> = {}): PoolTable {
  checkKeys("moiie", options, ["vision", "language", "shared", "topK", "renormalise"]);
  const { vision = 1, language = 1, shared = 2, topK = 2, renormalise = true } = options;
  whole("vision", vision, 0);
  whole("language", language, 0);
  whole("shared", shared, 0);
  const experts = [
    ...named("vision", vision),
    ...named("language", language),
    ...named("shared", shared),
  ];
  const both = range(vision + language, shared);
  const ofText = [...range(vision, language), ...both], ofImage = [...range(0, vision), ...both];
  const routed = (pool: number[]) => pool.length > 1;
  return checkTable({
    variant: "moiie",
    experts,
    pools: [
      { modality: "text", experts: ofText, router: routed(ofText) ? 0 : undefined },
      {
        modality: "image",
        experts: ofImage,
        router: routed(ofImage) ? (routed(ofText) ? 1 : 0) : undefined,
      },
    ],
    topK,
    renormalise,
  });
}

/**
 * Checks a table.
 *
 * @throws {RangeError} if a pool is empty, smaller than top-k, or names a missing expert or one
 * twice, if routers do not fit the pools, or if an expert serves nobody.
 */
export function checkTable(table: PoolTable): PoolTable {
  whole("topK", table.topK, 1);
  const used = new Set<number>();
  for (const { modality, experts, router } of table.pools) {
    if (experts.length === 0) {
      throw new RangeError(
        `expert table "${table.variant}": ${modality} tokens have no expert; give them an expert ` +
          `of their own or a shared one`,
      );
    }
    if (experts.length < table.topK) {
      throw new RangeError(
        `expert table "${table.variant}": ${modality} tokens use top-${table.topK} of only ` +
          `${experts.length} experts; lower topK or add experts`,
      );
    }
    if (experts.length > 1 && router === undefined) {
      throw new RangeError(
        `expert table "${table.variant}": ${modality} tokens have ${experts.length} experts, but ` +
          `no router`,
      );
    }
    for (const [i, e] of experts.entries()) {
      if (!Number.isInteger(e) || e < 0 || e >= table.experts.length) {
        throw new RangeError(
          `expert table "${table.variant}": ${modality} tokens use expert ${e} of ` +
            `${table.experts.length}`,
        );
      }
      if (experts.indexOf(e) !== i) {
        throw new RangeError(
          `expert table "${table.variant}": ${modality} tokens list expert ${e} twice`,
        );
      }
      used.add(e);
    }
    const alike = table.pools.find((p) => p.router === router && p.router !== undefined)!;
    if (alike && alike.experts.join() !== experts.join()) {
      throw new RangeError(
        `expert table "${table.variant}": router ${router} serves the different pools ` +
          `[${alike.experts}] and [${experts}]`,
      );
    }
  }
  const routers = [...new Set(table.pools.flatMap((p) => p.router ?? []))].sort((a, b) => a - b);
  if (routers.some((router, i) => router !== i)) {
    throw new RangeError(
      `expert table "${table.variant}": routers ${routers.join(", ")} must be numbered from 0 on`,
    );
  }
  const idle = table.experts.filter((_, i) => !used.has(i)).map((e) => e.name);
  if (idle.length > 0) {
    throw new RangeError(`expert table "${table.variant}": nobody uses ${idle.join(", ")}`);
  }
  return table;
}

/** Refuses unknown option names, offering the nearest known one. */
function checkKeys(what: string, options: object, known: readonly string[]): void {
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) throw unknownName(`${what} option`, key, known);
  }
}

/** The routers of a table with the experts that each scores. */
export function routersOf(
  table: PoolTable,
): { experts: readonly number[]; modalities: number[] }[] {
  const routers: { experts: readonly number[]; modalities: number[] }[] = [];
  table.pools.forEach(({ experts, router }, modality) => {
    if (router === undefined) return;
    (routers[router] ??= { experts, modalities: [] }).modalities.push(modality);
  });
  return routers;
}
