/**
 * Matrix products by subgroup matrices (tensor cores): a subgroup multiplies whole small matrices, as
 * one instruction, and adds them up in f32. Operands pass through workgroup memory, where rows are
 * padded so that the lanes of a load meet different banks; the next step's numbers are on their way
 * from memory while this step's are multiplied (NVIDIA CUTLASS, "Efficient GEMM in CUDA").
 *
 * The language extension is `chromium_experimental_subgroup_matrix` of Dawn.
 */
import {
  matmulHeader,
  type MatmulKernel,
  type MatmulOperand,
  type MatmulSize,
  type MatmulText,
} from "./matmul.wgsl.ts";

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

/** Rows and columns of C that a workgroup computes. */
export function matrixTileSize({ down, across, rows, columns }: MatrixTile, unit: MatrixUnit) {
  return { rows: down * rows * unit.m, columns: across * columns * unit.n };
}

/** Numbers by which rows in workgroup memory are longer than what they hold. */
const PADDING = 8;
/** Values of k of one step. */
const DEPTH = 32;

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** One operand's way through workgroup memory, in vectors of four neighbours. */
interface Staged {
  /** Vectors of one step, and of a row of them in workgroup memory. */
  readonly vectors: number;
  readonly row: number;
  /** The array, and the function that reads vector `i` of the step that begins at `k`. */
  readonly declarations: string;
  /** WGSL of the place of vector `i` in the array. */
  readonly place: (i: string) => string;
  /** Which way a row in workgroup memory runs. */
  readonly major: "row_major" | "col_major";
  /** WGSL of where a unit begins, from its place across and along k. */
  readonly at: (across: string, k: number) => string;
}

/**
 * @param of `a` or `b`
 * @param extent rows of A or columns of B in a tile
 */
function staged(
  of: "a" | "b",
  { along, four }: MatmulOperand,
  extent: number,
  whole: boolean,
  type: string,
): Staged {
  const alongK = along === "k";
  const each = (alongK ? DEPTH : extent) / 4; // vectors of a row
  const row = each + PADDING / 4, rows = alongK ? extent : DEPTH;
  const vectors = each * rows;
  const [count, strideK, stride] = of === "a"
    ? ["d.m", "d.a_k", "d.a_row"]
    : ["d.n", "d.b_k", "d.b_n"];
  // Rows and columns beyond the end are read from within and never stored; values of k must be zero.
  const read = alongK
    ? `let kk = k + (i % ${each}u) * 4u;
  let x = vec4<${type}>(${
      four!(`(base + min(first + i / ${each}u, ${count} - 1u) * ${stride} + kk) / 4u`)
    });
  ${
      whole
        ? `return select(vec4<${type}>(), x, kk < end);`
        : `return select(vec4<${type}>(), x, vec4u(kk, kk + 1u, kk + 2u, kk + 3u) < vec4u(end));`
    }`
    : `let kk = k + i / ${each}u;
  let x = vec4<${type}>(${
      four!(
        `base / 4u + min(first / 4u + i % ${each}u, (${count} - 1u) / 4u) + ` +
          `min(kk, end - 1u) * (${strideK} / 4u)`,
      )
    });
  return select(vec4<${type}>(), x, kk < end);`;
  return {
    vectors,
    row,
    declarations: /* wgsl */ `
var<workgroup> tile_${of}: array<vec4<${type}>, ${row * rows}>;
fn read_${of}(i: u32, base: u32, first: u32, k: u32, end: u32) -> vec4<${type}> {
  ${read}
}`,
    place: (i) => `${i} / ${each}u * ${row}u + ${i} % ${each}u`,
    // A's rows and B's columns lie along k
    major: (of === "a") === alongK ? "row_major" : "col_major",
    at: (across, k) =>
      alongK ? `(${across}) * ${row}u + ${k / 4}u` : `${k * row}u + (${across}) / 4u`,
  };
}

/**
 * WGSL and launch shape of the variant for subgroups of `s` lanes.
 *
 * @param kernel one whose operands both have `along` and hold numbers of the unit's type
 */
