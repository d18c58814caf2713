/**
 * Debian's package sources: adding the backports suite without knowing any mirror, by copying the
 * source that the machine already uses.
 *
 * @module
 */

import { lastLines, readText, run } from "./system.ts";

/** A package source file: its extension decides its syntax. */
export interface SourceFile {
  /** Its path; ends in ".sources" (deb822) or ".list" (one source a line). */
  readonly path: string;
  /** Its text. */
  readonly text: string;
}

const SOURCES_DIR = "/etc/apt/sources.list.d";
/** The file this program adds, without its extension. */
const OUR_SOURCE = `${SOURCES_DIR}/moiie-lab-backports`;

/** The deb822 stanzas of a file, as lines without comments. */
function stanzas(text: string): string[][] {
  return text.split(/\n[ \t]*\n/)
    .map((stanza) => stanza.split("\n").filter((line) => !line.startsWith("#") && line.trim()))
    .filter((lines) => lines.length > 0);
}

function field(lines: readonly string[], name: string): string {
  const found = lines.find((line) => line.toLowerCase().startsWith(`${name.toLowerCase()}:`));
  return found?.slice(name.length + 1).trim() ?? "";
}

function enabled(lines: readonly string[]): boolean {
  return !/^(no|false|off|0)$/i.test(field(lines, "Enabled"));
}

/** `deb [options] uri suite components…`, split; undefined for other lines. */
function oneLine(line: string): { before: string; suite: string; after: string } | undefined {
  const match = /^(deb\s+(?:\[[^\]]*\]\s+)?\S+\s+)(\S+)(\s+\S.*)$/.exec(line.trim());
  return match ? { before: match[1], suite: match[2], after: match[3] } : undefined;
}

/** Whether one of the files already offers the suite. */
export function offersSuite(files: readonly SourceFile[], suite: string): boolean {
  return files.some(({ path, text }) => {
    if (!path.endsWith(".sources")) {
      return text.split("\n").some((line) => oneLine(line)?.suite === suite);
    }
    return stanzas(text).some((lines) =>
      enabled(lines) && field(lines, "Types").split(/\s+/).includes("deb") &&
      field(lines, "Suites").split(/\s+/).includes(suite)
    );
  });
}

/**
 * The package source for another suite of the main archive: the machine's own source of `release`
 * with its suite changed and everything else kept, `Signed-By` above all. Sources of security
 * updates name another suite and are not copied.
 *
 * @param files The package sources of the machine.
 * @param release The suite to copy, for example "bookworm".
 * @param suite The suite to put in its place, for example "bookworm-backports".
 * @returns The new source's text and extension, or undefined when no file offers `release`.
 */
export function sourceForSuite(
  files: readonly SourceFile[],
  release: string,
  suite: string,
): { extension: ".sources" | ".list"; text: string } | undefined {
  for (const { path, text } of files) {
    if (path.endsWith(".sources")) {
      const found = stanzas(text).find((lines) =>
        enabled(lines) && field(lines, "Types").split(/\s+/).includes("deb") &&
        field(lines, "Suites").split(/\s+/).includes(release)
      );
      if (!found) continue;
      const changed = found.map((line) => {
        if (/^suites:/i.test(line)) return `Suites: ${suite}`;
        return /^types:/i.test(line) ? "Types: deb" : line;
      });
      return { extension: ".sources", text: changed.join("\n") + "\n" };
    }
    const line = text.split("\n").map(oneLine).find((line) => line?.suite === release);
    if (line) return { extension: ".list", text: `${line.before}${suite}${line.after}\n` };
  }
  return undefined;
}

/** The machine's package sources. */
export async function readSources(): Promise<SourceFile[]> {
  const paths = ["/etc/apt/sources.list"];
  try {
    for await (const { name } of Deno.readDir(SOURCES_DIR)) {
      if (/\.(sources|list)$/.test(name)) paths.push(`${SOURCES_DIR}/${name}`);
    }
  } catch {
    // No such folder: only sources.list counts.
  }
  const files: SourceFile[] = [];
  for (const path of paths) {
    const text = await readText(path);
    if (text !== undefined) files.push({ path, text });
  }
  return files;
}

/**
 * Runs apt-get without questions.
 *
 * @throws Error with apt's last lines.
 */
export async function aptGet(args: readonly string[]): Promise<void> {
  const patience = ["-o", "Acquire::Retries=2", "-o", "DPkg::Lock::Timeout=120"];
  const { ok, text } = await run("apt-get", ["-q", ...patience, ...args], {
    env: { DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C.UTF-8" },
    timeoutMs: 900_000,
  });
  if (!ok) throw new Error(`apt-get ${args.join(" ")} failed:\n${lastLines(text)}`);
}

/** What must be written to offer a suite; undefined when it is offered already. */
export async function missingSource(
  release: string,
  suite: string,
): Promise<{ path: string; text: string } | undefined> {
  const files = await readSources();
  if (offersSuite(files, suite)) return undefined;
  const source = sourceForSuite(files, release, suite);
  if (!source) {
    const names = files.map(({ path }) => path).join(", ") || "no file";
    throw new Error(`No package source of "${release}" to copy was found in ${names}.`);
  }
  return { path: OUR_SOURCE + source.extension, text: source.text };
}

/**
 * Adds a package source and fetches the lists; takes the source back when that fails, so that the
 * machine's apt keeps working.
 *
 * @throws Error with apt's last lines.
 */
export async function addSource(source: { path: string; text: string }): Promise<void> {
  const part = `${source.path}.part`;
  await Deno.writeTextFile(part, source.text, { mode: 0o644 });
  await Deno.rename(part, source.path);
  try {
    await aptGet(["update"]);
  } catch (error) {
    await Deno.remove(source.path);
    throw error;
  }
}
