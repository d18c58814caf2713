/**
 * Rows written into a part of a longer array, whose other rows stay as they are.
 *
 * Buffers: `from` [outer, n, inner], `start` [1] i32, changed `to` [outer, rows, inner]. Row j goes to
 * row start + j; rows that would lie outside are left out. One invocation an element of `from`.
 */
export function assignRows(
  k: {
    declarations: string;
    to: string;
    from: string;
    start: string;
    outer: number;
    /** Rows written, and rows there are. */
    n: number;
    rows: number;
    inner: number;
  },
): { code: string; workgroups: [number, number, number] } {
  const total = k.outer * k.n * k.inner;
  const groups = Math.ceil(total / 64), across = Math.min(groups, 65535);
  const code = /* wgsl */ `${k.declarations}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let o = (wg.y * ${across}u + wg.x) * 64u + lane;
  if (o >= ${total}u) { return; }
  let row = ${k.start}[0] + i32((o / ${k.inner}u) % ${k.n}u);
  if (row < 0 || row >= ${k.rows}) { return; }
  // Through a pointer: memory that is filled with NaN before it is written must keep its other rows.
  let element = &${k.to}[(o / ${
    k.n * k.inner
  }u * ${k.rows}u + u32(row)) * ${k.inner}u + o % ${k.inner}u];
  *element = ${k.from}[o];
}
`;
  return { code, workgroups: [across, Math.ceil(groups / across), 1] };
}
