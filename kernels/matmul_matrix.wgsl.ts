/**
 * Matrix products by subgroup matrices (tensor cores): a subgroup multiplies whole small matrices, as one
 * instruction, and adds them up in f32. Operands pass through workgroup memory.
 *
 * The language extension is `chromium_experimental_subgroup_matrix` of Dawn.
 */
import {
  columnsOf,
  matmulHeader,
  type MatmulKernel,
  type MatmulSize,
  type MatmulText,
} from "./matmul.wgsl.ts";
import { type Staged, staged, stagedLoop, type Staging } from "./matmul_staging.wgsl.ts";

/** Sizes that a device multiplies at once, M × K by K × N, operands as said, sums in f32. */
export interface MatrixUnit {
  /** Type of both operands. */
  readonly operands: "f16" | "f32";
  /** Rows of the left operand. */
  readonly m: number;
  /** Columns of the right operand. */
  readonly n: number;
  /** Columns of the left operand, rows of the right one. */
  readonly k: number;
}

/** How a workgroup is made up: subgroups down and across, and units of each of them. */
export interface MatrixTile {
  readonly down: number;
  readonly across: number;
  readonly rows: number;
  readonly columns: number;
}

/** Tiles from large to small; with units of 16 × 16 they have 128, 64, 32 and 16 rows. */
export const MATRIX_TILES: readonly MatrixTile[] = [
  { down: 2, across: 4, rows: 4, columns: 2 },
  { down: 2, across: 2, rows: 2, columns: 2 },
  { down: 1, across: 4, rows: 2, columns: 1 },
  { down: 1, across: 4, rows: 1, columns: 1 },
];

/** Values of k of one step, and numbers by which rows in workgroup memory are longer. */
const DEPTH = 32, PADDING = 8;

/** Rows and columns of C that a workgroup computes. */
export function matrixTileSize({ down, across, rows, columns }: MatrixTile, unit: MatrixUnit) {
  return { rows: down * rows * unit.m, columns: across * columns * unit.n };
}

/** Workgroup memory that a tile takes at most, bytes: both operands of a step, and units on their way out. */
export function matrixTileBytes(tile: MatrixTile, unit: MatrixUnit, pairs: boolean): number {
  const { rows, columns } = matrixTileSize(tile, unit);
  const staged = (extent: number) =>
    Math.max(extent * (DEPTH + PADDING), DEPTH * (extent + PADDING)) *
    (unit.operands === "f16" ? 2 : 4);
  const units = tile.down * tile.across * (pairs ? 2 : 1);
  return staged(rows) + staged(columns) + 4 * units * unit.m * unit.n;
}

/** The same rows and columns with an even number of units across a subgroup, so that it has pairs. */
export function pairedTile(tile: MatrixTile): MatrixTile {
  const { across, columns } = tile;
  return columns % 2 === 0 ? tile : { ...tile, across: across / 2, columns: columns * 2 };
}

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** How an operand's units are loaded: which way its rows run, and where one begins. */
function unitsOf({ of, alongK, row }: Staged) {
  return {
    // A's rows and B's columns lie along k
    major: (of === "a") === alongK ? "row_major" : "col_major",
    at: (across: string, k: number) =>
      alongK ? `(${across}) * ${row}u + ${k / 4}u` : `${k * row}u + (${across}) / 4u`,
  };
}

/**
 * WGSL and launch shape of the variant for subgroups of `s` lanes.
 *
 * @param kernel one whose operands both have `along` and hold numbers of the unit's type, B's along k if
 * there are pairs; then the tile is a `pairedTile`
 */
