/**
 * What is installed of Jupyter.
 *
 * @module
 */

import { readText, run } from "./system.ts";

/** A kernel specification of Deno's. */
export interface DenoKernel {
  /** The kernel.json. */
  readonly path: string;
  /** The program that it starts. */
  readonly program: string;
  /** Whether that program is there. */
  readonly usable: boolean;
}

/** What is installed of Jupyter. */
export interface JupyterStatus {
  /** nbconvert's version. */
  readonly nbconvert: string | undefined;
  /** The Deno kernel that Jupyter would start. */
  readonly kernel: DenoKernel | undefined;
}

/** Looks for nbconvert and for the Deno kernel. */
export async function jupyterStatus(): Promise<JupyterStatus> {
  const convert = await run("jupyter", ["nbconvert", "--version"]);
  const nbconvert = convert.ok ? convert.stdout.trim() : undefined;
  for (const folder of await dataFolders()) {
    const path = `${folder}/kernels/deno/kernel.json`;
    const text = await readText(path);
    if (text === undefined) continue;
    const program = programOf(text);
    const usable = program !== "" && (await run(program, ["--version"])).ok;
    return { nbconvert, kernel: { path, program, usable } };
  }
  return { nbconvert, kernel: undefined };
}

/** Where Jupyter looks for kernels, best first. */
async function dataFolders(): Promise<string[]> {
  const paths = await run("jupyter", ["--paths", "--json"]);
  if (paths.ok) {
    try {
      const { data } = JSON.parse(paths.stdout);
      if (Array.isArray(data)) return data.map(String);
    } catch {
      // An old Jupyter that does not know --json; its usual places then.
    }
  }
  const home = Deno.env.get("HOME") ?? Deno.env.get("USERPROFILE") ?? "";
  const user = {
    darwin: `${home}/Library/Jupyter`,
    windows: `${Deno.env.get("APPDATA") ?? ""}/jupyter`,
  }[Deno.build.os as string] ?? `${home}/.local/share/jupyter`;
  return [user, "/usr/local/share/jupyter", "/usr/share/jupyter"];
}

/** The program in a kernel.json; empty when the text is not one. */
export function programOf(text: string): string {
  try {
    const { argv } = JSON.parse(text);
    return Array.isArray(argv) && typeof argv[0] === "string" ? argv[0] : "";
  } catch {
    return "";
  }
}
