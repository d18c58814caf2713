/**
 * Matrix products by one subgroup without memory of its own, for CPU drivers with a fixed subgroup
 * size. There a subgroup is one vector register, and a load with a lane-dependent index is a loop over
 * the lanes: so few loads of four numbers each feed many multiplications, and those of one row of results
 * stand together, so that its sums stay in registers meanwhile. For a few values of k
 * - each lane loads of A four numbers: of its own row, or of four rows for its own k,
 * - each lane loads of B its own columns for each k,
 * - `subgroupBroadcast` hands every number of A to all lanes (a register shuffle).
 *
 * Such drivers compile slowly, so nothing is written out more often than it serves: small products get
 * less text than large ones.
 */
import {
  matmulHeader,
  type MatmulKernel,
  type MatmulSize,
  type MatmulText,
} from "./matmul.wgsl.ts";

const COMPONENTS = ["x", "y", "z", "w"] as const;

/** Rows of C that a subgroup computes, columns of each of its lanes, and values of k of one step. */
interface Block {
  rows: 8 | 16 | 32;
  columns: 1 | 2 | 4;
  step: 1 | 4;
}

/** Products from which on more text pays: it takes 0.2 s longer to compile. */
const MANY = 2 ** 25;

/**
 * The block for a product of this size: wide results share more loads, and pairs are two columns.
 *
 * @param together rows of A that share their B
 */
function blockFor(
  { a, b, pairs }: MatmulKernel,
  { batch, m, n, k }: MatmulSize,
  together: number,
  subgroup: number,
): Block {
  const isLarge = batch * m * n * k > MANY;
  // Lanes hold four rows each, and all rows of a subgroup have one B.
  const fits = subgroup >= 8 && (together === Infinity || together % 32 === 0);
  return {
    rows: isLarge && m > 16 && fits ? 32 : m > 8 ? 16 : 8,
    columns: n > 2 * subgroup ? 4 : n > subgroup || pairs ? 2 : 1,
    // where numbers run along k, as many as are loaded at once
    step: a.along === "k" || b.along === "k" || (isLarge && a.along && b.along) ? 4 : 1,
  };
}

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** Loads of A for one step, and the WGSL of its number for a row and a k of the step. */
interface Rows {
  /** Before the loop. */
  setup: string;
  loads: string;
  at: (row: number, k: number) => string;
}

function loadRows({ a }: MatmulKernel, { rows, step }: Block, s: number): Rows {
  if (a.along === "across") {
    // Lanes side by side take four rows each of one k, the next lanes those of the next k.
    const each = rows / 4, steps = Math.max(1, Math.floor(s / each));
    const loads = range(Math.ceil(step / steps));
    return {
      setup: `let across = min(row / 4u + lane % ${each}u, (d.m - 1u) / 4u);`,
      loads: loads.map((i) =>
        `let a_part${i} = ${
          a.four!(
            `a0 / 4u + across + (k + min(${i * steps}u + lane / ${each}u, ${
              step - 1
            }u)) * (d.a_k / 4u)`,
          )
        };`
      ).join(" "),
      at: (row, k) =>
        `subgroupBroadcast(a_part${Math.floor(k / steps)}.${COMPONENTS[row % 4]}, ${
          (k % steps) * each + Math.floor(row / 4)
        }u)`,
    };
  }
  // Every lane has a row of its own.
  const parts = range(Math.ceil(rows / s));
  const from = (i: number) => `a_row${i}`;
  const at = (row: number, k: number) =>
    `subgroupBroadcast(a_part${Math.floor(row / s)}.${COMPONENTS[k]}, ${row % s}u)`;
  const setup = parts.map((i) =>
    `let ${from(i)} = a0 + min(row + ${i * s}u + lane, d.m - 1u) * d.a_row;`
  ).join(" ");
  const four = (i: number) =>
    a.along === "k"
      ? a.four!(`(${from(i)} + k) / 4u`)
      : `vec4f(${
        range(step).map((j) => a.element(`${from(i)} + (k + ${j}u) * d.a_k`)).join(", ")
      })`;
  return { setup, loads: parts.map((i) => `let a_part${i} = ${four(i)};`).join(" "), at };
}

/** Loads of B for one step, and the WGSL of a lane's columns for a k of the step. */
interface Columns {
  setup: string;
  loads: string;
  at: (k: number) => string;
}

