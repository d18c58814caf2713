/** The configurations that studies compare, as data. */
import type { Placement } from "../models/mod.ts";
import { dense, modalityMoe, moiie, type PoolTable, vanillaMoe } from "../moe/mod.ts";
import { unknownName } from "../tensor/mod.ts";
import type { ThreeStageOptions } from "../train/mod.ts";

/** How a variant is trained: the name of a recipe. */
export type RecipeName = "two-stage" | "three-stage";

/** One configuration of a study. Write your own as an object literal. */
export interface Variant {
  /** Short name without blanks, for command lines and records. */
  readonly name: string;
  /** Name in tables and figures. */
  readonly label: string;
  /** Which experts there are and whom they serve. */
  readonly ffn: PoolTable;
  /** Which layers hold them. Default `interleaved`. */
  readonly placement?: Placement;
  /** The recipe. Default `two-stage`. */
  readonly recipe?: RecipeName;
  /** Settings of the recipe that differ from the study's. */
  readonly settings?: Readonly<Omit<ThreeStageOptions, "seed">>;
  /** Share of the scale's instruction data (steps of the last stage) that is trained on. Default 1. */
  readonly dataShare?: number;
  /** Trained and tested on gray pictures: what can be answered without looking. Default false. */
  readonly blind?: boolean;
}

/** The name of the variant that the others are compared with: the paper's own. */
export const REFERENCE = "moiie";

/** A MoIIE with a coefficient of the load-balancing loss. */
function auxiliary(coefficient: number): Variant {
  return {
    name: `moiie-aux-${coefficient}`,
    label: `MoIIE, coefficient ${coefficient}`,
    ffn: moiie(),
    settings: { auxiliary: coefficient },
  };
}

/** The configurations of the paper's tables and a few more (arXiv 2508.09779, sections 3 and 4). */
export const VARIANTS: readonly Variant[] = [
  { name: REFERENCE, label: "MoIIE (1V+1L+2S)", ffn: moiie() },
  { name: "dense", label: "Dense", ffn: dense() },
  { name: "vanilla", label: "Vanilla MoE (4)", ffn: vanillaMoe() },
  {
    name: "modality-hard",
    label: "Modality MoE (1V+1L)",
    ffn: modalityMoe({ vision: 1, language: 1 }),
  },
  { name: "modality-routed", label: "Modality MoE (2V+2L)", ffn: modalityMoe() },
  {
    name: "moiie-8-balanced",
    label: "MoIIE (2V+2L+4S)",
    ffn: moiie({ vision: 2, language: 2, shared: 4 }),
  },
  {
    name: "moiie-8-unbalanced",
    label: "MoIIE (3V+3L+2S)",
    ffn: moiie({ vision: 3, language: 3, shared: 2 }),
  },
  { name: "moiie-full", label: "MoIIE in all layers", ffn: moiie(), placement: "full" },
  ...[0, 0.0001, 0.01, 0.1].map(auxiliary),
  { name: "three-stage", label: "MoIIE, three stages", ffn: moiie(), recipe: "three-stage" },
  { name: "blind", label: "MoIIE on gray pictures", ffn: moiie(), blind: true },
];

/**
 * A variant by its name.
 *
 * @throws {RangeError} if there is none; the nearest name is offered.
 */
export function variantNamed(name: string): Variant {
  const found = VARIANTS.find((v) => v.name === name);
  if (!found) throw unknownName("variant", name, VARIANTS.map((v) => v.name));
  return found;
}

/** Name of a variant that is trained on a share of the data. */
export function shareName(name: string, dataShare: number): string {
  return dataShare === 1 ? name : `${name}-data-${dataShare}`;
}

/** The same variant trained on a share of the instruction data. */
export function withDataShare(variant: Variant, dataShare: number): Variant {
  if (!(dataShare > 0 && dataShare <= 1)) {
    throw new RangeError(`data share ${dataShare} of ${variant.name} must be in (0, 1]`);
  }
  if (dataShare === 1) return variant;
  return {
    ...variant,
    name: shareName(variant.name, dataShare),
    label: `${variant.label}, ${Math.round(100 * dataShare)} % of the data`,
    dataShare,
  };
}
