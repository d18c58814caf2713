/**
 * Matrix products in tiles of workgroup memory, for GPUs and for adapters without subgroups: the
 * classic blocking, 16 × 16 invocations with a few results each (CUDA C++ Programming Guide, "Shared
 * Memory"; results in registers as in Volkov and Demmel, SC 2008).
 */
import {
  columnsOf,
  matmulHeader,
  type MatmulKernel,
  type MatmulSize,
  type MatmulText,
} from "./matmul.wgsl.ts";

/** Depth of one step. */
const DEPTH = 16;
/** Invocations down and across; results of one invocation lie as far apart. */
const SIDE = 16;

/** Rows and columns of C that a workgroup computes, multiples of 16. */
export interface Tile {
  rows: number;
  columns: number;
}

/** WGSL and launch shape of the tiled variant. */
export function tiledMatmul(k: MatmulKernel, size: MatmulSize, tile: Tile): MatmulText {
  const { rows, columns } = tile;
  const tm = rows / SIDE, tn = columns / SIDE;
  const a = k.a.element("at"), b = k.b.element("at");
  const code = /* wgsl */ `${matmulHeader(k, SIDE)}
var<workgroup> tile_a: array<f32, ${DEPTH * rows}>; // [k][m]
var<workgroup> tile_b: array<f32, ${DEPTH * columns}>; // [k][n]
@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) id: vec3u,
        @builtin(local_invocation_index) local: u32) {
  let z = wg.z;
  let row = wg.y * ${rows}u;
  let column = wg.x * ${columns}u;
  let a0 = base_a(z);
  let b0 = base_b(z, row);
  var acc: array<array<f32, ${tn}>, ${tm}>;
  let end = end_k(z, row);
  for (var k = first_k(z); k < end; k += ${DEPTH}u) {
    for (var i = local; i < ${DEPTH * rows}u; i += 256u) {
      // neighbouring invocations read along the dimension that lies closer together in memory
      let fast = d.a_k <= d.a_row;
      let kk = select(i / ${rows}u, i % ${DEPTH}u, fast);
      let mm = select(i % ${rows}u, i / ${DEPTH}u, fast);
      let inside = k + kk < end && row + mm < d.m;
      let at = a0 + min(row + mm, d.m - 1u) * d.a_row + min(k + kk, end - 1u) * d.a_k;
      tile_a[kk * ${rows}u + mm] = select(0.0f, ${a}, inside);
    }
    for (var i = local; i < ${DEPTH * columns}u; i += 256u) {
      let fast = d.b_n <= d.b_k;
      let kk = select(i % ${DEPTH}u, i / ${columns}u, fast);
      let nn = select(i / ${DEPTH}u, i % ${columns}u, fast);
      let inside = k + kk < end;
      let at = b0 + column_b(column + nn) * d.b_n + min(k + kk, end - 1u) * d.b_k;
      tile_b[kk * ${columns}u + nn] = select(0.0f, ${b}, inside);
    }
    workgroupBarrier();
    for (var kk = 0u; kk < ${DEPTH}u; kk++) {
      var b: array<f32, ${tn}>;
      for (var j = 0u; j < ${tn}u; j++) { b[j] = tile_b[kk * ${columns}u + j * 16u + id.x]; }
      for (var i = 0u; i < ${tm}u; i++) {
        let a = tile_a[kk * ${rows}u + i * 16u + id.y];
        for (var j = 0u; j < ${tn}u; j++) { acc[i][j] = fma(a, b[j], acc[i][j]); }
      }
    }
    workgroupBarrier();
  }
  for (var i = 0u; i < ${tm}u; i++) {
    ${
    k.pairs
      ? `for (var j = 0u; j < ${tn}u; j += 2u) {
      store_pair(z, row + i * 16u + id.y, column + j * 16u + id.x, acc[i][j], acc[i][j + 1u]);
    }`
      : `for (var j = 0u; j < ${tn}u; j++) {
      store(z, row + i * 16u + id.y, column + j * 16u + id.x, acc[i][j]);
    }`
  }
  }
}
`;
  const across = Math.ceil(columnsOf(k, size, SIDE) / columns);
  return { code, workgroups: [across, Math.ceil(size.m / rows), size.batch] };
}
