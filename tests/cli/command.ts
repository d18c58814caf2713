/** Runs the program behind a `deno task` as its user would. */
import { offlineFlags } from "../offline/flags.ts";

/** How a program ended and what it printed. */
export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs `src/cli/NAME.ts` with arguments to its end, for five minutes at most. */
export async function runCommand(name: string, ...args: string[]): Promise<Ended> {
  const program = new URL(`../../src/cli/${name}.ts`, import.meta.url).href;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "--no-lock", ...await offlineFlags(), program, ...args],
    signal: AbortSignal.timeout(300_000),
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}
