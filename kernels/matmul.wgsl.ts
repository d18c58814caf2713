/**
 * Matrix products: C[z, m, n] = Σ_k A[z, m, k] · B[z, k, n], with any strides.
 *
 * One text serves plain, batched and grouped products:
 * - `rows` (grouped_matmul): A's rows are sorted by group in tiles; a tile's B is that of its group.
 * - `outer` (grouped_outer): z is a group and k runs over the group's rows only.
 *
 * Where columns n and n + N/2 of C make one result (SwiGLU), one invocation computes both: B's columns
 * are taken from both halves by turns, in runs as long as the variant's columns of one invocation lie
 * apart.
 *
 * Sizes and strides come in a uniform buffer so that one pipeline serves every shape: compiling is
 * the slow part of a start on software drivers.
 *
 * This file holds what the variants share; each has a file of its own.
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

/** An operand in memory. */
export interface MatmulOperand {
  /** Loads an element, as f32: sums are formed in f32, whatever the operands' type. */
  element: (index: string) => string;
  /**
   * Which way the memory runs, if four neighbours can be loaded at once: along `k`, or `across` it
   * (A's rows, B's columns). Every other stride, and the offset, is a multiple of four then.
   */
  along?: "k" | "across";
  /** Loads elements 4i to 4i + 3 as vec4f; given with `along`. */
  four?: (index: string) => string;
}

/** What a product's kernel is made of. */
export interface MatmulKernel {
  declarations: string;
  a: MatmulOperand;
  b: MatmulOperand;
  mode: "plain" | "rows" | "outer";
  /** Whether the number of k's is known to be a multiple of four. */
  whole: boolean;
  /** Type in which both operands' numbers are stored, if it is one. */
  type?: "f16" | "f32";
  /** Names of the arrays `tileGroup` and `offsets` for the grouped modes. */
  tileGroup?: string;
  offsets?: string;
  /** Whether both halves of C's columns make one result. */
  pairs: boolean;
  /**
   * Statements that store element `o` of the result, given `result`, the product, or of pairs `first` and
   * `second`, the products in column n and N/2 + n. Where one of them is two columns of an array and the
   * other one, the two are its elements `o_first` and `o_second`.
   */
  store: string;
}

/** A product of `batch` matrices of `m` × `n` results, each a sum of `k` products. */
export interface MatmulSize {
  batch: number;
  m: number;
  n: number;
  /** Of grouped sums the mean. */
  k: number;
}

/** WGSL and launch shape. */
export interface MatmulText {
  code: string;
  workgroups: [number, number, number];
}

/**
 * Declarations and functions of every variant: where operands begin and end, how to store.
 *
 * @param apart how far apart two columns of one invocation lie, for pairs
 */
export function matmulHeader(kernel: MatmulKernel, apart: number): string {
  const { mode, tileGroup, offsets } = kernel;
  return /* wgsl */ `
struct Sizes { ${MATMUL_FIELDS.map((f) => `${f}: u32`).join(", ")} }
${kernel.declarations}
fn base_a(z: u32) -> u32 {
  let z2 = z % d.size2; let z1 = (z / d.size2) % d.size1; let z0 = z / d.size2 / d.size1;
  return d.a_offset + z0 * d.a_z0 + z1 * d.a_z1 + z2 * d.a_z2;
}
fn base_b(z: u32, row: u32) -> u32 {
  ${
    mode === "rows"
      ? `return d.b_offset + u32(${tileGroup}[row / d.tile]) * d.b_group;`
      : `let z2 = z % d.size2; let z1 = (z / d.size2) % d.size1; let z0 = z / d.size2 / d.size1;
  return d.b_offset + z0 * d.b_z0 + z1 * d.b_z1 + z2 * d.b_z2;`
  }
}
fn first_k(z: u32) -> u32 { return ${mode === "outer" ? `u32(${offsets}[z])` : "0u"}; }
fn end_k(z: u32, row: u32) -> u32 {
  ${
    mode === "outer"
      ? `return u32(${offsets}[z + 1u]);`
      // tiles behind the last group hold no rows: they become zeros without work
      : mode === "rows"
      ? `return select(0u, d.k, row < u32(${offsets}[d.groups]));`
      : "return d.k;"
  }
}
${kernel.pairs ? pairFunctions(kernel, apart) : plainFunctions(kernel)}`;
}

/** The column of B that makes column n of C, or any for one behind the end; how to store a result. */
function plainFunctions(kernel: MatmulKernel): string {
  return /* wgsl */ `
fn column_b(n: u32) -> u32 { return min(n, d.n - 1u); }
fn store(z: u32, m: u32, n: u32, result: f32) {
  if (m < d.m && n < d.n) {
    let o = (z * d.m + m) * d.n + n;
    let o_first = 2u * o - n;
    let o_second = o_first + d.n;
    ${kernel.store}
  }
}
`;
}

/** The same for pairs: of 2 \* `apart` columns of C the first half comes from the first half of B. */
function pairFunctions(kernel: MatmulKernel, apart: number): string {
  return /* wgsl */ `
fn pair_of(n: u32) -> u32 { return n / ${2 * apart}u * ${apart}u + n % ${apart}u; }
fn column_b(n: u32) -> u32 {
  let half = d.n / 2u;
  return min(pair_of(n), half - 1u) + n / ${apart}u % 2u * half;
}
fn store_pair(z: u32, m: u32, n: u32, first: f32, second: f32) {
  let half = d.n / 2u;
  let pair = pair_of(n);
  if (m < d.m && pair < half) {
    let o_first = (z * d.m + m) * d.n + pair;
    let o_second = o_first + half;
    let o = (z * d.m + m) * half + pair;
    ${kernel.store}
  }
}
`;
}

/** Columns that a launch has to cover: of pairs, whole runs. */
export function columnsOf({ pairs }: MatmulKernel, { n }: MatmulSize, apart: number): number {
  return pairs ? Math.ceil(n / 2 / apart) * 2 * apart : n;
}
