import { assertEquals, assertThrows } from "@std/assert";
import { environmentOptions } from "../../src/gpu/environment.ts";

const from = (values: Record<string, string>) => environmentOptions((name) => values[name]);

Deno.test("environmentOptions() reads provider, features, poison and variants", () => {
  const nothing = {
    provider: undefined,
    without: undefined,
    poison: undefined,
    variants: undefined,
  };
  assertEquals(from({}), nothing);
  assertEquals(from({ MOIIE_PROVIDER: "", MOIIE_POISON: "0" }), nothing);
  assertEquals(
    from({ MOIIE_PROVIDER: "deno", MOIIE_WITHOUT: "subgroups, shader-f16", MOIIE_POISON: "1" }),
    { ...nothing, provider: "deno", without: ["subgroups", "shader-f16"], poison: true },
  );
  assertEquals(
    from({ MOIIE_VARIANTS: "matmul=tiled, reduce=many" }).variants,
    { matmul: "tiled", reduce: "many" },
  );
  assertThrows(() => from({ MOIIE_VARIANTS: "tiled" }), RangeError, 'MOIIE_VARIANTS is "tiled"');
  assertThrows(() => from({ MOIIE_PROVIDER: "vulkan" }), RangeError, 'MOIIE_PROVIDER is "vulkan"');
});

Deno.test("openGpu() obeys the environment, without a permission to read it does without", async () => {
  const module = new URL("../../src/gpu/environment.ts", import.meta.url).href;
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(
      file,
      `import { environmentOptions } from "${module}";
      console.log(environmentOptions().provider);`,
    );
    const said = async (permission: string): Promise<string> => {
      const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", permission, "--quiet", "--no-lock", "--config", config, file],
        env: { MOIIE_PROVIDER: "deno" },
      }).output();
      return new TextDecoder().decode(stdout).trim() + new TextDecoder().decode(stderr);
    };
    assertEquals(await said("--allow-env"), "deno");
    assertEquals(await said("--no-prompt"), "undefined");
  } finally {
    await Deno.remove(file);
  }
});
