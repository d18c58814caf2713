/**
 * Runs the notebooks headless, in the real Jupyter with the real Deno kernel, and keeps their
 * outputs: `deno task notebooks [NAME…] [--quick] [--write]`.
 *
 * A notebook passes if no cell fails and every promised output is there. The kernel sometimes loses
 * an output, so a notebook that lacks one is run again, three times at most. With `--quick`
 * the notebooks see `MOIIE_QUICK=1` and shorten their work; their outputs are then thrown away
 * unless `--write` is given.
 *
 * @module
 */

import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { judge, type Notebook, readNotebook, tidy, writeNotebook } from "./notebook_file.ts";
import { ensureJupyter } from "./setup.ts";

/** Most runs of one notebook. */
const ATTEMPTS = 3;
/** Longest time of one cell, in seconds. */
const CELL_TIMEOUT = 4 * 3600;

/** Options of {@linkcode runNotebook}. */
export interface RunOptions {
  /** Whether to set `MOIIE_QUICK=1`. */
  readonly quick: boolean;
  /** Whether to replace the notebook by its executed form if it passes. */
  readonly write: boolean;
  /** Receives one line at a time. */
  readonly log: (line: string) => void;
}

/**
 * Runs one notebook until it passes, fails, or has lost outputs too often.
 *
 * @param path The notebook.
 * @param options What to do with it.
 * @returns Whether it passed.
 * @throws {Error} If Jupyter cannot run the notebook at all.
 */
export async function runNotebook(path: string, options: RunOptions): Promise<boolean> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const executed = await execute(path, options.quick);
    const { errors, missing } = judge(executed);
    if (errors.length === 0 && missing.length === 0) {
      if (options.write) await writeNotebook(path, tidy(executed));
      return true;
    }
    for (const problem of [...errors, ...missing]) options.log(`  ${problem}`);
    if (errors.length > 0) return false;
    if (attempt < ATTEMPTS) options.log(`  outputs were lost, running it again`);
  }
  return false;
}

/** Lets Jupyter execute a notebook, with a kernel of its own, and reads the result. */
async function execute(path: string, quick: boolean): Promise<Notebook> {
  const folder = await Deno.makeTempDir({ prefix: "moiie-notebook-" });
  try {
    await installKernel(folder);
    const { code, stderr } = await new Deno.Command("jupyter", {
      args: [
        "nbconvert",
        "--to=notebook",
        "--execute",
        "--allow-errors",
        "--ExecutePreprocessor.kernel_name=deno",
        `--ExecutePreprocessor.timeout=${CELL_TIMEOUT}`,
        "--output=executed.ipynb",
        `--output-dir=${folder}`,
        basename(path),
      ],
      // The kernel finds deno.json from the notebook's folder upwards.
      cwd: dirname(path),
      env: {
        JUPYTER_DATA_DIR: folder,
        JUPYTER_PATH: folder,
        JUPYTER_CONFIG_DIR: folder,
        IPYTHONDIR: folder,
        // Written in both cases: a value left over in the shell must not shorten a full run.
        MOIIE_QUICK: quick ? "1" : "",
      },
      stdout: "null",
      stderr: "piped",
    }).output();
    if (code !== 0) {
      throw new Error(
        `Jupyter cannot run ${path} (exit code ${code}):\n${new TextDecoder().decode(stderr)}`,
      );
    }
    return await readNotebook(join(folder, "executed.ipynb"));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/**
 * Writes a kernel description that starts this very Deno. The user's own kernels stay as they are,
 * and whether there are any makes no difference.
 */
async function installKernel(dataFolder: string): Promise<void> {
  const folder = join(dataFolder, "kernels", "deno");
  await Deno.mkdir(folder, { recursive: true });
  const spec = {
    argv: [Deno.execPath(), "jupyter", "--kernel", "--conn", "{connection_file}"],
    display_name: "Deno",
    language: "typescript",
  };
  await Deno.writeTextFile(join(folder, "kernel.json"), JSON.stringify(spec));
}

/**
 * Finds notebooks by name.
 *
 * @param names Names with or without `.ipynb`, or paths; all of the folder's notebooks if empty.
 * @param folder Folder of the project's notebooks.
 * @returns Paths in alphabetical order.
 * @throws {Deno.errors.NotFound} If a name is not a notebook.
 */
export function findNotebooks(names: readonly string[], folder: string): string[] {
  const all = isFolder(folder)
    ? [...Deno.readDirSync(folder)]
      .filter((entry) => entry.isFile && entry.name.endsWith(".ipynb"))
      .map((entry) => join(folder, entry.name)).sort()
    : [];
  if (names.length === 0) return all;
  return names.map((name) => {
    const match = all.find((path) => basename(path) === name || basename(path, ".ipynb") === name);
    if (match) return match;
    const path = resolve(name);
    if (name.endsWith(".ipynb") && isFile(path)) return path;
    throw new Deno.errors.NotFound(
      `There is no notebook "${name}". There are: ${all.map((it) => basename(it)).join(", ")}.`,
    );
  });
}

function isFile(path: string): boolean {
  return stat(path)?.isFile ?? false;
}

function isFolder(path: string): boolean {
  return stat(path)?.isDirectory ?? false;
}

function stat(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch {
    return undefined;
  }
}

/** Whether Jupyter can execute notebooks. */
export async function hasNbconvert(): Promise<boolean> {
  const check = new Deno.Command("jupyter", {
    args: ["nbconvert", "--version"],
    stdout: "null",
    stderr: "null",
  });
  return await check.output().then(({ success }) => success, () => false);
}

async function main(): Promise<void> {
  const flags = Deno.args.filter((argument) => argument.startsWith("-"));
  const unknown = flags.filter((flag) => !["--quick", "--write"].includes(flag));
  if (unknown.length > 0) {
    console.error(`Unknown option ${unknown[0]}. Usage: notebooks [NAME…] [--quick] [--write]`);
    Deno.exit(2);
  }
  const quick = flags.includes("--quick");
  const write = !quick || flags.includes("--write");
  const names = Deno.args.filter((argument) => !argument.startsWith("-"));
  const folder = fileURLToPath(new URL("../../notebooks/", import.meta.url));
  // Asked only where it is missing: it also installs a kernel for the user, which is not needed here.
  if (!await hasNbconvert()) await ensureJupyter(console.log);
  const paths = findNotebooks(names, folder);

  let failed = 0;
  for (const path of paths) {
    console.log(`${basename(path)} …`);
    const passed = await runNotebook(path, { quick, write, log: console.log }).catch((error) => {
      console.log(`  ${error instanceof Error ? error.message : error}`);
      return false;
    });
    console.log(`${basename(path)} ${passed ? "ok" : "FAILED"}`);
    if (!passed) failed++;
  }
  console.log(`${paths.length - failed} passed, ${failed} failed`);
  Deno.exit(failed > 0 ? 1 : 0);
}

if (import.meta.main) await main();
