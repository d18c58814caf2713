/**
 * Adding up elements at given positions without atomics: every result looks for what belongs to it,
 * in order, so that sums are the same in every run.
 */

/**
 * Rows summed into a table. Buffers: `source` [n, width], `index` [n], written `out` [rows, width].
 * One invocation an element of the table; all of a workgroup read the same index at the same time.
 */
export function indexAdd(
  k: {
    declarations: string;
    /** Loads an element of the source. */
    source: (index: string) => string;
    index: string;
    output: string;
    /** What is stored, given the sum as `acc`. */
    value: string;
    n: number;
    width: number;
    rows: number;
    /** WGSL type of the sums. */
    type: string;
  },
): { code: string; workgroups: [number, number, number] } {
  const code = /* wgsl */ `${k.declarations}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let column = wg.x * 64u + lane;
  let row = wg.z * 32768u + wg.y;
  if (row >= ${k.rows}u) { return; }
  var acc = ${k.type}(0);
  for (var i = 0u; i < ${k.n}u; i++) {
    if (u32(${k.index}[i]) == row) { acc += ${
    k.source(`i * ${k.width}u + min(column, ${k.width - 1}u)`)
  }; }
  }
  if (column < ${k.width}u) { ${k.output}[row * ${k.width}u + column] = ${k.value}; }
}
`;
  return {
    code,
    workgroups: [
      Math.ceil(k.width / 64),
      Math.min(k.rows, 32768),
      Math.ceil(k.rows / 32768),
    ],
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
