/**
 * One AdamW step over a flat array of parameters, in place (Loshchilov and Hutter 2019, in the order
 * of torch.optim.AdamW).
 *
 * Buffers: `g` [size] gradients, `h` [groups × 8] hyper-parameters (learning rate, β1, β2, ε, weight
 * decay, 1 - β1^t, √(1 - β2^t), unused), `scale` [1] factor on the gradients, and in place `p`, `m`,
 * `v` [size]. Groups are runs of the array; `ends` are their ends.
 */
export function adamw(
  k: {
    declarations: string;
    names: { p: string; m: string; v: string; g: string; h: string; scale: string };
    size: number;
    ends: readonly number[];
    width: number;
  },
): { code: string; workgroups: [number, number, number] } {
  const { p, m, v, g, h, scale } = k.names;
  const groups = Math.ceil(k.size / k.width), across = Math.min(groups, 65535);
  const group = k.ends.slice(0, -1).map((end) => `u32(i >= ${end}u)`).join(" + ") || "0u";
  const code = /* wgsl */ `${k.declarations}
@compute @workgroup_size(${k.width})
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (wg.y * ${across}u + wg.x) * ${k.width}u + lane;
  if (i >= ${k.size}u) { return; }
  let at = (${group}) * 8u;
  let rate = ${h}[at];
  let beta1 = ${h}[at + 1u];
  let beta2 = ${h}[at + 2u];
  let grad = ${g}[i] * ${scale}[0];
  let m1 = beta1 * ${m}[i] + (1.0 - beta1) * grad;
  let v1 = beta2 * ${v}[i] + (1.0 - beta2) * grad * grad;
  ${m}[i] = m1;
  ${v}[i] = v1;
  let denominator = sqrt(v1) / ${h}[at + 6u] + ${h}[at + 3u];
  ${p}[i] = ${p}[i] * (1.0 - rate * ${h}[at + 4u]) - rate / ${h}[at + 5u] * m1 / denominator;
}
`;
  return { code, workgroups: [across, Math.ceil(groups / across), 1] };
}
