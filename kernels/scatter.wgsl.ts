/**
 * Adding up elements at given positions without atomics: every result looks for what belongs to it,
 * in order, so that sums are the same in every run.
 */

/**
 * Rows summed into a table. Buffers: `source` [n, width], `index` [n], written `out` [rows, width].
 *
 * A workgroup has `block` rows of some columns to itself: it walks the index once, and adds what
 * belongs to its rows where it is to go; an invocation has its columns to itself, so all is in order.
 * Sums of types that memory would round are kept in a register instead, for one row a workgroup.
 */
export function indexAdd(
  k: {
    declarations: string;
    /** Loads an element of the source. */
    source: (index: string) => string;
    index: string;
    output: string;
    /** What is stored, given the sum as `acc`, if it is kept in a register. */
    value: string | undefined;
    n: number;
    width: number;
    rows: number;
    /** WGSL type of the sums. */
    type: string;
    /** A CPU driver: few invocations a workgroup, each with several columns. */
    software: boolean;
  },
): { code: string; workgroups: [number, number, number] } {
  const lanes = k.software ? 8 : 64, each = k.software && k.value === undefined ? 8 : 1;
  const across = Math.ceil(k.width / (lanes * each)), enough = k.software ? 32 : 1024;
  const block = k.value === undefined ? Math.ceil(k.rows * across / enough) : 1;
  const blocks = Math.ceil(k.rows / block);
  const walk = (into: string) =>
    `for (var i = 0u; i < ${k.n}u; i++) {
    let row = u32(${k.index}[i]);
    if (row - first < ${block}u && row < ${k.rows}u) {
      ${into}
    }
  }`;
  const columns = (statement: string) =>
    `for (var c = column; c < end; c += ${lanes}u) { ${statement} }`;
  const code = /* wgsl */ `${k.declarations}
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first = (wg.z * 32768u + wg.y) * ${block}u;
  if (first >= ${k.rows}u) { return; }
  let column = wg.x * ${lanes * each}u + lane;
  let end = min((wg.x + 1u) * ${lanes * each}u, ${k.width}u);
  ${
    k.value === undefined
      ? `for (var row = first; row < min(first + ${block}u, ${k.rows}u); row++) {
    ${columns(`${k.output}[row * ${k.width}u + c] = ${k.type}(0);`)}
  }
  ${walk(columns(`${k.output}[row * ${k.width}u + c] += ${k.source(`i * ${k.width}u + c`)};`))}`
      : `if (column >= end) { return; }
  var acc = ${k.type}(0);
  ${walk(`acc += ${k.source(`i * ${k.width}u + column`)};`)}
  ${k.output}[first * ${k.width}u + column] = ${k.value};`
  }
}
`;
  return {
    code,
    workgroups: [across, Math.min(blocks, 32768), Math.ceil(blocks / 32768)],
  };
}

/**
 * Elements added along one axis. `source` and `index` are [outer, n, inner], `out` is
 * [outer, size, inner]. One invocation a result.
 */
export function scatterAdd(
  k: {
    declarations: string;
    /** Loads an element of the source. */
    source: (index: string) => string;
    index: string;
    output: string;
    /** What is stored, given the sum as `acc`. */
    value: string;
    outer: number;
    n: number;
    size: number;
    inner: number;
    /** WGSL type of the sums. */
    type: string;
  },
): { code: string; workgroups: [number, number, number] } {
  const total = k.outer * k.size * k.inner;
  const groups = Math.ceil(total / 64), across = Math.min(groups, 65535);
  const code = /* wgsl */ `${k.declarations}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let o = (wg.y * ${across}u + wg.x) * 64u + lane;
  if (o >= ${total}u) { return; }
  let inner = o % ${k.inner}u;
  let at = (o / ${k.inner}u) % ${k.size}u;
  let outer = o / ${k.inner * k.size}u;
  var acc = ${k.type}(0);
  for (var i = 0u; i < ${k.n}u; i++) {
    let s = (outer * ${k.n}u + i) * ${k.inner}u + inner;
    if (u32(${k.index}[s]) == at) { acc += ${k.source("s")}; }
  }
  ${k.output}[o] = ${k.value};
}
`;
  return { code, workgroups: [across, Math.ceil(groups / across), 1] };
}