export function matrixMatmul(
  kernel: MatmulKernel,
  size: MatmulSize,
  s: number,
  unit: MatrixUnit,
  tile: MatrixTile,
): MatmulText {
  const { operands: type } = unit;
  const { rows, columns } = matrixTileSize(tile, unit);
  const subgroups = tile.down * tile.across;
  const staging: Staging = { depth: DEPTH, padding: PADDING, type, whole: kernel.whole };
  const a = staged("a", kernel.a, rows, staging), b = staged("b", kernel.b, columns, staging);
  const left = unitsOf(a), right = unitsOf(b);
  const results = range(tile.rows).flatMap((i) => range(tile.columns).map((j) => ({ i, j })));
  const result = `subgroup_matrix_result<f32, ${unit.n}, ${unit.m}>`;
  const multiply = (k: number) =>
    [
      ...range(tile.rows).map((i) =>
        `let a${i} = subgroupMatrixLoad<subgroup_matrix_left<${type}, ${unit.k}, ${unit.m}>, ` +
        `${left.major}>(&tile_a, ${left.at(`own_row + ${i * unit.m}u`, k)}, ${a.row}u);`
      ),
      ...range(tile.columns).map((j) =>
        `let b${j} = subgroupMatrixLoad<subgroup_matrix_right<${type}, ${unit.n}, ${unit.k}>, ` +
        `${right.major}>(&tile_b, ${right.at(`own_column + ${j * unit.n}u`, k)}, ${b.row}u);`
      ),
      ...results.map(({ i, j }) =>
        `c${i}_${j} = subgroupMatrixMultiplyAccumulate(a${i}, b${j}, c${i}_${j});`
      ),
    ].join("\n      ");
  // A subgroup stores one unit after another, or two whose columns are pairs.
  const together = kernel.pairs ? 2 : 1, unitSize = unit.m * unit.n;
  const stored = results.filter(({ j }) => j % together === 0);
  const steps = range(DEPTH / unit.k).map((i) => `{ ${multiply(i * unit.k)} }`).join("\n    ");
  const code = /* wgsl */ `enable chromium_experimental_subgroup_matrix;
// Places depend on the subgroup's number, which the compiler does not know to be uniform in it.
diagnostic(off, chromium.subgroup_matrix_uniformity);
${matmulHeader(kernel, unit.n)}
${a.declarations}
${b.declarations}
var<workgroup> sums: array<f32, ${subgroups * together * unitSize}>;
fn store_units(z: u32, row: u32, column: u32, subgroup: u32, lane: u32) {
  let first = subgroup * ${together * unitSize}u;
  for (var i = lane; i < ${unitSize}u; i += ${s}u) {
    let m = row + i / ${unit.n}u;
    let n = column + i % ${unit.n}u;
    ${
    kernel.pairs
      ? `store_pair(z, m, n, sums[first + i], sums[first + ${unitSize}u + i]);`
      : "store(z, m, n, sums[first + i]);"
  }
  }
}
@compute @workgroup_size(${subgroups * s})
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let z = wg.z;
  let row = wg.y * ${rows}u;
  let column = wg.x * ${columns}u;
  let subgroup = local / ${s}u;
  let own_row = subgroup / ${tile.across}u * ${tile.rows * unit.m}u;
  let own_column = subgroup % ${tile.across}u * ${tile.columns * unit.n}u;
  let a0 = base_a(z);
  let b0 = base_b(z, row);
  let end = end_k(z, row);
  ${results.map(({ i, j }) => `var c${i}_${j} = ${result}();`).join(" ")}
  ${stagedLoop([a, b], staging, subgroups * s, steps)}
  ${
    stored.map(({ i, j }) =>
      `${
        range(together).map((p) =>
          `subgroupMatrixStore<row_major>(&sums, (subgroup * ${together}u + ${p}u) * ${unitSize}u, ` +
          `c${i}_${j + p}, ${unit.n}u);`
        ).join("\n  ")
      }
  workgroupBarrier();
  store_units(z, row + own_row + ${i * unit.m}u, column + own_column + ${
        j * unit.n
      }u, subgroup, local % ${s}u);
  workgroupBarrier();`
    ).join("\n  ")
  }
}
`;
  const across = Math.ceil(columnsOf(kernel, size, unit.n) / columns);
  return { code, workgroups: [across, Math.ceil(size.m / rows), size.batch] };
}
