/**
 * Matrix products: C[z, m, n] = Σ_k A[z, m, k] · B[z, k, n], with any strides.
 *
 * One text serves plain, batched and grouped products:
 * - `rows` (grouped_matmul): A's rows are sorted by group in tiles; a tile's B is that of its group.
 * - `outer` (grouped_outer): z is a group and k runs over the group's rows only.
 *
 * Sizes and strides come in a uniform buffer so that one pipeline serves every shape: compiling is
 * the slow part of a start on software drivers.
 *
 * Variants:
 * - `broadcast`, for CPU drivers with a fixed subgroup size S: a subgroup computes 8 × 2S results;
 *   every lane loads one element of each row of A for S values of k, and hands them round with
 *   subgroupBroadcast, for a load with a lane-dependent index is a slow gather there.
 * - `tiled`, for GPUs and for adapters without subgroups: the classic blocking in workgroup memory,
 *   16 × 16 invocations with a few results each (CUDA C++ Programming Guide, "Shared Memory").
 */

/** Names of the 32-bit fields of the uniform buffer, in order. */
export const MATMUL_FIELDS = [
  "m",
  "n",
  "k",
  "a_offset",
  "b_offset",
  "a_row",
  "a_k",
  "b_k",
  "b_n",
  "b_group",
  "size1", // batch z = (z0 · size1 + z1) · size2 + z2
  "size2",
  "a_z0",
  "a_z1",
  "a_z2",
  "b_z0",
  "b_z1",
  "b_z2",
  "tile",
  "groups",
] as const;

/** What a product's kernel is made of. */
export interface MatmulKernel {
  declarations: string;
  /** Loads of elements of A and B, as f32: sums are formed in f32, whatever the operands' type. */
  a: (index: string) => string;
  b: (index: string) => string;
  mode: "plain" | "rows" | "outer";
  /** Names of the arrays `tileGroup` and `offsets` for the grouped modes. */
  tileGroup?: string;
  offsets?: string;
  /** Subgroup size for the broadcast variant, undefined for the tiled one. */
  subgroup: number | undefined;
  /** Rows of C a workgroup of the tiled variant computes, a multiple of 16. */
  tileRows: number;
  /** Statements for the element `o` of C whose product is `result`, and what is stored. */
  epilogue: string;
  value: string;
  output: string;
}

const HEADER = (k: MatmulKernel) => /* wgsl */ `
struct Sizes { ${MATMUL_FIELDS.map((f) => `${f}: u32`).join(", ")} }
${k.declarations}
fn base_a(z: u32) -> u32 {
  let z2 = z % d.size2; let z1 = (z / d.size2) % d.size1; let z0 = z / d.size2 / d.size1;
  return d.a_offset + z0 * d.a_z0 + z1 * d.a_z1 + z2 * d.a_z2;
}
fn base_b(z: u32, row: u32) -> u32 {
  ${
  k.mode === "rows"
    ? `return d.b_offset + u32(${k.tileGroup}[row / d.tile]) * d.b_group;`
    : `let z2 = z % d.size2; let z1 = (z / d.size2) % d.size1; let z0 = z / d.size2 / d.size1;
  return d.b_offset + z0 * d.b_z0 + z1 * d.b_z1 + z2 * d.b_z2;`
}
}
fn first_k(z: u32) -> u32 { return ${k.mode === "outer" ? `u32(${k.offsets}[z])` : "0u"}; }
fn end_k(z: u32, row: u32) -> u32 {
  ${
  k.mode === "outer"
    ? `return u32(${k.offsets}[z + 1u]);`
    // tiles behind the last group hold no rows: they become zeros without work
    : k.mode === "rows"
    ? `return select(0u, d.k, row < u32(${k.offsets}[d.groups]));`
    : "return d.k;"
}
}
fn store(z: u32, m: u32, n: u32, result: f32) {
  if (m < d.m && n < d.n) {
    let o = (z * d.m + m) * d.n + n;
    ${k.epilogue}
    ${k.output}[o] = ${k.value};
  }
}
`;

/** Rows and subgroup-wide columns of one workgroup of the broadcast variant. */
const ROWS = 8, COLUMNS = 2;

