/**
 * Fused elementwise kernel.
 *
 * Buffers: those that the expression reads, and one that is written.
 * Launch: one invocation an element, in a grid of two dimensions since one holds 65,535 workgroups.
 */
export function elementwise(
  k: {
    declarations: string;
    size: number;
    width: number;
    body: string;
    output: string;
    value: string;
  },
): { code: string; workgroups: [number, number, number] } {
  const groups = Math.ceil(k.size / k.width);
  const across = Math.min(groups, 65535);
  const code = /* wgsl */ `${k.declarations}
@compute @workgroup_size(${k.width})
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let o = (wg.y * ${across}u + wg.x) * ${k.width}u + lane;
  if (o >= ${k.size}u) { return; }
  ${k.body}
  ${k.output}[o] = ${k.value};
}
`;
  return { code, workgroups: [across, Math.ceil(groups / across), 1] };
}
