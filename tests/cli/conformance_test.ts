import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { conformance, summary } from "../../src/cli/conformance.ts";
import { compare } from "../../src/cli/conformance/compare.ts";
import { encodeSafetensors, type SafetensorsTensor } from "../../src/models/safetensors.ts";

const f32 = (data: number[], ...shape: number[]): SafetensorsTensor => ({
  dtype: "F32",
  shape: shape.length > 0 ? shape : [data.length],
  data: Float32Array.from(data),
});

/** A folder with one file of operations, as `change` leaves it. */
async function withFolder(
  change: (files: Record<string, unknown>[], tensors: Record<string, SafetensorsTensor>) => void,
  run: (path: string) => Promise<void>,
): Promise<void> {
  const path = await Deno.makeTempDir();
  try {
    const tensors: Record<string, SafetensorsTensor> = {
      "add.in.a": f32([1, 2, 3, 4], 2, 2),
      "add.in.b": f32([10, 20]),
      "add.out.y": f32([11, 22, 13, 24], 2, 2),
      "add.gout.y": f32([1, 2, 3, 4], 2, 2),
      "add.grad.a": f32([1, 2, 3, 4], 2, 2),
      "add.grad.b": f32([4, 6]),
      "unheard_of.in.a": f32([1]),
      "unheard_of.out.y": f32([1]),
    };
    const entries = Object.entries(tensors).map(([name, { dtype, shape }]) => {
      const role = name.split(".")[1].replace("gout", "in");
      return [name, { dtype, shape, role, atol: 1e-6, rtol: 1e-5 }];
    });
    const files = [{
      path: "ops/binary.safetensors",
      kind: "op",
      params: { cases: { add: {}, unheard_of: {} } },
      tensors: Object.fromEntries(entries),
    }];
    change(files, tensors);
    await Deno.mkdir(join(path, "ops"));
    await Deno.writeFile(join(path, "ops/binary.safetensors"), encodeSafetensors(tensors));
    await Deno.writeTextFile(join(path, "index.json"), JSON.stringify({ files }));
    await run(path);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
}

/** Runs and returns what was printed, or why nothing could run. */
async function outputOf(
  path: string,
  only?: string,
  variant?: string,
): Promise<{ ok: boolean; text: string }> {
  const lines: string[] = [];
  const ok = await conformance(path, { only, variant }, (line) => lines.push(line));
  return { ok, text: lines.join("\n") };
}

const untouched = () => {};
let reason: string | undefined;
await withFolder(untouched, async (path) => {
  await outputOf(path).catch((error) => reason = error.message.split(". ")[0]);
});

/** Registers a test that needs a device. */
function test(name: string, fn: () => Promise<void>): void {
  const ignore = reason !== undefined;
  Deno.test({ name: ignore ? `${name} [skipped: ${reason}]` : name, ignore, fn });
}

test("conformance() runs all cases once more with every other kernel variant", async () => {
  await withFolder(untouched, async (path) => {
    const { ok, text } = await outputOf(path, "binary/add", "all");
    assert(ok);
    const others = [...text.matchAll(/^with (.*): 1 passed, 0 failed, 0 skipped$/gm)];
    assertEquals(text.split("\n").at(-1), `${others.length + 1} passed, 0 failed, 0 skipped`);
    assert(others.some(([, which]) => which.startsWith("matmul ")), text);
    assertStringIncludes(
      (await outputOf(path, "binary/add", "matmul=tiled")).text,
      "with matmul tiled: 1 passed",
    );
    await assertRejects(() => outputOf(path, undefined, "matmul=tile"), RangeError, "no variant");
    await assertRejects(() => outputOf(path, undefined, "tiled"), RangeError, '--variant is "all"');
  });
});

test("conformance() passes, skips and counts when results are near enough", async () => {
  await withFolder(untouched, async (path) => {
    const { ok, text } = await outputOf(path);
    assert(ok);
    assertStringIncludes(text, "skipped ops/binary/unheard_of: no such operation here");
    assertEquals(text.split("\n").at(-1), "1 passed, 0 failed, 1 skipped");
    assertStringIncludes(
      (await outputOf(path, "binary/add")).text,
      "\n1 passed, 0 failed, 0 skipped",
    );
    await assertRejects(() => outputOf(path, "binary/sub"), RangeError, "no case binary/sub");
  });
});

test("conformance() fails with the worst element when a value or a gradient is off", async () => {
  for (const name of ["add.out.y", "add.grad.b"]) {
    await withFolder(
      (_, tensors) => (tensors[name].data as Float32Array)[1] += 0.01,
      async (path) => {
        const { ok, text } = await outputOf(path);
        assert(!ok);
        assertStringIncludes(text, `BAD ${name}: error 1.0e-2`);
        assertStringIncludes(text, "element 1");
        assertEquals(text.split("\n").at(-1), "0 passed, 1 failed, 1 skipped");
      },
    );
  }
});

test("conformance() fails a case whose input has another shape than the result needs", async () => {
  await withFolder((files, tensors) => {
    tensors["add.in.b"] = f32([1, 2, 3]);
    const [{ tensors: entries }] = files as { tensors: Record<string, { shape: number[] }> }[];
    entries["add.in.b"].shape = [3];
  }, async (path) => {
    const { ok, text } = await outputOf(path);
    assert(!ok);
    assertStringIncludes(
      text,
      "failed  ops/binary/add: add: shapes [2,2] and [3] do not broadcast",
    );
  });
});

test("conformance() fails a case when the file and the index disagree", async () => {
  await withFolder((_, tensors) => tensors["add.in.b"] = f32([1, 2, 3]), async (path) => {
    assertStringIncludes(
      (await outputOf(path)).text,
      `"add.in.b" is F32[3], but F32[2] in the index`,
    );
  });
});

Deno.test("conformance() refuses a folder that is missing or malformed", async () => {
  await assertRejects(
    () => outputOf("no such folder"),
    Deno.errors.NotFound,
    "it has no index.json",
  );
  const broken: [(files: Record<string, unknown>[]) => void, string][] = [
    [(files) => files.length = 0, `should have a list "files", which is not empty`],
    [(files) => delete files[0].kind, "files[0] should have a path and a kind"],
    [
      (files) => files[0].path = "ops/other.safetensors",
      "lacks ops/other.safetensors, which its index lists",
    ],
    [
      (files) => files[0].tensors = { "add.out.y": { dtype: "F32", shape: [1], role: "out" } },
      "should have a tolerance (atol, rtol) or be exact",
    ],
    [
      (files) => files[0].tensors = { "add.out.y": { dtype: "F32", shape: [-1], role: "in" } },
      "should have a dtype, a shape and a role",
    ],
  ];
  for (const [change, message] of broken) {
    await withFolder(change, async (path) => {
      const error = await assertRejects(() => outputOf(path)) as Error;
      assertStringIncludes(error.message, message);
    });
  }
  const path = await Deno.makeTempDir();
  await Deno.writeTextFile(join(path, "index.json"), "{");
  const error = await assertRejects(() => outputOf(path), SyntaxError) as Error;
  assertStringIncludes(error.message, "is not JSON");
  await Deno.remove(path, { recursive: true });
});

Deno.test("compare() knows exact, infinite and not-a-number values, and the GPU allowance", () => {
  const want = (values: number[], atol: number, rtol = 0) => ({
    name: "y",
    shape: [values.length],
    values,
    atol,
    rtol,
  });
  const passes = (got: number[], expected: ReturnType<typeof want>, approximate = false) =>
    compare({ shape: [got.length], values: got, approximate }, expected).passed;
  assert(passes([1, 2], want([1, 2], 0)));
  assert(!passes([1, 2.0000001], want([1, 2], 0)));
  assert(passes([1.09], want([1], 0.1)));
  assert(passes([109], want([100], 0, 0.1)));
  assert(passes([Infinity, NaN], want([Infinity, NaN], 0)));
  assert(!passes([NaN], want([1], 10)));
  assert(!passes([1], want([NaN], 10)));
  assert(!passes([-Infinity], want([Infinity], 1)));
  assert(!passes([1, 2, 3], want([1, 2], 1)));
  assert(!passes([1.5], want([1], 0.1)));
  assert(passes([1.5], want([1], 0.1), true));
  assert(!passes([2.5], want([1], 0.1), true));
  assert(!passes([2], want([1], 0), true));
});

Deno.test("summary() counts the cases of every group", () => {
  const outcome = (group: string, status: "passed" | "failed" | "skipped") => ({
    group,
    name: "x",
    status,
    comparisons: [],
  });
  const lines = summary([
    outcome("ops/a", "passed"),
    outcome("ops/a", "failed"),
    outcome("ops/b", "skipped"),
  ]);
  assertEquals(lines.map((line) => line.trim().split(/\s+/).slice(0, 4)), [
    ["group", "passed", "failed", "skipped"],
    ["ops/a", "1", "1", "0"],
    ["ops/b", "0", "0", "1"],
  ]);
});
