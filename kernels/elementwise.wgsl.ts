/**
 * Fused elementwise kernel.
 *
 * Buffers: those that the expression reads, and one that is written.
 * Launch: one invocation for `each` neighbouring elements, in a grid of two dimensions since one holds
 * 65,535 workgroups. On CPU drivers several elements an invocation share its fixed cost and whatever
 * the statements compute for all of them, such as row numbers.
 */
export function elementwise(
  k: {
    declarations: string;
    size: number;
    width: number;
    /** Elements an invocation writes, a divisor of `size`. */
    each: number;
    body: string;
    output: string;
    /** Values of the elements `o`, `o + 1`, … */
    values: readonly string[];
  },
): { code: string; workgroups: [number, number, number] } {
  const groups = Math.ceil(k.size / (k.width * k.each));
  const across = Math.min(groups, 65535);
  const code = /* wgsl */ `${k.declarations}
@compute @workgroup_size(${k.width})
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let o = ((wg.y * ${across}u + wg.x) * ${k.width}u + lane)${k.each === 1 ? "" : ` * ${k.each}u`};
  if (o >= ${k.size}u) { return; }
  ${k.body}
  ${k.values.map((v, i) => `${k.output}[o${i === 0 ? "" : ` + ${i}u`}] = ${v};`).join("\n  ")}
}
`;
  return { code, workgroups: [across, Math.ceil(groups / across), 1] };
}
