/**
 * Kernel families that have several variants: which a device gets, and how another one is forced.
 * Every variant gives right results on every device that can run it; they differ in speed.
 */
import type {
  AttentionKernel,
  AttentionSize,
  AttentionText,
} from "../../../kernels/flash_attention.wgsl.ts";
import { broadcastAttention } from "../../../kernels/flash_attention_broadcast.wgsl.ts";
import { tiledAttention } from "../../../kernels/flash_attention_tiled.wgsl.ts";
import { broadcastMatmul } from "../../../kernels/matmul_broadcast.wgsl.ts";
import type { MatmulKernel, MatmulSize, MatmulText } from "../../../kernels/matmul.wgsl.ts";
import {
  MATRIX_TILES,
  matrixMatmul,
  type MatrixTile,
  matrixTileBytes,
  matrixTileSize,
  type MatrixUnit,
  pairedTile,
} from "../../../kernels/matmul_matrix.wgsl.ts";
import { SIDE, splitMatmul } from "../../../kernels/matmul_split.wgsl.ts";
import { type Tile, tiledMatmul } from "../../../kernels/matmul_tiled.wgsl.ts";
import { vectorMatmul, VECTORS_BYTES } from "../../../kernels/matmul_vectors.wgsl.ts";
import { nearest } from "../nearest.ts";
import type { Target } from "./bindings.ts";
import type { ProductClass } from "./product_class.ts";

/** A variant of a family. */
interface Variant {
  /** What it is good for. */
  readonly what: string;
  /** Whether a device can run it. */
  readonly runs: (target: Target) => boolean;
  /** Whether a device gets it unless told otherwise; the first one counts. */
  readonly suits: (target: Target) => boolean;
}

const always = (): boolean => true;
const never = (): boolean => false;
const software = (target: Target): boolean => target.software;
const hardware = (target: Target): boolean => !target.software;

/** Rows and columns of a workgroup of the tiled products. */
const TILES: Readonly<Record<string, Tile>> = {
  "tiled": { rows: 64, columns: 64 },
  "tiled-small": { rows: 32, columns: 32 },
  "tiled-large": { rows: 128, columns: 128 },
};

const FAMILIES = {
  matmul: {
    broadcast: {
      what: "one subgroup, operands handed round by subgroupBroadcast",
      runs: (target) => target.subgroup !== undefined,
      suits: software,
    },
    tiled: { what: "64 × 64 results in workgroup memory", runs: always, suits: always },
    "tiled-small": { what: "32 × 32 results: more workgroups", runs: always, suits: always },
    "tiled-large": { what: "128 × 128 results: fewer loads", runs: always, suits: always },
    vectors: {
      what: "128 × 128 results, all loads in fours",
      runs: (target) => target.workgroupBytes >= VECTORS_BYTES,
      suits: never,
    },
    "vectors-small": { what: "64 × 64 results, all loads in fours", runs: always, suits: never },
    split: { what: "32 × 32 results, sums in four parts", runs: always, suits: always },
    matrix: {
      what: "tensor cores, where operands are stored in their type",
      runs: (target) => target.matrixUnits.length > 0,
      suits: never,
    },
  },
  elementwise: {
    runs: { what: "four neighbours an invocation", runs: always, suits: software },
    single: { what: "one element an invocation", runs: always, suits: hardware },
  },
  reduce: {
    few: { what: "few lanes a result, small workgroups", runs: always, suits: software },
    many: { what: "many lanes a result, large workgroups", runs: always, suits: hardware },
  },
  rows: {
    exchange: {
      what: "the lanes of a row are one subgroup and exchange what they have",
      runs: (target) => target.subgroup !== undefined,
      suits: software,
    },
    single: { what: "one invocation a row, no exchange", runs: always, suits: software },
    shared: { what: "lanes that meet in workgroup memory", runs: always, suits: always },
  },
  attention: {
    broadcast: {
      what: "one subgroup, rows handed round by subgroupBroadcast",
      runs: (target) => target.subgroup !== undefined,
      suits: software,
    },
    tiled: { what: "blocks of rows in workgroup memory", runs: always, suits: always },
    composed: { what: "products and a softmax, scores stored", runs: always, suits: never },
  },
} as const satisfies Record<string, Record<string, Variant>>;

/** The families. */
export type Family = keyof typeof FAMILIES;
/** Variants by family, for those that are forced. */
export type Forced = Readonly<Partial<Record<Family, string>>>;

const variantsOf = (family: Family): Readonly<Record<string, Variant>> => FAMILIES[family];

/** Names of the families. */
export const FAMILY_NAMES = Object.keys(FAMILIES) as readonly Family[];

/** Variants of a family that a device can run, the one it gets unless told otherwise first. */
export function runnable(family: Family, target: Target): string[] {
  const names = Object.entries(variantsOf(family))
    .filter(([, { runs }]) => runs(target)).map(([name]) => name);
  const mine = variantOf(family, { ...target, forced: {} });
  return [mine, ...names.filter((name) => name !== mine)];
}

/**
 * Checks variants that somebody asked for.
 *
 * @throws {RangeError} on a family or a variant that does not exist, or that the device cannot run.
 */
