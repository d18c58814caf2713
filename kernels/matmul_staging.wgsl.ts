/**
 * How operands of a matrix product pass through workgroup memory in vectors of four: rows are padded
 * so that the lanes of a load meet different banks, and the next step's numbers are on their way from
 * memory while this step's are multiplied (NVIDIA CUTLASS, "Efficient GEMM in CUDA").
 */
import type { MatmulOperand } from "./matmul.wgsl.ts";

/** One operand's way. */
export interface Staged {
  readonly of: "a" | "b";
  /** Whether four neighbours are so along k; else across it. */
  readonly alongK: boolean;
  /** Vectors of one step, and of a row of them in workgroup memory. */
  readonly vectors: number;
  readonly row: number;
  /** The array `tile_a` or `tile_b`, and the function that reads vector `i` of the step at `k`. */
  readonly declarations: string;
  /** WGSL of the place of vector `i` in the array. */
  readonly place: (i: string) => string;
}

/** How a kernel stages both of its operands. */
export interface Staging {
  /** Values of k of one step, a multiple of four. */
  readonly depth: number;
  /** Numbers, a multiple of four, by which rows in workgroup memory are longer than what they hold. */
  readonly padding: number;
  /** Type of the numbers in workgroup memory. */
  readonly type: "f16" | "f32";
  /** Whether the number of k's is known to be a multiple of four. */
  readonly whole: boolean;
}

/**
 * Stages an operand that has `along`.
 *
 * @param extent rows of A or columns of B in a tile
 */
export function staged(
  of: "a" | "b",
  { along, four }: MatmulOperand,
  extent: number,
  { depth, padding, type, whole }: Staging,
): Staged {
  const alongK = along === "k";
  const each = (alongK ? depth : extent) / 4; // vectors of a row
  const row = each + padding / 4, rows = alongK ? extent : depth;
  const [count, strideK] = of === "a" ? ["d.m", "d.a_k"] : ["d.n", "d.b_k"];
  // Rows and columns beyond the end are read from within and never stored; values of k must be zero.
  const inside = whole || !alongK
    ? "kk < end"
    : "vec4u(kk, kk + 1u, kk + 2u, kk + 3u) < vec4u(end)";
  const k = alongK ? `k + (i % ${each}u) * 4u` : `k + i / ${each}u`;
  const line = `first + i / ${each}u`;
  const lineAt = of === "a" ? `min(${line}, d.m - 1u) * d.a_row` : `column_b(${line}) * d.b_n`;
  const at = alongK
    ? `(base + ${lineAt} + kk) / 4u`
    : `base / 4u + min(first / 4u + i % ${each}u, (${count} - 1u) / 4u) + ` +
      `min(kk, end - 1u) * (${strideK} / 4u)`;
  return {
    of,
    alongK,
    vectors: each * rows,
    row,
    declarations: /* wgsl */ `
var<workgroup> tile_${of}: array<vec4<${type}>, ${row * rows}>;
fn read_${of}(i: u32, base: u32, first: u32, k: u32, end: u32) -> vec4<${type}> {
  let kk = ${k};
  let x = vec4<${type}>(${four!(at)});
  return select(vec4<${type}>(), x, ${inside});
}`,
    place: (i) => `${i} / ${each}u * ${row}u + ${i} % ${each}u`,
  };
}

/**
 * The loop over k: `multiply` does a step whose numbers are in `tile_a` and `tile_b`. Takes for granted
 * `z`, `row`, `column`, `a0`, `b0`, `end`, and `local`, the invocation's number among `threads`.
 */
export function stagedLoop(
  operands: readonly Staged[],
  { depth, type }: Staging,
  threads: number,
  multiply: string,
): string {
  const mine = operands.flatMap((x) =>
    Array.from({ length: Math.ceil(x.vectors / threads) }, (_, i) => ({
      x,
      name: `next_${x.of}${i}`,
      i: `(local + ${i * threads}u)`,
      // Where vectors do not share out evenly, the last invocations have none.
      all: (i + 1) * threads <= x.vectors,
    }))
  );
  const fetch = mine.map(({ x: { of }, name, i }) =>
    `${name} = read_${of}(${i}, ${of}0, ${of === "a" ? "row" : "column"}, k, end);`
  );
  const put = mine.map(({ x, name, i, all }) => {
    const statement = `tile_${x.of}[${x.place(i)}] = ${name};`;
    return all ? statement : `if (${i} < ${x.vectors}u) { ${statement} }`;
  });
  // A turn more than there are steps, so that reading is written out once.
  return /* wgsl */ `${mine.map(({ name }) => `var ${name}: vec4<${type}>;`).join(" ")}
  let first = first_k(z);
  for (var k = first; k < end + ${depth}u; k += ${depth}u) {
    if (k < end) {
      ${fetch.join("\n      ")}
    }
    if (k > first) {
    ${multiply}
    }
    workgroupBarrier();
    ${put.join("\n    ")}
    workgroupBarrier();
  }`;
}
