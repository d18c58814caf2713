/** Which files make up the project, for the tests of the house rules. */

/** The root of the project. */
export const ROOT: URL = new URL("../../", import.meta.url);

/** Paths from the root of all files that git keeps or would keep. */
export async function projectFiles(): Promise<string[]> {
  try {
    const { success, stdout } = await new Deno.Command("git", {
      args: ["ls-files", "--cached", "--others", "--exclude-standard"],
      cwd: ROOT,
      stderr: "null",
    }).output();
    if (success) return existing(new TextDecoder().decode(stdout).split("\n").filter(Boolean));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return await walk(""); // A download without git or without its history.
}

async function existing(paths: string[]): Promise<string[]> {
  const found = await Promise.all(
    paths.map((path) => Deno.stat(new URL(path, ROOT)).then(({ isFile }) => isFile, () => false)),
  );
  return paths.filter((_, i) => found[i]);
}

async function walk(folder: string): Promise<string[]> {
  const ignored = (await Deno.readTextFile(new URL(".gitignore", ROOT))).split("\n");
  const paths: string[] = [];
  for await (const entry of Deno.readDir(new URL(folder || ".", ROOT))) {
    if (entry.name === ".git" || ignored.includes(`${entry.name}/`)) continue;
    if (entry.isDirectory) paths.push(...await walk(`${folder}${entry.name}/`));
    else if (entry.isFile && !entry.name.endsWith(".part")) paths.push(folder + entry.name);
  }
  return paths.sort();
}

/** The text of a file, or undefined when it holds bytes that are not text. */
export async function readText(path: string): Promise<string | undefined> {
  const bytes = await Deno.readFile(new URL(path, ROOT));
  return bytes.includes(0) ? undefined : new TextDecoder().decode(bytes);
}
