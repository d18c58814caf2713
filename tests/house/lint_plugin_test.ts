import { assertEquals, assertStringIncludes } from "@std/assert";
import plugin from "./lint_plugin.ts";

/** The rules that a file of this name and text breaks, in the order of the text. */
function broken(filename: string, text: string): string[] {
  return Deno.lint.runPlugin(plugin, filename, text).map(({ id }) => id.replace("house/", ""));
}

Deno.test("arrows-down reports an import from a folder above", () => {
  assertEquals(broken("src/tensor/ops.ts", 'import { linear } from "../nn/mod.ts";'), [
    "arrows-down",
  ]);
  assertEquals(broken("src/study/grid.ts", 'export * from "../cli/start.ts";'), ["arrows-down"]);
  assertEquals(broken("src/gpu/device.ts", 'export { a } from "../tensor/a.ts";'), ["arrows-down"]);
  assertEquals(broken("kernels/softmax.wgsl.ts", 'await import("../src/gpu/mod.ts");'), [
    "arrows-down",
  ]);
  assertEquals(broken("src/nn/linear.ts", 'type T = import("../moe/mod.ts").Pool;'), [
    "arrows-down",
  ]);
  assertEquals(broken("src/nn/linear.ts", 'import { lab } from "@moiie/lab";'), ["arrows-down"]);
  assertEquals(broken("src/nn/linear.ts", 'import { pool } from "@moiie/lab/moe";'), [
    "arrows-down",
  ]);
});

Deno.test("arrows-down says which file lies above which folder", () => {
  const [{ message }] = Deno.lint.runPlugin(
    plugin,
    "src/tensor/ops.ts",
    'import { linear } from "../nn/mod.ts";',
  );
  assertStringIncludes(message, "src/tensor imports src/nn/mod.ts, but src/nn lies above it");
});

Deno.test("arrows-down finds the layer when the linter gives an absolute path", () => {
  const file = decodeURIComponent(new URL("../../src/gpu/device.ts", import.meta.url).pathname);
  assertEquals(broken(file, 'import "../tensor/mod.ts";'), ["arrows-down"]);
  assertEquals(broken(file, 'import "./limits.ts";'), []);
});

Deno.test("arrows-down reports an import of files that are not published", () => {
  assertEquals(broken("src/nn/linear.ts", 'import "../../tests/nn/helper.ts";'), ["arrows-down"]);
});

Deno.test("arrows-down allows the same folder, folders below, packages and deno.json", () => {
  assertEquals(
    broken(
      "src/moe/layer.ts",
      `import { a } from "./router.ts";
       import { b } from "../tensor/mod.ts";
       import { c } from "../../kernels/grouped_matmul.wgsl.ts";
       import config from "../../deno.json" with { type: "json" };
       import { readFile } from "node:fs";
       import { create } from "webgpu";`,
    ),
    [],
  );
  assertEquals(broken("mod.ts", 'export * from "./src/notebook/mod.ts";'), []);
  assertEquals(broken("src/cli/start.ts", 'import { lab } from "../../mod.ts";'), []);
  assertEquals(broken("tests/nn/linear_test.ts", 'import "../../src/notebook/mod.ts";'), []);
});

Deno.test("arrows-down keeps data and plot free of the GPU, types aside", () => {
  assertEquals(broken("src/plot/curve.ts", 'import { Tensor } from "../tensor/mod.ts";'), [
    "arrows-down",
  ]);
  assertEquals(broken("src/data/batch.ts", 'import { lvlm } from "../models/mod.ts";'), [
    "arrows-down",
  ]);
  assertEquals(broken("src/plot/curve.ts", 'import type { Routing } from "../moe/mod.ts";'), []);
  assertEquals(broken("src/plot/curve.ts", 'import { mean } from "../study/statistics.ts";'), []);
  assertEquals(broken("src/data/batch.ts", 'import { Random } from "../tensor/random.ts";'), []);
});

Deno.test("portable-imports reports registries, URLs and text imports in published folders", () => {
  for (
    const specifier of ["jsr:@std/path", "https://example.com/a.ts", "npm:webgpu", "@std/assert"]
  ) {
    assertEquals(broken("src/gpu/a.ts", `import "${specifier}";`), ["portable-imports"]);
    assertEquals(broken("tests/gpu/a_test.ts", `import "${specifier}";`), []);
  }
  assertEquals(broken("kernels/a.ts", 'import text from "./a.wgsl" with { type: "text" };'), [
    "portable-imports",
  ]);
  assertEquals(broken("src/data/a.ts", 'import text from "./a.json" with { type: "json" };'), []);
});

Deno.test("jupyter-door reports Deno.jupyter outside of src/notebook", () => {
  for (
    const expression of [
      "Deno.jupyter",
      'Deno["jupyter"]',
      "globalThis.Deno.jupyter",
      '"jupyter" in Deno',
    ]
  ) {
    assertEquals(broken("src/train/fit.ts", `console.log(${expression});`), ["jupyter-door"]);
    assertEquals(broken("src/notebook/show.ts", `console.log(${expression});`), []);
  }
  assertEquals(broken("src/train/fit.ts", "console.log(kernel.jupyter, Deno.env);"), []);
});

Deno.test("snake-case reports file names in another case", () => {
  for (const name of ["patchEmbedding.ts", "patch-embedding.ts", "Patch.ts", "a__b.ts"]) {
    assertEquals(broken(`src/nn/${name}`, ""), ["snake-case"]);
  }
  for (const name of ["patch_embedding.ts", "matmul.wgsl.ts", "mod.ts", "top_2_test.ts"]) {
    assertEquals(broken(`src/nn/${name}`, ""), []);
  }
});