/** The last values of k, fewer than a step, one by one. */
function tail({ a, b }: MatmulKernel, rows: number, type: string, columns: number): string {
  const bs = range(columns).map((c) =>
    b.element(`b0 + column_b(column + ${c}u) * d.b_n + k * d.b_k`)
  );
  const as = range(rows).map((r) =>
    a.element(`a0 + min(row + ${r}u, d.m - 1u) * d.a_row + k * d.a_k`)
  );
  return /* wgsl */ `for (; k < end; k++) {
    let b = ${type}(${bs.join(", ")});
    ${as.map((x, r) => `c${r} = fma(${type}(${x}), b, c${r});`).join("\n    ")}
  }`;
}

const vector = (columns: number): string => columns === 1 ? "f32" : `vec${columns}f`;

function loadColumns({ b }: MatmulKernel, columns: number): Columns {
  if (b.along === "across" && columns === 4) {
    return {
      setup: `let b_column = b0 / 4u + min(column, d.n - 1u) / 4u;`,
      loads: "",
      at: (k) => b.four!(`b_column + (k + ${k}u) * (d.b_k / 4u)`),
    };
  }
  const each = range(columns);
  const setup = each.map((c) => `let b_column${c} = b0 + column_b(column + ${c}u) * d.b_n;`)
    .join(" ");
  const joined = (values: string[]) =>
    columns === 1 ? values[0] : `${vector(columns)}(${values.join(", ")})`;
  if (b.along === "k") {
    return {
      setup,
      loads: each.map((c) => `let b_part${c} = ${b.four!(`(b_column${c} + k) / 4u`)};`).join(" "),
      at: (k) => joined(each.map((c) => `b_part${c}.${COMPONENTS[k]}`)),
    };
  }
  return {
    setup,
    loads: "",
    at: (k) => joined(each.map((c) => b.element(`b_column${c} + (k + ${k}u) * d.b_k`))),
  };
}

function storeEach(rows: number, columns: number): string {
  return /* wgsl */ `let count = min(${rows}u, d.m - row) * ${columns}u;
  for (var i = 0u; i < count; i++) {
    let r = i / ${columns}u;
    let c = i % ${columns}u;
    store(z, row + r, column + c, results[r]${columns === 1 ? "" : "[c]"});
  }`;
}

function storePairs(rows: number, columns: number): string {
  return /* wgsl */ `let count = min(${rows}u, d.m - row) * ${columns / 2}u;
  for (var i = 0u; i < count; i++) {
    let r = i / ${columns / 2}u;
    let c = i % ${columns / 2}u * 2u;
    store_pair(z, row + r, column + c, results[r][c], results[r][c + 1u]);
  }`;
}

/**
 * WGSL and launch shape of the broadcast variant for subgroups of `s` lanes.
 *
 * @param together rows of A that share their B, a multiple of 16
 */
export function broadcastMatmul(
  kernel: MatmulKernel,
  size: MatmulSize,
  s: number,
  together: number,
): MatmulText {
  const block = blockFor(kernel, size, together, s);
  const { rows, columns, step } = block;
  const each = range(rows);
  const a = loadRows(kernel, block, s), b = loadColumns(kernel, columns);
  const type = vector(columns);
  const code = /* wgsl */ `enable subgroups;
${matmulHeader(kernel, 1)}
@compute @workgroup_size(${s})
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
  let z = wg.z;
  let row = wg.y * ${rows}u;
  let column = (wg.x * ${s}u + lane) * ${columns}u;
  let a0 = base_a(z);
  let b0 = base_b(z, row);
  ${a.setup}
  ${b.setup}
  ${each.map((r) => `var c${r} = ${type}();`).join(" ")}
  let end = end_k(z, row);
  var k = first_k(z);
  for (; k + ${step}u <= end; k += ${step}u) {
    ${a.loads}
    ${b.loads}
    ${range(step).map((k) => `let b${k} = ${b.at(k)};`).join("\n    ")}
    ${
    each.map((r) =>
      range(step).map((k) => `c${r} = fma(${type}(${a.at(r, k)}), b${k}, c${r});`).join(" ")
    ).join("\n    ")
  }
  }
  ${kernel.whole || step === 1 ? "" : tail(kernel, rows, type, columns)}
  // In a loop over a copy, so that the epilogue's text is compiled once and not for every result; through
  // workgroup memory it takes twice as long to compile.
  var results = array<${type}, ${rows}>(${each.map((r) => `c${r}`).join(", ")});
  ${kernel.pairs ? storePairs(rows, columns) : storeEach(rows, columns)}
}
`;
  const { batch, m, n } = size;
  return { code, workgroups: [Math.ceil(n / (s * columns)), Math.ceil(m / rows), batch] };
}
