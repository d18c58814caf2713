import { assertEquals, assertStringIncludes } from "@std/assert";
import { findSwiftShader } from "../../src/cli/swiftshader.ts";

const icd = await findSwiftShader();

Deno.test("findSwiftShader() takes the driver that SWIFTSHADER_ICD names, and no other", async () => {
  const before = Deno.env.get("SWIFTSHADER_ICD");
  const file = await Deno.makeTempFile();
  try {
    Deno.env.set("SWIFTSHADER_ICD", file);
    assertEquals(await findSwiftShader(), file);
    Deno.env.set("SWIFTSHADER_ICD", `${file}.missing`);
    assertEquals(await findSwiftShader(), undefined);
  } finally {
    if (before === undefined) Deno.env.delete("SWIFTSHADER_ICD");
    else Deno.env.set("SWIFTSHADER_ICD", before);
    await Deno.remove(file);
  }
});

Deno.test({
  name: `openGpu() computes on SwiftShader${
    icd ? "" : " (skipped: no driver; `deno task providers --get` gets one)"
  }`,
  ignore: icd === undefined,
  fn: async () => {
    const here = (path: string) => new URL(path, import.meta.url);
    const script = `
      import { openGpu } from "${here("../../src/gpu/mod.ts").href}";
      import { download, floats, launch, scale, upload } from "${here("../gpu/kernels.ts").href}";
      using gpu = await openGpu({ provider: "dawn" });
      const x = upload(gpu, [1, 2, 3]);
      gpu.submit([launch(gpu, scale(5), [floats(x, 3)])]);
      console.log(gpu.adapter.name, gpu.adapter.software, gpu.adapter.subgroups?.max);
      console.log((await download(gpu, x, 3)).join());`;
    const file = await Deno.makeTempFile({ suffix: ".ts" });
    try {
      await Deno.writeTextFile(file, script);
      const config = here("../../deno.json").pathname;
      const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--quiet", "--no-lock", "--config", config, file],
        env: { VK_DRIVER_FILES: icd! },
      }).output();
      const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
      assertStringIncludes(said.toLowerCase(), "swiftshader");
      assertStringIncludes(said, "5,10,15");
    } finally {
      await Deno.remove(file);
    }
  },
});
