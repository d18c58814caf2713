/**
 * Work on rows, several steps of it in one kernel: loops over the elements of a row, each of which may
 * write elements and reduce the row to numbers, and between the loops what is made of those numbers.
 *
 * `lanes` invocations share a row. Each works on every `lanes`-th element, in every loop on the same
 * ones, so it can read what it wrote in an earlier loop without a barrier. What the lanes reduced is
 * joined by an exchange within the subgroup where `lanes` is its size, else in workgroup memory, in an
 * order that depends on the shape only. Sums of long rows are sums of sums, as in `reduce`.
 */
import { type Rule, RUN } from "./reduce.wgsl.ts";

/** A number that a loop reduces a row to. */
export interface RowReduction {
  /** Variable of the state. */
  name: string;
  rule: Rule;
  /** WGSL type of the elements. */
  type: string;
  /** Expression of the element that is taken in. */
  value: string;
}

/** What a row kernel is made of. */
export interface RowKernel {
  declarations: string;
  rows: number;
  count: number;
  /** Invocations for a row, a power of two. */
  lanes: number;
  /** Most invocations of a workgroup. */
  width: number;
  /** How often a workgroup takes rows, one after the other, where none share workgroup memory. */
  turns: number;
  /** Whether the lanes of a row are a subgroup that can exchange values. */
  subgroup: boolean;
  /** Elements that an invocation works on in one turn of a loop. */
  each: number;
  /** Statements about the row `o` before the loops. */
  before: string;
  loops: readonly {
    /** Statements about the element `e` of the row, `p` of the tensor. */
    body: string;
    reductions: readonly RowReduction[];
    /** Statements about the row once all of it was seen; `lane == 0u` writes. */
    after: string;
  }[];
}

type Loop = RowKernel["loops"][number];

/** A loop over a lane's share of the row. */
function share(k: RowKernel, { body, reductions }: Loop): string {
  const walk = (prefix: string, from: string, end: string) => {
    const take = reductions.map(({ name, rule, value }) =>
      `{ let v = ${value}; ${rule.take(prefix + name)} }`
    ).join("\n");
    const each = Array.from(
      { length: k.each },
      (_, i) =>
        `{ let e = c${i === 0 ? "" : ` + ${i * k.lanes}u`}; let p = base + e;\n${body}\n${take} }`,
    );
    return `for (${from}; c < ${end}; c += ${k.lanes * k.each}u) {\n${each.join("\n")}\n}`;
  };
  const start = (prefix: string) =>
    reductions.map(({ name, rule, type }) => `var ${prefix}${name} = ${rule.start(type)};`).join(
      " ",
    );
  const join = (to: string, from: string) =>
    reductions.map(({ name, rule }) => `{ ${rule.join(to + name, from + name)} }`).join(" ");
  const long = k.count > 2 * RUN * k.lanes && reductions.some(({ rule }) => rule.adds);
  if (!long) return `${start("")}\n${walk("", "var c = lane", `${k.count}u`)}`;
  const runs = (prefix: string, end: string) =>
    `while (c < ${end}) {
${start("run_")}
let run_end = min(c + ${RUN * k.lanes}u, ${end});
${walk("run_", "", "run_end")}
${join(prefix, "run_")}
}`;
  if (k.count <= RUN * RUN * k.lanes) {
    return `${start("")}\n{ var c = lane;\n${runs("", `${k.count}u`)} }`;
  }
  return `${start("")}
{ var c = lane;
while (c < ${k.count}u) {
${start("sum_")}
let sum_end = min(c + ${RUN * RUN * k.lanes}u, ${k.count}u);
${runs("sum_", "sum_end")}
${join("", "sum_")}
} }`;
}

/** Joins what the lanes have; afterwards all of them have the result. */
function exchange(k: RowKernel, { reductions }: Loop, loop: number): string {
  if (k.lanes === 1 || reductions.length === 0) return "";
  if (k.subgroup) {
    return reductions.map(({ name, rule }) => {
      const steps: string[] = [];
      for (let half = k.lanes >> 1; half > 0; half >>= 1) {
        steps.push(
          `{ let other = subgroupShuffleXor(${name}, ${half}u); ${rule.join(name, "other")} }`,
        );
      }
      // Rounding may differ between the two sides of an exchange, so one lane decides.
      return `${steps.join("\n")}\n${name} = subgroupBroadcast(${name}, 0u);`;
    }).join("\n");
  }
  const shared = (name: string) => `shared_${loop}_${name}`;
  return `${reductions.map(({ name }) => `${shared(name)}[local] = ${name};`).join(" ")}
workgroupBarrier();
for (var half = ${k.lanes / 2}u; half > 0u; half >>= 1u) {
  if (lane < half) {
    ${
    reductions.map(({ name, rule }) =>
      `{ var a = ${shared(name)}[local]; let b = ${shared(name)}[local + half];
    ${rule.join("a", "b")} ${shared(name)}[local] = a; }`
    ).join("\n    ")
  }
  }
  workgroupBarrier();
}
${reductions.map(({ name }) => `${name} = ${shared(name)}[local - lane];`).join(" ")}`;
}

/** WGSL and launch shape of a row kernel. */
export function rowLoops(k: RowKernel): { code: string; workgroups: [number, number, number] } {
  const most = Math.max(1, k.width / k.lanes);
  // Exchanges need all lanes, so every workgroup has as many rows; without them, late ones leave.
  let outputs = most;
  if (k.lanes > 1) { while (k.rows % outputs !== 0) outputs--; }
  const width = k.lanes * outputs;
  const groups = Math.ceil(k.rows / outputs), workgroups = Math.ceil(groups / k.turns);
  const across = Math.min(workgroups, 65535);
  const shared = k.lanes === 1 || k.subgroup
    ? []
    : k.loops.flatMap(({ reductions }, loop) =>
      reductions.map(({ name, rule, type }) =>
        `var<workgroup> shared_${loop}_${name}: array<${rule.state(type)}, ${width}>;`
      )
    );
  const loops = k.loops.map((loop, i) =>
    [share(k, loop), exchange(k, loop, i), loop.after].filter((s) => s !== "").join("\n")
  );
  const code = /* wgsl */ `${
    k.subgroup && k.lanes > 1 ? "enable subgroups;\n" : ""
  }${k.declarations}
${shared.join("\n")}
@compute @workgroup_size(${width})
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
let lane = ${k.lanes === 1 ? "0u" : `local % ${k.lanes}u`};
let begin = (wg.y * ${across}u + wg.x) * ${k.turns}u;
let end = min(begin + ${k.turns}u, ${groups}u);
for (var group = begin; group < end; group++) {
let o = group * ${outputs}u + local${k.lanes === 1 ? "" : ` / ${k.lanes}u`};
${k.lanes === 1 ? `if (o >= ${k.rows}u) { return; }` : ""}
let base = o * ${k.count}u;
${k.before}
${loops.join("\n")}
}
}
`;
  return { code, workgroups: [across, Math.ceil(workgroups / across), 1] };
}
