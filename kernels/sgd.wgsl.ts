/**
 * One step of stochastic gradient descent with momentum over a flat array of parameters, in place, in
 * the order of torch.optim.SGD.
 *
 * Buffers: `g` [size] gradients, `h` [groups × 4] hyper-parameters (learning rate, momentum, weight
 * decay, 1 for Nesterov's momentum), `scale` [1] factor on the gradients (a negative one: leave
 * everything as it is, for a gradient is not finite), and in place `p`, `v` [size].
 * Groups are runs of the array; `ends` are their ends. One invocation a parameter.
 */
export function sgd(
  k: {
    declarations: string;
    names: { p: string; v: string; g: string; h: string; scale: string };
    size: number;
    ends: readonly number[];
    width: number;
  },
): { code: string; workgroups: [number, number, number] } {
  const { p, v, g, h, scale } = k.names;
  const groups = Math.ceil(k.size / k.width), across = Math.min(groups, 65535);
  const group = k.ends.slice(0, -1).map((end) => `u32(i >= ${end}u)`).join(" + ") || "0u";
  const code = /* wgsl */ `${k.declarations}
@compute @workgroup_size(${k.width})
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (wg.y * ${across}u + wg.x) * ${k.width}u + lane;
  if (i >= ${k.size}u || ${scale}[0] < 0.0) { return; }
  let at = (${group}) * 4u;
  let momentum = ${h}[at + 1u];
  let grad = ${g}[i] * ${scale}[0] + ${h}[at + 2u] * ${p}[i];
  let velocity = momentum * ${v}[i] + grad;
  ${v}[i] = velocity;
  let step = select(velocity, grad + momentum * velocity, ${h}[at + 3u] > 0.0);
  ${p}[i] = ${p}[i] - ${h}[at] * step;
}
`;
  return { code, workgroups: [across, Math.ceil(groups / across), 1] };
}
