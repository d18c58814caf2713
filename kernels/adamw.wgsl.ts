/**
 * One AdamW step over a flat array of parameters, in place (Loshchilov and Hutter 2019, in the order
 * of torch.optim.AdamW).
 *
 * Buffers: `g` [size] gradients, `h` [groups × 8] numbers of this step (1 - rate · weight decay,
 * rate / (1 - β1^t), β1, 1 - β1, β2, 1 - β2, √(1 - β2^t), ε), `scale` [1] factor on the gradients
 * (a negative one: leave everything as it is, for a gradient is not finite), and in place `p`, `m`, `v`
 * [size]. Groups are runs of the array; `ends` are their ends. The differences from 1 are formed in
 * float64 beforehand: in float32 1 - 0.999 is off by 5e-5 of itself.
 *
 * An invocation updates `each` neighbours, which `size` and all ends are multiples of: it loads the
 * numbers of its group once.
 */
export function adamw(
  k: {
    declarations: string;
    names: { p: string; m: string; v: string; g: string; h: string; scale: string };
    size: number;
    ends: readonly number[];
    width: number;
    each: number;
  },
): { code: string; workgroups: [number, number, number] } {
  const { p, m, v, g, h, scale } = k.names;
  const groups = Math.ceil(k.size / k.each / k.width), across = Math.min(groups, 65535);
  const group = k.ends.slice(0, -1).map((end) => `u32(first >= ${end}u)`).join(" + ") || "0u";
  const code = /* wgsl */ `${k.declarations}
@compute @workgroup_size(${k.width})
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first = ((wg.y * ${across}u + wg.x) * ${k.width}u + lane) * ${k.each}u;
  let factor = ${scale}[0];
  if (first >= ${k.size}u || factor < 0.0) { return; }
  let at = (${group}) * 8u;
  ${Array.from({ length: 8 }, (_, j) => `let h${j} = ${h}[at + ${j}u];`).join(" ")}
  ${
    Array.from({ length: k.each }, (_, j) =>
      /* wgsl */ `{
    let i = first + ${j}u;
    let grad = ${g}[i] * factor;
    let m1 = h2 * ${m}[i] + h3 * grad;
    let v1 = h4 * ${v}[i] + h5 * grad * grad;
    ${m}[i] = m1;
    ${v}[i] = v1;
    let denominator = sqrt(v1) / h6 + h7;
    ${p}[i] = ${p}[i] * h0 - h1 * m1 / denominator;
  }`).join("\n  ")
  }
}
`;
  return { code, workgroups: [across, Math.ceil(groups / across), 1] };
}
