import { assert, assertEquals, assertGreater } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { projectFiles, readText, ROOT } from "./tree.ts";

const TOP = [
  ".ci",
  ".gitattributes",
  ".github",
  ".gitignore",
  ".vscode",
  "CHANGELOG.md",
  "CONTRIBUTING.md",
  "LICENSE",
  "README.md",
  "deno.json",
  "deno.lock",
  "fixtures",
  "kernels",
  "mod.ts",
  "notebooks",
  "src",
  "tests",
];

/** Longest file of src and kernels, in lines. */
const LONGEST = 500;

const files = await projectFiles();

/** Lines of all text files that match a pattern, as `path:line: text`. */
async function grep(pattern: RegExp): Promise<string[]> {
  const hits: string[] = [];
  for (const path of files) {
    const text = await readText(path);
    if (text === undefined || !pattern.test(text)) continue;
    text.split("\n").forEach((line, i) => {
      if (pattern.test(line)) hits.push(`${path}:${i + 1}: ${line.trim().slice(0, 200)}`);
    });
  }
  return hits;
}

Deno.test("the root holds the agreed names and no others", () => {
  assertEquals(
    [...new Set(files.map((path) => path.split("/")[0]))].filter((name) => !TOP.includes(name)),
    [],
  );
});

Deno.test("no file of src and kernels is too long to read in one go", async () => {
  const long: string[] = [];
  const code = files.filter((path) => /^(src|kernels)\/.*\.ts$/.test(path));
  assertGreater(code.length, 0);
  for (const path of code) {
    const lines = (await readText(path))!.trimEnd().split("\n").length;
    if (lines > LONGEST) long.push(`${path}: ${lines} lines`);
  }
  assertEquals(long, []);
});

Deno.test("no file names a path of one machine", async () => {
  // The names stand without their slashes, so that this file does not name such a path either.
  const roots = ["work", "farm", "root", "tmp", "home/\\w+", "Users/\\w+"].join("|");
  const machinePath = new RegExp(`(^|[^\\w.])/(${roots})/`);
  assert(machinePath.test(`cd ${"/home"}/ada/lab`), "the pattern does not find a path");
  assertEquals(await grep(machinePath), []);
});

Deno.test("no file names the host of a package registry", async () => {
  const hosts = ["npm" + "js.", "registry" + ".npm", "jsr" + ".io", "deb" + ".debian"];
  const pattern = new RegExp(hosts.map((host) => host.replace(".", "\\.")).join("|"));
  assert(pattern.test(["https://registry", "npmjs", "org"].join(".")));
  assertEquals(await grep(pattern), []);
});

Deno.test("every entry point of deno.json exists", () => {
  const paths = Object.values(config.exports).map((path) => path.replace("./", ""));
  assertEquals(paths.filter((path) => !files.includes(path)), []);
});

Deno.test("every task of deno.json has a description and an existing program", () => {
  for (const [name, { description, command }] of Object.entries(config.tasks)) {
    assert(description.length > 0, `task ${name} has no description`);
    for (const [program] of command.matchAll(/\b(src|tests)\/\S+\.ts\b/g)) {
      assert(files.includes(program), `task ${name} runs ${program}, which does not exist`);
    }
  }
});

Deno.test("the same version of Deno is named everywhere", async () => {
  const named = new Map<string, string>();
  for (const path of files.filter((path) => /\.(md|yml|ipynb)$|^\.ci\//.test(path))) {
    for (
      const [, version] of (await readText(path))!.matchAll(/deno(?:@|-version: v?)([\d.]+\d)/g)
    ) {
      named.set(version, path);
    }
  }
  assertEquals([...named.keys()].length, 1, JSON.stringify([...named]));
});

/** The project's files that a module runs, its imports of types left out. */
async function runs(entry: string): Promise<string[]> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "--no-lock", entry],
    cwd: ROOT,
    stderr: "null",
  }).output();
  interface Module {
    specifier: string;
    dependencies?: { code?: { specifier?: string } }[];
  }
  const { modules }: { modules: Module[] } = JSON.parse(new TextDecoder().decode(stdout));
  const dependencies = new Map(modules.map((it) => [it.specifier, it.dependencies ?? []]));
  const reached = new Set([new URL(entry, ROOT).href]);
  for (const specifier of reached) {
    for (const { code } of dependencies.get(specifier) ?? []) {
      if (code?.specifier?.startsWith(ROOT.href)) reached.add(code.specifier);
    }
  }
  return [...reached].map((specifier) => specifier.slice(ROOT.href.length));
}

Deno.test("data and plot run no GPU code, however far one follows their imports", async () => {
  const without = {
    "src/data/mod.ts": /^(kernels|src\/(gpu|nn|moe|models))\//,
    "src/plot/mod.ts": /^(kernels|src\/(gpu|tensor|nn|moe|models|train))\//,
  };
  for (const [entry, gpuCode] of Object.entries(without)) {
    const reached = await runs(entry);
    assertGreater(reached.length, 1, `${entry} seems to import nothing`);
    assertEquals(reached.filter((path) => gpuCode.test(path)), [], entry);
  }
});
