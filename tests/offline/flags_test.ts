import { assert, assertEquals, assertMatch } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { ANSWER, jsrAnswers, jsrImports, standInMap } from "./flags.ts";

Deno.test("standInMap() keeps npm packages and their files, and makes own paths absolute", () => {
  const { imports } = standInMap({
    imports: { "@x/lab": "./mod.ts", "@scope/pack": "npm:@scope/pack@1.2.3" },
  }, new URL("file:///lab/"));
  assertEquals(imports, {
    "@x/lab": "file:///lab/mod.ts",
    "@scope/pack": "npm:@scope/pack@1.2.3",
    "@scope/pack/": "npm:/@scope/pack@1.2.3/",
  });
});

Deno.test("standInMap() points every JSR import of deno.json at a file that exists", async () => {
  const { imports } = standInMap(config, new URL("../../", import.meta.url));
  const names = Object.entries(config.imports).filter(([, to]) => to.startsWith("jsr:"));
  assertEquals(names.length, jsrImports(config).length);
  for (const [name] of names) {
    assertMatch(imports[name], /^file:/);
    assert((await Deno.stat(new URL(imports[name]))).isFile);
  }
});

/** Asks a JSR of our own, with an empty cache, for the packages of deno.json. */
async function askLocalJsr(url: string, patience: number): Promise<boolean> {
  const cache = await Deno.makeTempDir();
  try {
    return await jsrAnswers(jsrImports(config), patience, { JSR_URL: url, DENO_DIR: cache });
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
}

Deno.test("jsrAnswers() gives up when the network swallows packets", async () => {
  const silent = Deno.listen({ hostname: "127.0.0.1", port: 0 }); // Connects, never answers.
  try {
    assertEquals(await askLocalJsr(`http://127.0.0.1:${silent.addr.port}/`, 1000), false);
  } finally {
    silent.close();
  }
});

Deno.test("jsrAnswers() is true when JSR hands out the packages", async () => {
  const served: Record<string, unknown> = {
    "/@std/assert/meta.json": { scope: "std", name: "assert", versions: { "1.999.0": {} } },
    "/@std/assert/1.999.0_meta.json": { manifest: {}, exports: { ".": "./mod.ts" } },
  };
  const source = "export const made: string = 'here';\n";
  const hash = new Uint8Array(
    await crypto.subtle.digest("SHA-256", new TextEncoder().encode(source)),
  ).toHex();
  served["/@std/assert/1.999.0_meta.json"] = {
    manifest: { "/mod.ts": { size: source.length, checksum: `sha256-${hash}` } },
    exports: { ".": "./mod.ts" },
  };
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/@std/assert/1.999.0/mod.ts") return new Response(source);
    if (pathname in served) return Response.json(served[pathname]);
    return new Response(null, { status: 404 });
  });
  assertEquals(await askLocalJsr(`http://127.0.0.1:${server.addr.port}/`, 30_000), true);
});

Deno.test("flags.ts prints nothing where JSR was reached, one flag where it was not", async () => {
  const print = async (answer: string): Promise<string> => {
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "tests/offline/flags.ts"],
      cwd: new URL("../../", import.meta.url),
      env: { [ANSWER]: answer },
      stderr: "null",
    }).output();
    return new TextDecoder().decode(stdout).trim();
  };
  assertEquals(await print("reached"), "");
  assertMatch(await print("missing"), /^--import-map=data:application\/json,\S+$/);
});