function broadcast(k: MatmulKernel, s: number): string {
  const rows = Array.from({ length: ROWS }, (_, i) => i);
  const columns = Array.from({ length: COLUMNS }, (_, i) => i);
  const lanes = Array.from({ length: s }, (_, i) => i);
  const each = (f: (r: number, c: number) => string) =>
    rows.map((r) => columns.map((c) => f(r, c)).join(" ")).join("\n  ");
  return /* wgsl */ `enable subgroups;
${HEADER(k)}
@compute @workgroup_size(${s})
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let z = wg.z;
  let row = wg.y * ${ROWS}u;
  let column = wg.x * ${s * COLUMNS}u + lane;
  let a0 = base_a(z);
  let b0 = base_b(z, row);
  ${rows.map((r) => `let row${r} = a0 + min(row + ${r}u, d.m - 1u) * d.a_row;`).join("\n  ")}
  ${
    columns.map((c) => `let col${c} = b0 + min(column + ${c * s}u, d.n - 1u) * d.b_n;`).join("\n  ")
  }
  ${each((r, c) => `var c${r}_${c} = 0.0f;`)}
  let end = end_k(z, row);
  var k = first_k(z);
  for (; k + ${s}u <= end; k += ${s}u) {
    let ka = (k + lane) * d.a_k;
    ${rows.map((r) => `let a${r} = ${k.a(`row${r} + ka`)};`).join("\n    ")}
    ${
    lanes.map((i) =>
      `{ let kb = (k + ${i}u) * d.b_k;\n    ${
        columns.map((c) => `let b${c} = ${k.b(`col${c} + kb`)};`).join(" ")
      }\n    ${
        rows.map((r) =>
          `{ let x = subgroupBroadcast(a${r}, ${i}u); ${
            columns.map((c) => `c${r}_${c} = fma(x, b${c}, c${r}_${c});`).join(" ")
          } }`
        ).join("\n    ")
      } }`
    ).join("\n    ")
  }
  }
  for (; k < end; k++) {
    ${columns.map((c) => `let b${c} = ${k.b(`col${c} + k * d.b_k`)};`).join(" ")}
    ${
    rows.map((r) =>
      `{ let x = ${k.a(`row${r} + k * d.a_k`)}; ${
        columns.map((c) => `c${r}_${c} = fma(x, b${c}, c${r}_${c});`).join(" ")
      } }`
    ).join("\n    ")
  }
  }
  ${each((r, c) => `store(z, row + ${r}u, column + ${c * s}u, c${r}_${c});`)}
}
`;
}

/** Columns of C and depth of one step of the tiled variant. */
const TILE_N = 64, TILE_K = 16;

function tiled(k: MatmulKernel): string {
  const tm = k.tileRows / 16, tn = TILE_N / 16;
  return /* wgsl */ `${HEADER(k)}
var<workgroup> tile_a: array<f32, ${TILE_K * k.tileRows}>; // [k][m]
var<workgroup> tile_b: array<f32, ${TILE_K * TILE_N}>; // [k][n]
@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) id: vec3u,
        @builtin(local_invocation_index) local: u32) {
  let z = wg.z;
  let row = wg.y * ${k.tileRows}u;
  let column = wg.x * ${TILE_N}u;
  let a0 = base_a(z);
  let b0 = base_b(z, row);
  var acc: array<array<f32, ${tn}>, ${tm}>;
  let end = end_k(z, row);
  for (var k = first_k(z); k < end; k += ${TILE_K}u) {
    for (var i = local; i < ${TILE_K * k.tileRows}u; i += 256u) {
      // neighbouring invocations read along the dimension that lies closer together in memory
      let fast = d.a_k <= d.a_row;
      let kk = select(i / ${k.tileRows}u, i % ${TILE_K}u, fast);
      let mm = select(i % ${k.tileRows}u, i / ${TILE_K}u, fast);
      let inside = k + kk < end && row + mm < d.m;
      let at = a0 + min(row + mm, d.m - 1u) * d.a_row + min(k + kk, end - 1u) * d.a_k;
      tile_a[kk * ${k.tileRows}u + mm] = select(0.0f, ${k.a("at")}, inside);
    }
    for (var i = local; i < ${TILE_K * TILE_N}u; i += 256u) {
      let fast = d.b_n <= d.b_k;
      let kk = select(i % ${TILE_K}u, i / ${TILE_N}u, fast);
      let nn = select(i / ${TILE_K}u, i % ${TILE_N}u, fast);
      let inside = k + kk < end && column + nn < d.n;
      let at = b0 + min(column + nn, d.n - 1u) * d.b_n + min(k + kk, end - 1u) * d.b_k;
      tile_b[kk * ${TILE_N}u + nn] = select(0.0f, ${k.b("at")}, inside);
    }
    workgroupBarrier();
    for (var kk = 0u; kk < ${TILE_K}u; kk++) {
      var b: array<f32, ${tn}>;
      for (var j = 0u; j < ${tn}u; j++) { b[j] = tile_b[kk * ${TILE_N}u + j * 16u + id.x]; }
      for (var i = 0u; i < ${tm}u; i++) {
        let a = tile_a[kk * ${k.tileRows}u + i * 16u + id.y];
        for (var j = 0u; j < ${tn}u; j++) { acc[i][j] = fma(a, b[j], acc[i][j]); }
      }
    }
    workgroupBarrier();
  }
  for (var i = 0u; i < ${tm}u; i++) {
    for (var j = 0u; j < ${tn}u; j++) {
      store(z, row + i * 16u + id.y, column + j * 16u + id.x, acc[i][j]);
    }
  }
}
`;
}

/** WGSL and launch shape of a product of `batch` matrices of m × n results. */
export function matmul(
  k: MatmulKernel,
  batch: number,
  m: number,
  n: number,
): { code: string; workgroups: [number, number, number] } {
  return k.subgroup === undefined
    ? { code: tiled(k), workgroups: [Math.ceil(n / TILE_N), Math.ceil(m / k.tileRows), batch] }
    : {
      code: broadcast(k, k.subgroup),
      workgroups: [Math.ceil(n / (COLUMNS * k.subgroup)), Math.ceil(m / ROWS), batch],
    };
}
