/**
 * Matrix products whose sum over k is split among the invocations of a workgroup, for few results with
 * long sums on GPUs: the gradient of a small weight over many tokens, say. Large tiles would leave most
 * of the device idle there. Four slices of a workgroup add up a quarter of every step each; at the end
 * their sums are added in a fixed order, so no result depends on timing.
 */
import {
  columnsOf,
  matmulHeader,
  type MatmulKernel,
  type MatmulSize,
  type MatmulText,
} from "./matmul.wgsl.ts";

/** Rows and columns of C that a workgroup computes. */
export const SIDE = 32;
/** Parts of the sum, of 8 × 8 invocations each, and how many values of k each takes in one step. */
const SLICES = 4, DEPTH = 8;
/** Rows and columns of C that an invocation computes, and how far apart they lie. */
const OWN = SIDE / 8, APART = 8;
/** Values of k of one step. */
const STEP = SLICES * DEPTH;

/** WGSL and launch shape of the split variant. */
export function splitMatmul(k: MatmulKernel, size: MatmulSize): MatmulText {
  const a = k.a.element("at"), b = k.b.element("at");
  const own = (i: string, j: string) => `(id_y + 8u * ${i}) * ${SIDE}u + id_x + 8u * ${j}`;
  const each = (statement: string) =>
    `for (var i = 0u; i < ${OWN}u; i++) { for (var j = 0u; j < ${OWN}u; j++) { ${statement} } }`;
  const code = /* wgsl */ `${matmulHeader(k, APART)}
var<workgroup> tile_a: array<f32, ${STEP * SIDE}>; // [k][m]
var<workgroup> tile_b: array<f32, ${STEP * SIDE}>; // [k][n]
var<workgroup> sums: array<f32, ${SIDE * SIDE}>;
@compute @workgroup_size(${64 * SLICES})
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let z = wg.z;
  let row = wg.y * ${SIDE}u;
  let column = wg.x * ${SIDE}u;
  let slice = local / 64u;
  let id_x = local % 8u;
  let id_y = local / 8u % 8u;
  let a0 = base_a(z);
  let b0 = base_b(z, row);
  var acc: array<array<f32, ${OWN}>, ${OWN}>;
  let end = end_k(z, row);
  for (var k = first_k(z); k < end; k += ${STEP}u) {
    for (var i = local; i < ${STEP * SIDE}u; i += ${64 * SLICES}u) {
      // neighbouring invocations read along the dimension that lies closer together in memory
      let along_k = d.a_k <= d.a_row;
      let kk = select(i / ${SIDE}u, i % ${STEP}u, along_k);
      let mm = select(i % ${SIDE}u, i / ${STEP}u, along_k);
      let inside = k + kk < end && row + mm < d.m;
      let at = a0 + min(row + mm, d.m - 1u) * d.a_row + min(k + kk, end - 1u) * d.a_k;
      tile_a[kk * ${SIDE}u + mm] = select(0.0f, ${a}, inside);
    }
    for (var i = local; i < ${STEP * SIDE}u; i += ${64 * SLICES}u) {
      let along_k = d.b_k < d.b_n;
      let kk = select(i / ${SIDE}u, i % ${STEP}u, along_k);
      let nn = select(i % ${SIDE}u, i / ${STEP}u, along_k);
      let inside = k + kk < end;
      let at = b0 + column_b(column + nn) * d.b_n + min(k + kk, end - 1u) * d.b_k;
      tile_b[kk * ${SIDE}u + nn] = select(0.0f, ${b}, inside);
    }
    workgroupBarrier();
    for (var s = 0u; s < ${DEPTH}u; s++) {
      let kk = (slice * ${DEPTH}u + s) * ${SIDE}u;
      var b: array<f32, ${OWN}>;
      for (var j = 0u; j < ${OWN}u; j++) { b[j] = tile_b[kk + id_x + 8u * j]; }
      for (var i = 0u; i < ${OWN}u; i++) {
        let a = tile_a[kk + id_y + 8u * i];
        for (var j = 0u; j < ${OWN}u; j++) { acc[i][j] = fma(a, b[j], acc[i][j]); }
      }
    }
    workgroupBarrier();
  }
  for (var s = ${SLICES - 1}u; s > 0u; s--) {
    if (slice == s) { ${each(`sums[${own("i", "j")}] = acc[i][j];`)} }
    workgroupBarrier();
    if (slice == s - 1u) { ${each(`acc[i][j] += sums[${own("i", "j")}];`)} }
    workgroupBarrier();
  }
  if (slice == 0u) {
    ${
    k.pairs
      ? each(
        "if (j % 2u == 0u) { store_pair(z, row + id_y + 8u * i, column + id_x + 8u * j, " +
          "acc[i][j], acc[i][j + 1u]); }",
      )
      : each("store(z, row + id_y + 8u * i, column + id_x + 8u * j, acc[i][j]);")
  }
  }
}
`;
  const across = Math.ceil(columnsOf(k, size, APART) / SIDE);
  return { code, workgroups: [across, Math.ceil(size.m / SIDE), size.batch] };
}
