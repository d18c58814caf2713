/**
 * The machine: which system it is, and running its commands.
 *
 * @module
 */

/** What the setup needs to know about the system. */
export interface System {
  /** "linux", "darwin", "windows", … */
  readonly os: string;
  /** `ID` of os-release: "debian", "ubuntu", "fedora", …; empty where there is none. */
  readonly id: string;
  /** `VERSION_CODENAME`: "bookworm", "noble", …; empty where there is none. */
  readonly codename: string;
  /** `PRETTY_NAME`, or the platform's name. */
  readonly name: string;
  /** Whether apt-get exists. */
  readonly apt: boolean;
  /** Whether the process may install packages. */
  readonly root: boolean;
}

/** Reads `KEY=value` lines as in /etc/os-release; quotes are removed. */
export function parseOsRelease(text: string): Record<string, string> {
  const pairs: Record<string, string> = {};
  for (const line of text.split("\n")) {
    const match = /^([A-Z_]+)=(.*)$/.exec(line.trim());
    if (match) pairs[match[1]] = match[2].replace(/^(["'])(.*)\1$/, "$2");
  }
  return pairs;
}

/** Describes this machine. */
export async function inspectSystem(): Promise<System> {
  const { os } = Deno.build;
  const release = parseOsRelease(await readText("/etc/os-release") ?? "");
  return {
    os,
    id: release.ID ?? "",
    codename: release.VERSION_CODENAME ?? "",
    name: release.PRETTY_NAME ?? `${os} ${Deno.osRelease()}`,
    apt: os === "linux" && (await run("apt-get", ["--version"])).ok,
    root: Deno.uid() === 0,
  };
}

/** The text of a file, or undefined when there is none that can be read. */
export async function readText(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch {
    return undefined;
  }
}

/** How a command ended. */
export interface Outcome {
  /** Whether it ran and exited with 0. */
  readonly ok: boolean;
  /** Its standard output. */
  readonly stdout: string;
  /** Its standard output and error together, for error messages. */
  readonly text: string;
}

/** Runs a command to its end. A missing command or one that runs too long is an outcome, too. */
export async function run(
  command: string,
  args: readonly string[],
  options: { env?: Record<string, string>; timeoutMs?: number } = {},
): Promise<Outcome> {
  const { env, timeoutMs = 60_000 } = options;
  try {
    const child = new Deno.Command(command, {
      args: [...args],
      env,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill("SIGKILL");
    }, timeoutMs);
    const output = await child.output().finally(() => clearTimeout(timer));
    const decoder = new TextDecoder();
    const stdout = decoder.decode(output.stdout);
    const note = late ? `\n(stopped after ${timeoutMs / 1000} s)` : "";
    return { ok: output.success, stdout, text: stdout + decoder.decode(output.stderr) + note };
  } catch (error) {
    return { ok: false, stdout: "", text: error instanceof Error ? error.message : String(error) };
  }
}

/** The last lines of a command's output that say something. */
export function lastLines(text: string, count: number = 8): string {
  return text.split("\n").map((line) => line.trimEnd()).filter(Boolean).slice(-count).join("\n");
}
