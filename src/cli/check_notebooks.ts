/**
 * Checks the types and the formatting of the notebooks' cells:
 * `deno run -A src/cli/check_notebooks.ts [NAME…] [--fix]`.
 *
 * The kernel runs TypeScript without checking it and `deno check` does not read notebooks, so the
 * cells of each notebook are joined to one module. `deno fmt` formats notebooks, but its `--check`
 * also refuses those that it would not change (Deno 2.9), so a copy is formatted and compared.
 *
 * @module
 */

import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import config from "../../deno.json" with { type: "json" };
import {
  codeCells,
  type Notebook,
  readNotebook,
  sourceText,
  writeNotebook,
} from "./notebook_file.ts";
import { findNotebooks } from "./notebooks.ts";

/**
 * Joins the code cells of a notebook to one module. It is stricter than the kernel: a name can be
 * declared only once in a notebook, which also keeps cells from depending on their order of
 * execution.
 *
 * @param notebook The notebook.
 * @returns TypeScript text; comments name the cells.
 */
export function joinCells(notebook: Notebook): string {
  const parts = codeCells(notebook).map(({ number, cell }) =>
    `// cell ${number}\n${sourceText(cell).trimEnd()}\n`
  );
  // A module without imports or exports is a script, where top-level await is an error.
  return `${parts.join("\n")}\nexport {};\n`;
}

/**
 * Type-checks notebooks.
 *
 * @param paths The notebooks.
 * @param folder Where the joined modules are written: inside the project, so that its import map
 * holds for them.
 * @returns What the type checker says; empty if all is well.
 */
export async function checkNotebooks(paths: readonly string[], folder: string): Promise<string> {
  if (paths.length === 0) return "";
  await Deno.mkdir(folder, { recursive: true });
  const modules: string[] = [];
  for (const path of paths) {
    const module = join(folder, `${basename(path, ".ipynb")}.ts`);
    await Deno.writeTextFile(module, joinCells(await readNotebook(path)));
    modules.push(module);
  }
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["check", "--quiet", "--no-lock", ...modules],
    env: { NO_COLOR: "1" },
    stdout: "null",
    stderr: "piped",
  }).output();
  return success ? "" : new TextDecoder().decode(stderr);
}

/**
 * Checks that `deno fmt` would not change notebooks.
 *
 * @param paths The notebooks.
 * @param folder Where copies are written.
 * @param fix Whether to replace the notebooks that it would change.
 * @returns The paths of the notebooks that are not formatted, or were not.
 */
export async function checkFormat(
  paths: readonly string[],
  folder: string,
  fix = false,
): Promise<string[]> {
  await Deno.mkdir(folder, { recursive: true });
  const unformatted: string[] = [];
  for (const path of paths) {
    const copy = join(folder, basename(path));
    await Deno.copyFile(path, copy);
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["fmt", "--quiet", "--no-config", `--line-width=${config.fmt.lineWidth}`, copy],
      env: { NO_COLOR: "1" },
      stdout: "null",
      stderr: "piped",
    }).output();
    if (!success) {
      throw new SyntaxError(`${path} cannot be formatted: ${new TextDecoder().decode(stderr)}`);
    }
    if (await Deno.readTextFile(copy) === await Deno.readTextFile(path)) continue;
    unformatted.push(path);
    if (fix) await writeNotebook(path, await readNotebook(copy));
  }
  return unformatted;
}

async function main(): Promise<void> {
  const root = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
  const fix = Deno.args.includes("--fix");
  const names = Deno.args.filter((argument) => argument !== "--fix");
  const paths = findNotebooks(names, root("notebooks/"));
  const folder = root(".cache/notebook_cells/");

  const unformatted = await checkFormat(paths, folder, fix);
  for (const path of unformatted) {
    console.error(
      fix ? `${basename(path)}: formatted` : `${basename(path)} is not formatted; run with --fix`,
    );
  }
  const problems = await checkNotebooks(paths, folder);
  if (problems) console.error(problems);
  if (problems || (unformatted.length > 0 && !fix)) Deno.exit(1);
  console.log(`The cells of ${paths.length} notebooks are type-correct and formatted.`);
}

if (import.meta.main) await main();