export function matrixMatmul(
  kernel: MatmulKernel,
  { batch, m, n }: MatmulSize,
  s: number,
  unit: MatrixUnit,
  tile: MatrixTile,
): MatmulText {
  const { operands: type } = unit;
  const { rows, columns } = matrixTileSize(tile, unit);
  const subgroups = tile.down * tile.across, threads = subgroups * s;
  const a = staged("a", kernel.a, rows, kernel.whole, type);
  const b = staged("b", kernel.b, columns, kernel.whole, type);
  const results = range(tile.rows).flatMap((i) => range(tile.columns).map((j) => ({ i, j })));
  const mine = ({ vectors }: Staged) => range(Math.ceil(vectors / threads));
  const left = `subgroup_matrix_left<${type}, ${unit.k}, ${unit.m}>`;
  const right = `subgroup_matrix_right<${type}, ${unit.n}, ${unit.k}>`;
  const result = `subgroup_matrix_result<f32, ${unit.n}, ${unit.m}>`;
  // Where vectors do not share out evenly, the last invocations have none.
  const guarded = ({ vectors }: Staged, i: number, statement: string) =>
    (i + 1) * threads <= vectors
      ? statement
      : `if (local + ${i * threads}u < ${vectors}u) { ${statement} }`;
  const fetch = (k: string) =>
    ([["a", a], ["b", b]] as const).flatMap(([name, x]) =>
      mine(x).map((i) =>
        `next_${name}${i} = read_${name}(local + ${i * threads}u, ${name}0, ${
          name === "a" ? "row" : "column"
        }, ${k}, end);`
      )
    ).join("\n    ");
  const multiply = (k: number) =>
    [
      ...range(tile.rows).map((i) =>
        `let a${i} = subgroupMatrixLoad<${left}, ${a.major}>(&tile_a, ${
          a.at(`own_row + ${i * unit.m}u`, k)
        }, ${a.row}u);`
      ),
      ...range(tile.columns).map((j) =>
        `let b${j} = subgroupMatrixLoad<${right}, ${b.major}>(&tile_b, ${
          b.at(`own_column + ${j * unit.n}u`, k)
        }, ${b.row}u);`
      ),
      ...results.map(({ i, j }) =>
        `c${i}_${j} = subgroupMatrixMultiplyAccumulate(a${i}, b${j}, c${i}_${j});`
      ),
    ].join("\n      ");
  const code = /* wgsl */ `enable chromium_experimental_subgroup_matrix;
// Places depend on the subgroup's number, which the compiler does not know to be uniform in it.
diagnostic(off, chromium.subgroup_matrix_uniformity);
${matmulHeader(kernel)}
${a.declarations}
${b.declarations}
var<workgroup> sums: array<f32, ${subgroups * unit.m * unit.n}>; // a unit of each subgroup
fn store_unit(z: u32, row: u32, column: u32, subgroup: u32, lane: u32) {
  for (var i = lane; i < ${unit.m * unit.n}u; i += ${s}u) {
    store(z, row + i / ${unit.n}u, column + i % ${unit.n}u, sums[subgroup * ${
    unit.m * unit.n
  }u + i]);
  }
}
@compute @workgroup_size(${threads})
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
  ${mine(a).map((i) => `var next_a${i}: vec4<${type}>;`).join(" ")}
  ${mine(b).map((i) => `var next_b${i}: vec4<${type}>;`).join(" ")}
  var k = first_k(z);
  if (k < end) {
    ${fetch("k")}
  }
  for (; k < end; k += ${DEPTH}u) {
    ${
    ([["a", a], ["b", b]] as const).flatMap(([name, x]) =>
      mine(x).map((i) =>
        guarded(x, i, `tile_${name}[${x.place(`(local + ${i * threads}u)`)}] = next_${name}${i};`)
      )
    ).join("\n    ")
  }
    workgroupBarrier();
    if (k + ${DEPTH}u < end) {
    ${fetch(`k + ${DEPTH}u`)}
    }
    ${range(DEPTH / unit.k).map((i) => `{ ${multiply(i * unit.k)} }`).join("\n    ")}
    workgroupBarrier();
  }
  ${
    results.map(({ i, j }) =>
      `subgroupMatrixStore<row_major>(&sums, subgroup * ${
        unit.m * unit.n
      }u, c${i}_${j}, ${unit.n}u);
  workgroupBarrier();
  store_unit(z, row + own_row + ${i * unit.m}u, column + own_column + ${
        j * unit.n
      }u, subgroup, local % ${s}u);
  workgroupBarrier();`
    ).join("\n  ")
  }
}
`;
  return { code, workgroups: [Math.ceil(n / columns), Math.ceil(m / rows), batch] };
}
