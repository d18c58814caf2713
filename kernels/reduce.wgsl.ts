/**
 * Reduction over any axes, with the operand's expression in front and an epilogue behind.
 *
 * A workgroup holds `outputs` results of `lanes` invocations each; every lane walks its share of the
 * elements in order, then the lanes are joined in a tree, so the result depends on the shape only.
 * Sums of long shares are made of sums of runs, and those of shorter runs, for rounding errors grow
 * with the number of additions one after the other. (Compensated sums would not do: drivers take
 * their corrections for zeros and drop them.)
 */

/** How elements are joined. A state is one number, or two for logsumexp. */
export interface Rule {
  /** Type of the state, from the type of the elements. */
  state: (type: string) => string;
  start: (type: string) => string;
  /** Statement that takes `v` into the state named. */
  take: (acc: string) => string;
  /** Statement that takes state `b` into the variable `a`. */
  join: (a: string, b: string) => string;
  /** Adds, so that rounding errors pile up. */
  adds: boolean;
  /** Expression of the result from the state named. */
  result: (acc: string) => string;
}

const LOWEST: Record<string, string> = {
  f32: "-inf()",
  i32: "i32(-2147483648)",
  u32: "0u",
};
const HIGHEST: Record<string, string> = { f32: "inf()", i32: "2147483647i", u32: "0xffffffffu" };

/**
 * The running pair of a softmax: largest so far, and sum of exp relative to it (Milakov and Gimelshein
 * 2018, "Online normalizer calculation for softmax"). The largest starts as a finite number, so that
 * elements of -inf add nothing and inf - inf never happens. Of the new and the old largest one is the
 * larger by some amount, so one exp of it serves both cases. (Not written with abs(): Mesa 26 takes
 * -inf plus the largest number to be no less than zero, and leaves abs() out.)
 */
const SOFTMAX_PAIR = {
  state: () => "vec2f",
  start: () => "vec2f(-3.4028234e38f, 0.0f)",
  take: (acc: string) =>
    `let beyond = v - ${acc}.x; let less = exp(min(beyond, -beyond)); ${acc} = ` +
    `select(vec2f(${acc}.x, ${acc}.y + less), vec2f(v, fma(${acc}.y, less, 1.0f)), beyond > 0.0f);`,
  join: (a: string, b: string) =>
    `let top = max(${a}.x, ${b}.x); ` +
    `${a} = vec2f(top, ${a}.y * exp(${a}.x - top) + ${b}.y * exp(${b}.x - top));`,
  adds: true,
};

/** The reductions, by operation name. */
export const REDUCE_RULES: Readonly<Record<string, Rule>> = {
  sum: {
    state: (t) => t,
    start: (t) => `${t}(0)`,
    take: (acc) => `${acc} = ${acc} + v;`,
    join: (a, b) => `${a} = ${a} + ${b};`,
    adds: true,
    result: (acc) => acc,
  },
  prod: {
    state: (t) => t,
    start: (t) => `${t}(1)`,
    take: (acc) => `${acc} = ${acc} * v;`,
    join: (a, b) => `${a} = ${a} * ${b};`,
    adds: false,
    result: (acc) => acc,
  },
  max: {
    state: (t) => t,
    start: (t) => LOWEST[t],
    take: (acc) => `${acc} = max(${acc}, v);`,
    join: (a, b) => `${a} = max(${a}, ${b});`,
    adds: false,
    result: (acc) => acc,
  },
  min: {
    state: (t) => t,
    start: (t) => HIGHEST[t],
    take: (acc) => `${acc} = min(${acc}, v);`,
    join: (a, b) => `${a} = min(${a}, ${b});`,
    adds: false,
    result: (acc) => acc,
  },
  logsumexp: {
    ...SOFTMAX_PAIR,
    result: (acc) => `select(${acc}.x + log(${acc}.y), -inf(), ${acc}.y == 0.0)`,
  },
  softmax_stats: { ...SOFTMAX_PAIR, result: (acc) => acc },
};

/** What a reduction kernel is made of. */
export interface ReduceKernel {
  declarations: string;
  rule: Rule;
  /** WGSL type of the elements. */
  type: string;
  /** Number of results, and of elements each is made from. */
  results: number;
  count: number;
  /** Invocations a result, a power of two; results a workgroup. */
  lanes: number;
  outputs: number;
  /** Neighbouring lanes read neighbouring elements of one result, rather than of several. */
  along: boolean;
  /** Statements before the loop; statements in it, and the expression of the element `r`. */
  outer: string;
  inner: string;
  element: string;
  /** Statements that store at `o`, given the result as `result`. */
  store: string;
}

/** Elements of a run; runs of a longer run. */
export const RUN = 16;

/** Statements that take a lane's share into `acc`. */
function share(k: ReduceKernel): string {
  const start = k.rule.start(k.type);
  const walk = (acc: string, end: string) =>
    `for (; r < ${end}; r += ${k.lanes}u) {
    ${k.inner}
    let v = ${k.element};
    ${k.rule.take(acc)}
  }`;
  if (!k.rule.adds || k.count <= 2 * RUN * k.lanes) {
    return `var r = lane;
  ${walk("acc", `${k.count}u`)}`;
  }
  return `var r = lane;
  while (r < ${k.count}u) {
    var sum = ${start};
    let sum_end = min(r + ${RUN * RUN * k.lanes}u, ${k.count}u);
    while (r < sum_end) {
      var run = ${start};
      let run_end = min(r + ${RUN * k.lanes}u, sum_end);
      ${walk("run", "run_end")}
      ${k.rule.join("sum", "run")}
    }
    ${k.rule.join("acc", "sum")}
  }`;
}

/** WGSL and launch shape of a reduction. */
export function reduce(
  k: ReduceKernel,
): { code: string; workgroups: [number, number, number] } {
  const width = k.lanes * k.outputs;
  const state = k.rule.state(k.type);
  const groups = Math.ceil(k.results / k.outputs);
  const across = Math.min(groups, 65535);
  const step = k.along ? 1 : k.outputs;
  const tree = k.lanes === 1 ? "" : /* wgsl */ `
  shared_state[local] = acc;
  workgroupBarrier();
  for (var half = ${k.lanes / 2}u; half > 0u; half >>= 1u) {
    if (lane < half) {
      var a = shared_state[local];
      let b = shared_state[local + half * ${step}u];
      ${k.rule.join("a", "b")}
      shared_state[local] = a;
    }
    workgroupBarrier();
  }
  acc = shared_state[local];`;
  const code = /* wgsl */ `${k.declarations}
${k.lanes === 1 ? "" : `var<workgroup> shared_state: array<${state}, ${width}>;`}
@compute @workgroup_size(${width})
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let lane = ${k.lanes === 1 ? "0u" : k.along ? `local % ${k.lanes}u` : `local / ${k.outputs}u`};
  let slot = ${k.lanes === 1 ? "local" : k.along ? `local / ${k.lanes}u` : `local % ${k.outputs}u`};
  let place = (wg.y * ${across}u + wg.x) * ${k.outputs}u + slot;
  let o = min(place, ${k.results - 1}u); // lanes beyond the end repeat the last result, unwritten
  ${k.outer}
  var acc = ${k.rule.start(k.type)};
  ${share(k)}${tree}
  if (lane == 0u && place < ${k.results}u) {
    let result = ${k.rule.result("acc")};
    ${k.store}
  }
}
`;
  return { code, workgroups: [across, Math.ceil(groups / across), 1] };
}
