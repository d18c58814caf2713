/**
 * Matrix products in tiles of workgroup memory for GPUs, where both operands can be read in fours: 8 × 8
 * results an invocation, everything loaded as vectors of four, the next step's numbers under way while
 * this step's are multiplied. The sums are formed in the order of k, as by the plain tiles.
 */
import {
  columnsOf,
  matmulHeader,
  type MatmulKernel,
  type MatmulSize,
  type MatmulText,
} from "./matmul.wgsl.ts";
import { type Staged, staged, stagedLoop, type Staging } from "./matmul_staging.wgsl.ts";

/** Values of k of one step, and numbers by which rows in workgroup memory are longer. */
const DEPTH = 16, PADDING = 4;
/** Rows and columns of C that an invocation computes. */
const OWN = 8;

const COMPONENTS = ["x", "y", "z", "w"] as const;
const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** Bytes of workgroup memory that tiles of 128 × 128 take at most. */
export const VECTORS_BYTES = 2 * 128 * (DEPTH + PADDING) * 4;

/**
 * What an invocation reads of an operand for four values of k (number `q` of the step), and the WGSL of
 * one of its own eight rows or columns for one of them. Neighbours read neighbours, so that no bank is
 * asked twice: own rows lie `side` apart where vectors run along k, else in fours.
 */
function fours({ of, alongK, row }: Staged, own: string, side: number) {
  const loads = alongK
    ? range(OWN).map((i) => `let ${of}${i} = tile_${of}[(${own} + ${i * side}u) * ${row}u + q];`)
    : range(4).flatMap((k) =>
      range(OWN / 4).map((h) =>
        `let ${of}${k}_${h} = tile_${of}[(4u * q + ${k}u) * ${row}u + ${own} + ${h * side}u];`
      )
    );
  const at = (i: number, k: number) =>
    alongK ? `${of}${i}.${COMPONENTS[k]}` : `${of}${k}_${i >> 2}.${COMPONENTS[i & 3]}`;
  const four = (h: number, k: number) =>
    alongK ? `vec4f(${range(4).map((j) => at(4 * h + j, k)).join(", ")})` : `${of}${k}_${h}`;
  // The place of own row or column 4h + j in the tile is first(h) + j * apart.
  const first = (h: number) =>
    alongK ? `${own} + ${4 * h * side}u` : `4u * (${own} + ${h * side}u)`;
  return { loads: loads.join("\n      "), at, four, first, apart: alongK ? side : 1 };
}

/**
 * WGSL and launch shape of the variant.
 *
 * @param kernel one whose operands both have `along`, B along k if there are pairs
 * @param extent rows and columns of C that a workgroup computes: 64 or 128
 */
export function vectorMatmul(
  kernel: MatmulKernel,
  size: MatmulSize,
  extent: 64 | 128,
): MatmulText {
  const side = extent / OWN, threads = side * side;
  const staging: Staging = { depth: DEPTH, padding: PADDING, type: "f32", whole: kernel.whole };
  const a = staged("a", kernel.a, extent, staging), b = staged("b", kernel.b, extent, staging);
  const rows = fours(a, "id_y", side), columns = fours(b, "id_x", side);
  const halves = range(OWN / 4);
  const multiply = /* wgsl */ `for (var q = 0u; q < ${DEPTH / 4}u; q++) {
      ${rows.loads}
      ${columns.loads}
      ${
    range(4).map((k) =>
      halves.map((h) =>
        `{ let b = ${columns.four(h, k)}; ${
          range(OWN).map((i) => `c${i}_${h} = fma(vec4f(${rows.at(i, k)}), b, c${i}_${h});`)
            .join(" ")
        } }`
      ).join("\n      ")
    ).join("\n      ")
  }
    }`;
  const code = /* wgsl */ `${matmulHeader(kernel, columns.apart)}
${a.declarations}
${b.declarations}
fn store_four(z: u32, m: u32, n: u32, results: vec4f) {
  ${
    kernel.pairs
      ? `store_pair(z, m, n, results.x, results.y);
  store_pair(z, m, n + ${2 * columns.apart}u, results.z, results.w);`
      : COMPONENTS.map((c, j) => `store(z, m, n + ${j * columns.apart}u, results.${c});`)
        .join("\n  ")
  }
}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let z = wg.z;
  let row = wg.y * ${extent}u;
  let column = wg.x * ${extent}u;
  // 32 neighbours are 4 × 8, so that together they read few rows and columns
  let id_x = local % 8u + 8u * (local / 32u % ${side / 8}u);
  let id_y = local % 32u / 8u + 4u * (local / ${4 * side}u);
  let a0 = base_a(z);
  let b0 = base_b(z, row);
  let end = end_k(z, row);
  ${range(OWN).flatMap((i) => halves.map((h) => `var c${i}_${h}: vec4f;`)).join(" ")}
  ${stagedLoop([a, b], staging, threads, multiply)}
  // In a loop whose end the compiler does not know, or it would write the epilogue out for all of them.
  var results = array<vec4f, ${2 * OWN}>(${
    range(OWN).flatMap((i) => halves.map((h) => `c${i}_${h}`)).join(", ")
  });
  let count = select(${2 * OWN}u, 0u, d.m == 0u);
  for (var i = 0u; i < count; i++) {
    let own = select(${rows.first(0)}, ${
    rows.first(1)
  }, i >= ${OWN}u) + i / 2u % 4u * ${rows.apart}u;
    let next = select(${columns.first(0)}, ${columns.first(1)}, i % 2u == 1u);
    store_four(z, row + own, column + next, results[i]);
  }
}
`;
  const across = Math.ceil(columnsOf(kernel, size, columns.apart) / extent);
  return { code, workgroups: [across, Math.ceil(size.m / extent), size.batch] };
}
