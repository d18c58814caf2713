/**
 * Products on tensor cores. Where the device has none, small functions stand in for the language
 * extension, so that everything around it is tested: tiles, edges, ways through workgroup memory.
 */
import { assert, assertEquals } from "@std/assert";
import { MATRIX_TILES, type MatrixUnit } from "../../kernels/matmul_matrix.wgsl.ts";
import * as t from "../../src/tensor/mod.ts";
import type { Tensor } from "../../src/tensor/mod.ts";
import { plan } from "../../src/tensor/plan.ts";
import { targetOf } from "../../src/tensor/webgpu/execute.ts";
import { lower } from "../../src/tensor/webgpu/lower.ts";
import { session, test } from "./harness.ts";
import { computedFor } from "./with_target.ts";

/** A unit that no two sizes of can be mixed up. */
const STAND_IN: MatrixUnit = { operands: "f16", m: 8, n: 4, k: 16 };

/**
 * The same kernel without the extension. Operands stay in workgroup memory, in a place and with a
 * stride by row and by column; every lane has some numbers of a result. The loop has an end that the
 * compiler does not know, or it would write out thousands of lines.
 */
function withoutExtension(code: string, { m, n, k }: MatrixUnit, lanes: number): string {
  if (!code.includes("chromium_experimental_subgroup_matrix")) return code;
  assertEquals(m * n, 4 * lanes);
  return code
    .replace("enable chromium_experimental_subgroup_matrix;", "")
    .replace("diagnostic(off, chromium.subgroup_matrix_uniformity);", "")
    .replace("let z = wg.z;", `let z = wg.z; own_lane = local % ${lanes}u;`)
    .replaceAll(/subgroupMatrixLoad<[^>]*>, (\w+)>\(&tile_\w, /g, "$1(")
    .replaceAll(/subgroup_matrix_result<[^>]*>/g, "vec4f")
    .replaceAll("subgroupMatrixMultiplyAccumulate", "multiply_accumulate")
    .replaceAll("subgroupMatrixStore<row_major>(&sums, ", "store_sums(") +
    /* wgsl */ `
var<private> own_lane: u32;
fn row_major(first: u32, stride: u32) -> vec3u { return 4u * vec3u(first, stride, 0u) + vec3u(0u, 0u, 1u); }
fn col_major(first: u32, stride: u32) -> vec3u { return row_major(first, stride).xzy; }
fn multiply_accumulate(a: vec3u, b: vec3u, c: vec4f) -> vec4f {
  var out = c;
  for (var i = 0u; i < ${k}u * min(d.m, 1u); i++) {
    for (var part = 0u; part < 4u; part++) {
      let o = own_lane * 4u + part;
      let x = a.x + o / ${n}u * a.y + i * a.z;
      let y = b.x + i * b.y + o % ${n}u * b.z;
      out[part] += f32(tile_a[x / 4u][x % 4u]) * f32(tile_b[y / 4u][y % 4u]);
    }
  }
  return out;
}
fn store_sums(first: u32, c: vec4f, stride: u32) {
  var values = c;
  for (var part = 0u; part < 4u; part++) {
    let o = own_lane * 4u + part;
    sums[first + o / ${n}u * stride + o % ${n}u] = values[part];
  }
}
`;
}

/** Values, computed with tensor cores or their stand-in. */
async function byUnits(roots: readonly Tensor[]) {
  const { device } = session().gpu;
  const forced = { matmul: "matrix" };
  const { matrixUnits, subgroup } = targetOf(session().gpu);
  if (matrixUnits.length > 0) return await computedFor({ forced }, roots);
  const create = device.createShaderModule;
  device.createShaderModule = (descriptor) =>
    create.call(device, {
      ...descriptor,
      code: withoutExtension(descriptor.code, STAND_IN, subgroup!),
    });
  try {
    return await computedFor({ forced, matrixUnits: [STAND_IN] }, roots);
  } finally {
    device.createShaderModule = create;
  }
}

const random = new t.Random(5, "matrix units");
/** Random numbers that f16 holds. */
const halves = (...shape: number[]): Tensor =>
  t.tensor(Float16Array.from(random.normals(t.sizeOf(shape))), { shape });

/** Products stay in f32, and sums of 8 to 300 numbers differ in their order only. */
function assertSums(got: ArrayLike<number>, want: ArrayLike<number>, what: string): void {
  assertEquals(got.length, want.length, what);
  for (let i = 0; i < want.length; i++) {
    const error = Math.abs(got[i] - want[i]);
    assert(error <= 2e-5 * (10 + Math.abs(want[i])), `${what}: ${got[i]}, not ${want[i]}, at ${i}`);
  }
}

/** Products stored as f32, whatever the operands. */
const product = (a: Tensor, b: Tensor): Tensor => t.cast(t.matmul(a, b), "f32");

/** Whether a product's kernel uses tensor cores on a device of some kind. */
const usesUnits = (y: Tensor, change: object): boolean =>
  codeOf(y, change).includes("subgroupMatrixLoad");

/** A product's kernel on a device of some kind. */
function codeOf(y: Tensor, change: object): string {
  const { steps: [step], isStored } = plan([y]);
  const target = { ...targetOf(session().gpu), matrixUnits: [STAND_IN], ...change };
  return lower(step, isStored, target).kernel.code;
}

/** Whether the device can run them or their stand-in. */
function canRun(): boolean {
  const { f16, matrixUnits, subgroup } = targetOf(session().gpu);
  return f16 && (matrixUnits.length > 0 || subgroup === STAND_IN.m * STAND_IN.n / 4);
}

/** Checks a product of operands that lie in some way, as it is and with an epilogue stored as f16. */
async function checkProduct(a: Tensor, b: Tensor, what: string): Promise<void> {
  const n = b.shape.at(-1)!;
  const roots = () => [product(a, b), t.relu(t.add(t.matmul(a, b), t.ones([n], "f16")))];
  const want = await computedFor({ forced: { matmul: "tiled" } }, roots());
  const got = await byUnits(roots());
  assertSums(got[0], want[0], what);
  assertEquals(got[1].length, want[1].length);
  want[1].forEach((w, i) =>
    // may be rounded at a tie in either direction
    assert(
      Math.abs(got[1][i] - w) <= 2 ** -10 * Math.max(0.1, w),
      `${what}: ${got[1][i]}, not ${w}`,
    )
  );
}

test("products by tensor cores are right for all sizes and ways that operands lie", async () => {
  if (!canRun()) return;
  const turned = (...shape: number[]) => t.transpose(halves(...shape));
  for (
    const [batch, m, k, n] of [
      ...[[1, 8, 16, 4], [1, 68, 36, 20], [3, 20, 32, 12], [1, 1, 64, 300], [1, 300, 4, 8]],
    ]
  ) {
    const size = `${batch}x${m}x${k}x${n}`;
    await checkProduct(halves(batch, m, k), halves(batch, k, n), `${size}, a, b`);
    await checkProduct(halves(batch, m, k), turned(batch, n, k), `${size}, a, turned b`);
    if (m % 4 > 0) continue; // rows in memory of a number that is no multiple of four
    await checkProduct(turned(batch, k, m), halves(batch, k, n), `${size}, turned a, b`);
    await checkProduct(turned(batch, k, m), turned(batch, n, k), `${size}, turned a, turned b`);
  }
});

test("products by tensor cores are right in tiles of every size", async () => {
  if (!canRun()) return;
  const codes = new Set<string>();
  const { m, n } = STAND_IN;
  // Each is just large enough for the next larger tile.
  for (
    const [rows, columns] of [[8 * m, 16 * n], [16 * m, 64 * n], [32 * m, 64 * n], [
      64 * m,
      128 * n,
    ]]
  ) {
    const a = halves(rows, 36), b = t.transpose(halves(columns, 36));
    await t.evaluate(a, b);
    codes.add(codeOf(t.matmul(a, b), { forced: { matmul: "matrix" } }));
    const [want] = await computedFor({ forced: { matmul: "tiled" } }, [product(a, b)]);
    assertSums((await byUnits([product(a, b)]))[0], want, `${rows}x36x${columns}`);
  }
  assertEquals(codes.size, MATRIX_TILES.length);
});

test("grouped products by tensor cores are right, with empty groups and in both directions", async () => {
  if (!canRun()) return;
  for (const tile of [16, 64]) {
    const chosen = Int32Array.from({ length: 210 }, () => [0, 2, 3, 3, 3][random.int(5)]);
    const map = t.sortByGroup(t.tensor(chosen), 5, tile);
    const tokens = halves(210, 20), experts = halves(5, 36, 20);
    const roots = () => {
      const rows = t.groupedMatmul(t.dispatchRows(tokens, map, 1), experts, map);
      const y = t.cast(t.combineRows(rows, map, 1), "f32");
      return [y, ...t.gradients(t.sum(t.mul(y, y)), [tokens, experts])].map((x) =>
        t.cast(x, "f32")
      );
    };
    const want = await computedFor({ forced: { matmul: "tiled" } }, roots());
    const got = await byUnits(roots());
    for (const [i, values] of got.entries()) {
      // Rounded to f16 on the way.
      const scale = Math.max(...Array.from(want[i], Math.abs));
      for (let o = 0; o < values.length; o++) {
        const [g, w] = [values[o], want[i][o]];
        assert(Math.abs(g - w) <= 2 ** -9 * scale, `tiles of ${tile}, result ${i}: ${g}, not ${w}`);
      }
      assert(scale > 0.1, `result ${i} is nothing`);
    }
  }
});

test("pairs of columns are made one by tensor cores, alone and beside the product", async () => {
  if (!canRun()) return;
  const check = async (roots: () => Tensor[], what: string) => {
    const want = await computedFor({ forced: { matmul: "tiled" } }, roots());
    const got = await byUnits(roots());
    for (const [i, values] of got.entries()) {
      const scale = [...want[i]].reduce((most, x) => Math.max(most, Math.abs(x)), 0.1);
      values.forEach((g, o) => {
        const error = Math.abs(g - want[i][o]); // rounded to f16 in either direction
        assert(error <= 2 ** -10 * scale, `${what}, result ${i}: ${g}, not ${want[i][o]}`);
      });
    }
  };
  for (const [m, k, n] of [[16, 4, 2], [68, 36, 40]]) {
    const x = halves(m, k), w = halves(n, k);
    await check(() => {
      const y = t.linear(x, w);
      return [y, t.swiglu(y)];
    }, `${m}x${k}x${n}`);
  }
  // Enough workgroups for the largest tile.
  const { m, n } = STAND_IN;
  const x = halves(64 * m, 20), w = halves(128 * n, 20);
  await t.evaluate(x, w);
  const alone = () => [t.swiglu(t.linear(x, w))];
  const code = codeOf(alone()[0], { forced: { matmul: "matrix" } });
  assert(code.includes("subgroupMatrixLoad") && code.includes("store_pair"), code);
  await check(alone, "large");
  const chosen = Int32Array.from({ length: 90 }, () => [0, 2, 2][random.int(3)]);
  const map = t.sortByGroup(t.tensor(chosen), 3, 16);
  const rows = t.dispatchRows(halves(90, 20), map, 1), experts = halves(3, 36, 20);
  await check(() => [t.swiglu(t.groupedMatmul(rows, experts, map))], "grouped");
});

/** Bytes of workgroup memory that a kernel's text declares. */
function workgroupBytes(code: string): number {
  const arrays = code.matchAll(/var<workgroup> \w+: array<(vec4<)?(f16|f32)>?, (\d+)>/g);
  return [...arrays].reduce(
    (sum, [, four, type, n]) => sum + Number(n) * (four ? 4 : 1) * (type === "f16" ? 2 : 4),
    0,
  );
}

test("tiles by tensor cores fit the device's workgroup memory", async () => {
  const x = halves(2048, 64), w = halves(2048, 64), tall = halves(64, 2048);
  await t.evaluate(x, w, tall);
  const unit: MatrixUnit = { operands: "f16", m: 16, n: 16, k: 16 };
  const most: number[] = [];
  for (const limit of [2 ** 14, 2 ** 15, 48 * 1024]) {
    const sizes = [
      t.matmul(x, t.transpose(w)),
      t.matmul(t.transpose(tall), tall),
      t.swiglu(t.linear(x, w)),
    ].map((y) => {
      const code = codeOf(y, {
        f16: true,
        subgroup: 32,
        matrixUnits: [unit],
        workgroupBytes: limit,
        forced: { matmul: "matrix" },
      });
      assert(code.includes("subgroupMatrixLoad"), code);
      return workgroupBytes(code);
    });
    assert(sizes.every((bytes) => bytes > 0 && bytes <= limit), `${sizes} of ${limit}`);
    most.push(Math.max(...sizes));
  }
  assert(most[0] < most[1] && most[1] < most[2], `${most}`);
});

test("NaN and infinities behind the end of a sum do not reach a product by tensor cores", async () => {
  if (!canRun()) return;
  const wide = t.tensor(new Float16Array(40 * 48).fill(NaN), { shape: [40, 48] });
  const x = t.matmul(t.narrow(wide, 1, 0, 20), halves(20, 8)); // NaN, but not from columns 20 to 47
  const ones = t.tensor(
    Float16Array.from({ length: 40 * 48 }, (_, i) => i % 48 < 20 ? 1 : NaN),
    { shape: [40, 48] },
  );
  await t.evaluate(ones, wide);
  const y = product(t.narrow(ones, 1, 0, 20), t.ones([20, 8], "f16"));
  assertEquals([...(await byUnits([y]))[0]], new Array(320).fill(20));
  assert([...(await byUnits([t.cast(x, "f32")]))[0]].every(Number.isNaN));
});

test("a GPU with tensor cores uses them where both operands are stored in f16", async () => {
  if (!canRun()) return;
  const hardware = { software: false, best: () => "tiled" };
  const [a, b] = [halves(64, 32), halves(32, 64)];
  const [single, odd] = [t.cast(a, "f32"), halves(32, 63)];
  await t.evaluate(a, b, single, odd);
  assert(usesUnits(t.matmul(a, b), hardware));
  assert(!usesUnits(t.matmul(single, single.shape[1] === 32 ? t.transpose(single) : b), hardware));
  assert(!usesUnits(t.matmul(a, odd), hardware), "rows of odd length cannot be read in fours");
  assert(!usesUnits(t.matmul(a, b), { ...hardware, matrixUnits: [] }));
  assert(!usesUnits(t.matmul(a, b), { software: true }), "slower than broadcasts on CPU drivers");
  assert(usesUnits(t.matmul(a, b), { software: true, forced: { matmul: "matrix" } }));
});
