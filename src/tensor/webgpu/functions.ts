/**
 * Functions in WGSL that expressions use: what WGSL lacks, and what it computes too roughly. The
 * coefficients of sine and cosine are those of Cephes (Moshier 1989, sinf.c).
 */

const FUNCTIONS: Readonly<Record<string, string>> = {
  inf: /* wgsl */ `
var<private> inf_bits: u32 = 0x7f800000u; // not a constant, for WGSL has no literal for infinity
fn inf() -> f32 { return bitcast<f32>(inf_bits); }
`,
  round_to_half: /* wgsl */ `
// Rounds to the nearest f16, ties to even, and beyond 65504 to infinity. In whole numbers, for
// drivers drop conversions there and back, and WGSL leaves their direction and overflow open.
fn round_to_half(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  let size = bits & 0x7fffffffu;
  if (size > 0x7f800000u) { return x; } // not a number
  var rounded = (size + 0xfffu + ((size >> 13u) & 1u)) & 0xffffe000u;
  if (size < 0x38800000u) { // below 2^-14 f16 has multiples of 2^-24
    let shift = min(126u - (size >> 23u), 25u);
    let digits = (size & 0x7fffffu) | 0x800000u;
    let whole = (digits + (1u << (shift - 1u)) - 1u + ((digits >> shift) & 1u)) >> shift;
    rounded = bitcast<u32>(f32(whole) * 5.9604645e-8f);
  }
  if (size >= 0x477ff000u) { rounded = 0x7f800000u; }
  return bitcast<f32>(rounded | (bits & 0x80000000u));
}
`,
  tanh_f32: /* wgsl */ `
// By the exponential alone it would lose digits near 0 and overflow far from it: odd Taylor polynomial
// below 0.25 (next term < 1e-9 there), else (1 - e) / (1 + e) with e = exp(-2|x|).
fn tanh_f32(x: f32) -> f32 {
  let a = abs(x);
  let s = x * x;
  let small = x * (1.0 + s * (-0.33333334 + s * (0.13333334 + s * (-0.053968254
    + s * (0.021869488 + s * -0.008863236)))));
  let e = exp(-2.0 * a);
  let large = sign(x) * (1.0 - e) / (1.0 + e);
  return select(large, small, a < 0.25);
}
`,
  erf_f32: /* wgsl */ `
// Maclaurin series below 1, else 1 - erfc by the continued-fraction fit of Numerical Recipes
// (3rd ed., section 6.2.2, relative error of erfc below 1.2e-7).
fn erf_f32(x: f32) -> f32 {
  let a = abs(x);
  let s = x * x;
  let small = x * (1.1283792 + s * (-0.37612638 + s * (0.11283792 + s * (-0.026866171
    + s * (0.0052239776 + s * (-0.00085483274 + s * (0.00012055333 + s * (-1.4925650e-5
    + s * (1.6462115e-6 + s * -1.6365844e-7)))))))));
  let t = 1.0 / (1.0 + 0.5 * a);
  let p = -1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806
    + t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))));
  let large = sign(x) * (1.0 - t * exp(-s + p));
  return select(large, small, a < 1.0);
}
`,
  sin_f32: /* wgsl */ `
// WGSL promises sine and cosine to 2^-11 within half a turn only, too little for rotary embeddings.
fn sin_f32(x: f32) -> f32 { return sine_of_quarter(x, 0); }
`,
  cos_f32: /* wgsl */ `
fn cos_f32(x: f32) -> f32 { return sine_of_quarter(x, 1); }
`,
  sine_of_quarter: /* wgsl */ `
// sin(x + quarters · π/2): x is brought into [-π/4, π/4] by quarter turns of three exact parts
// (Cody and Waite), right up to |x| of about 10,000.
fn sine_of_quarter(x: f32, quarters: i32) -> f32 {
  let n = round(x * 0.63661977);
  let r = ((x - n * 1.5703125) - n * 4.8375129699707031e-4) - n * 7.5497899548918822e-8;
  let s = r * r;
  let sine = r + r * s * (-0.16666654611 + s * (0.0083321608736 + s * -1.9515295891e-4));
  let cosine = 1.0 - 0.5 * s
    + s * s * (0.04166664568298827 + s * (-0.001388731625493765 + s * 2.443315711809948e-5));
  let quarter = (i32(n) + quarters) & 3;
  let value = select(sine, cosine, (quarter & 1) == 1);
  return select(value, -value, quarter >= 2);
}
`,
};

/** The functions that a kernel's text calls, and those that they call. */
export function calledFunctions(code: string): string {
  let called = "";
  for (const [name, text] of Object.entries(FUNCTIONS)) {
    if (code.includes(`${name}(`) || called.includes(`${name}(`)) called += text;
  }
  return called;
}
