/** WGSL of numbers, their types and elementwise operations. */
import type { DType } from "../dtype.ts";

/** WGSL type of a dtype's values in registers. */
export function registerType(dtype: DType): string {
  return dtype === "f16" ? "f32" : dtype;
}

/** WGSL of elementwise operations, from the WGSL of the operands. */
export const ELEMENTWISE: Readonly<Record<string, (...x: string[]) => string>> = {
  add: (a, b) => `${a} + ${b}`,
  sub: (a, b) => `${a} - ${b}`,
  mul: (a, b) => `${a} * ${b}`,
  div: (a, b) => `${a} / ${b}`,
  maximum: (a, b) => `max(${a}, ${b})`,
  minimum: (a, b) => `min(${a}, ${b})`,
  less: (a, b) => `${a} < ${b}`,
  less_equal: (a, b) => `${a} <= ${b}`,
  equal: (a, b) => `${a} == ${b}`,
  // By its bits: compilers may take it for granted that a float is finite.
  is_finite: (a) => `(bitcast<u32>(${a}) & 0x7f800000u) != 0x7f800000u`,
  and: (a, b) => `${a} && ${b}`,
  or: (a, b) => `${a} || ${b}`,
  not: (a) => `!${a}`,
  where: (c, a, b) => `select(${b}, ${a}, ${c})`,
  neg: (a) => `-${a}`,
  abs: (a) => `abs(${a})`,
  sign: (a) => `sign(${a})`,
  floor: (a) => `floor(${a})`,
  sqrt: (a) => `sqrt(${a})`,
  rsqrt: (a) => `inverseSqrt(${a})`,
  exp: (a) => `exp(${a})`,
  log: (a) => `log(${a})`,
  sin: (a) => `sin_f32(${a})`,
  cos: (a) => `cos_f32(${a})`,
  tanh: (a) => `tanh_f32(${a})`,
  sigmoid: (a) => `1.0 / (1.0 + exp(-${a}))`,
  erf: (a) => `erf_f32(${a})`,
  softmax: (x, top, total) => `exp(${x} - ${top}) / ${total}`,
  log_softmax: (x, top, total) => `${x} - ${top} - log(${total})`,
  stop_gradient: (a) => a,
  identity: (a) => a,
};

/** WGSL of silu(gate) × up. */
export const swigluText = (gate: string, up: string): string =>
  `${gate} * (1.0 / (1.0 + exp(-${gate}))) * ${up}`;

/** WGSL of its gradients by gate and by up, given that of the result. */
export function swigluGradientText(gate: string, up: string, g: string): [string, string] {
  const s = `(1.0 / (1.0 + exp(-${gate})))`, linear = `(${gate} * ${s})`;
  return [`${g} * (${up} * (${s} + ${linear} * (1.0 - ${s})))`, `${g} * ${linear}`];
}

/** A number as WGSL of the dtype. */
export function literal(value: number, dtype: DType): string {
  switch (dtype) {
    case "i32":
      return `i32(${value})`;
    case "u32":
      return `${value}u`;
    case "bool":
      return value ? "true" : "false";
    default: {
      if (Number.isNaN(value)) return "(inf() - inf())";
      const f = Math.fround(value);
      if (f === Infinity) return "inf()";
      if (f === -Infinity) return "-inf()";
      return Object.is(f, -0) ? "-0.0f" : `${f}f`;
    }
  }
}
