/**
 * Fused elementwise kernel.
 *
 * Buffers: those that the expression reads, and one that is written.
 * Launch: `each` neighbouring elements an invocation and turn, in a grid of two dimensions since one
 * holds 65,535 workgroups. On CPU drivers several elements share whatever the statements compute for all
 * of them, such as row numbers, and turns share the fixed cost of a workgroup, which is that of hundreds
 * of elements.
 */
export function elementwise(
  k: {
    declarations: string;
    size: number;
    width: number;
    /** Elements an invocation writes in a turn, a divisor of `size`. */
    each: number;
    turns: number;
    body: string;
    output: string;
    /** Values of the elements `o`, `o + 1`, … */
    values: readonly string[];
  },
): { code: string; workgroups: [number, number, number] } {
  const step = k.width * k.each, chunk = step * k.turns;
  const groups = Math.ceil(k.size / chunk), across = Math.min(groups, 65535);
  const begin = `(wg.y * ${across}u + wg.x) * ${chunk}u`;
  const own = k.each === 1 ? "lane" : `lane * ${k.each}u`;
  const work = `${k.body}
  ${k.values.map((v, i) => `${k.output}[o${i === 0 ? "" : ` + ${i}u`}] = ${v};`).join("\n  ")}`;
  const code = /* wgsl */ `${k.declarations}
@compute @workgroup_size(${k.width})
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
  ${
    k.turns === 1
      ? `let o = ${begin} + ${own};
  if (o >= ${k.size}u) { return; }
  ${work}`
      : `let begin = ${begin};
  let end = min(begin + ${chunk}u, ${k.size}u);
  for (var o = begin + ${own}; o < end; o += ${step}u) {
  ${work}
  }`
  }
}
`;
  return { code, workgroups: [across, Math.ceil(groups / across), 1] };
}
