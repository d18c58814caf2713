import { assertStringIncludes } from "@std/assert";

/** A second software driver, from Debian's `chromium` package or named by the environment. */
const icd = [Deno.env.get("SWIFTSHADER_ICD"), "/usr/lib/chromium/vk_swiftshader_icd.json"]
  .find((path) => {
    try {
      return path !== undefined && Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });

Deno.test({
  name: `openGpu() computes on SwiftShader${
    icd ? "" : " (skipped: no driver; install chromium or set SWIFTSHADER_ICD to its .json)"
  }`,
  ignore: icd === undefined,
  fn: async () => {
    const here = (path: string) => new URL(path, import.meta.url);
    const script = `
      import { openGpu } from "${here("../../src/gpu/mod.ts").href}";
      import { download, floats, launch, scale, upload } from "${here("kernels.ts").href}";
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