export function checkForced(forced: Readonly<Record<string, string>>, target: Target): Forced {
  for (const [family, name] of Object.entries(forced)) {
    if (!Object.hasOwn(FAMILIES, family)) {
      const guess = nearest(family, FAMILY_NAMES);
      throw new RangeError(
        `no kernel family "${family}"; there are ${FAMILY_NAMES.join(", ")}` +
          (guess ? `; did you mean ${guess}?` : ""),
      );
    }
    const known = variantsOf(family as Family);
    if (!Object.hasOwn(known, name)) {
      throw new RangeError(
        `no variant "${name}" of ${family}; there are ${Object.keys(known).join(", ")}`,
      );
    }
    if (!known[name].runs(target)) {
      throw new RangeError(`${target.name} cannot run the variant "${name}" of ${family}`);
    }
  }
  return forced as Forced;
}

/** The variant of a family that a device gets. */
export function variantOf(family: Family, target: Target): string {
  const forced = target.forced[family];
  if (forced !== undefined) return forced;
  const [name] = Object.entries(variantsOf(family))
    .find(([, { runs, suits }]) => runs(target) && suits(target))!;
  return name;
}

/**
 * WGSL of attention without stored scores. A graph that was made for it keeps it where `composed` is
 * asked for: that is a choice of those who make graphs.
 */
export function attentionText(
  kernel: AttentionKernel,
  size: AttentionSize,
  target: Target,
): AttentionText {
  const asked = variantOf("attention", target);
  const name = asked === "composed" ? variantOf("attention", { ...target, forced: {} }) : asked;
  return name === "tiled"
    ? tiledAttention(kernel, size)
    : broadcastAttention(kernel, size, target.subgroup!);
}

/**
 * Variants of the product that add up in one order: which of them computes it changes no result, so
 * they may be chosen by measuring.
 */
export function tunable(target: Target): string[] {
  return runnable("matmul", target).filter((name) => name !== "split" && name !== "matrix");
}

/** Results, in tiles of 64 × 64, that keep no GPU busy, and the sums from which splitting pays. */
const FEW_TILES = 32, LONG = 512;

/**
 * Whether the sums of a product are split on a GPU: by its shape alone, since that changes the order
 * in which they are added up.
 */
function isSplit({ batch, m, n, k }: MatmulSize): boolean {
  return k >= LONG && batch * Math.ceil(m / 64) * Math.ceil(n / 64) <= FEW_TILES;
}

/** The unit of the device's tensor cores that can compute a product, if any. */
function unitFor({ type, a, b }: MatmulKernel, { matrixUnits }: Target): MatrixUnit | undefined {
  return a.along && b.along ? matrixUnits.find(({ operands }) => operands === type) : undefined;
}

/** Workgroups that keep a GPU busy. */
const BUSY = 128;

/** The largest tile of units that leaves enough workgroups; of those that do not, a small one. */
function matrixTile(
  { pairs }: MatmulKernel,
  { batch, m, n }: MatmulSize,
  together: number,
  unit: MatrixUnit,
  { workgroupBytes }: Target,
): MatrixTile | undefined {
  const fitting = MATRIX_TILES.map((tile) => pairs ? pairedTile(tile) : tile)
    .map((tile) => ({ tile, ...matrixTileSize(tile, unit) }))
    .filter(({ rows }) => together === Infinity || together % rows === 0)
    .filter(({ tile }) => matrixTileBytes(tile, unit, pairs) <= workgroupBytes);
  const busy = fitting.find(({ rows, columns }) =>
    batch * Math.ceil(m / rows) * Math.ceil(n / columns) >= BUSY
  );
  return (busy ?? fitting.at(-1))?.tile;
}

/**
 * WGSL of a product.
 *
 * @param together rows of A that share their B: no workgroup may cross a multiple of it
 * @param of what the tuner knows such products by
 */
export function matmulText(
  kernel: MatmulKernel,
  size: MatmulSize,
  together: number,
  target: Target,
  of: ProductClass,
): MatmulText {
  const unit = unitFor(kernel, target), { software, forced } = target;
  // By type and shape alone, since these change the order in which sums are added up.
  const byShape = software
    ? undefined
    : unit?.operands === "f16"
    ? "matrix"
    : isSplit(size)
    ? "split"
    : undefined;
  const name = forced.matmul ?? byShape ?? target.best?.(of) ?? variantOf("matmul", target);
  if (name === "matrix" && unit) {
    const tile = matrixTile(kernel, size, together, unit, target);
    if (tile) return matrixMatmul(kernel, size, target.subgroup!, unit, tile);
  }
  if (name === "split" && (together === Infinity || together % SIDE === 0)) {
    return splitMatmul(kernel, size);
  }
  const extent = name === "vectors" ? 128 : 64;
  if (name.startsWith("vectors") && kernel.a.along && kernel.b.along) {
    if (together === Infinity || together % extent === 0) return vectorMatmul(kernel, size, extent);
  }
  if (name === "broadcast") return broadcastMatmul(kernel, size, target.subgroup!, together);
  // Split sums need tiles of 32 rows; groups of less are left to small tiles.
  const { rows, columns } = TILES[name.replace("vectors", "tiled")] ?? TILES["tiled-small"];
  const fitting = [rows, 32, 16].find((r) => together === Infinity || together % r === 0)!;
  return tiledMatmul(kernel, size, { rows: Math.min(fitting, rows), columns });
}
