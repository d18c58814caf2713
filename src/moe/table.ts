/**
 * The pool table: for each modality, which experts its tokens may use and which router scores them.
 * Every feed-forward variant of the paper is one such table (arXiv 2508.09779, sections 2.2 and 3.1).
 */
import { whole } from "./checks.ts";

/**
 * Group of an expert: who may use it. `vision` (image tokens), `language` (text tokens), `shared`
 * (all), or the name of another modality.
 */
export type ExpertGroup = "vision" | "language" | "shared" | (string & Record<never, never>);

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
  /**
   * Fine-grained experts (DeepSeekMoE, arXiv 2401.06066): every expert is cut into this many slices of
   * `hidden / split` units, which are routed on their own. `experts` and `topK` count slices, and the
   * slices of one expert stand side by side. Missing: whole experts.
   */
  readonly split?: number;
  /**
   * Experts that every token uses besides those it chooses (DeepSeekMoE's "shared experts"; always-on
   * here, since MoIIE's shared experts are routed): as one network of their joint width, added to the
   * result, with `gate` times sigmoid of one more bias-free output (Qwen2-MoE). Missing: none.
   */
  readonly alwaysOn?: { readonly experts: number; readonly gate: boolean };
}

/** Modality numbers of the LVLM's tokens. */
export const TEXT = 0, IMAGE = 1;

/**
 * Checks a table.
 *
 * @throws {RangeError} if a pool is empty, smaller than top-k, or names a missing expert or one
 * twice, if routers do not fit the pools, if an expert serves nobody, or if slices of an expert do
 * not stand side by side.
 */
export function checkTable(table: PoolTable): PoolTable {
  whole("topK", table.topK, 1);
  checkSplit(table);
  checkAlwaysOn(table);
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

/** Slices of one expert stand side by side everywhere, and are chosen together at first. */
function checkSplit({ variant, split = 1, experts, pools, topK }: PoolTable): void {
  whole("split", split, 1);
  if (split === 1) return;
  const sizes = [["topK", topK], ["experts", experts.length]] as const;
  for (const [name, size] of sizes) {
    if (size % split !== 0) {
      throw new RangeError(
        `expert table "${variant}": ${name} = ${size} counts slices, so it must be a multiple of ` +
          `split = ${split}`,
      );
    }
  }
  for (const pool of pools) {
    const apart = pool.experts.find((e, i) => e % split !== i % split);
    if (apart !== undefined) {
      throw new RangeError(
        `expert table "${variant}": slice ${apart} of the ${pool.modality} pool does not stand ` +
          `beside the other slices of its expert`,
      );
    }
  }
}

function checkAlwaysOn({ variant, alwaysOn, experts }: PoolTable): void {
  if (!alwaysOn) return;
  whole("alwaysOn.experts", alwaysOn.experts, 1);
  if (experts.length === 1) {
    throw new RangeError(
      `expert table "${variant}": always-on experts need routed ones beside them; give the table ` +
        `at least two experts, or leave alwaysOn out`,
    );
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
