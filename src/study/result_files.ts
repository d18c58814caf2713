/** Results of studies as files. */
import { readdir, readFile, rename, writeFile } from "node:fs/promises";
import type { StudyResults } from "./results.ts";
import { checkLoad } from "./training_load.ts";

const FORMAT: StudyResults["format"] = "moiie-lab study 1";

/** Results as the text of a file: one line a run, so that changes can be read. */
export function resultsText(results: StudyResults): string {
  const list = (rows: readonly unknown[]) =>
    `[\n${rows.map((row) => `  ${JSON.stringify(row)}`).join(",\n")}\n ]`;
  const parts = Object.entries(results).map(([name, value]) =>
    ` ${JSON.stringify(name)}: ${Array.isArray(value) ? list(value) : JSON.stringify(value)}`
  );
  return `{\n${parts.join(",\n")}\n}\n`;
}

/** Name of the file of a device's results, such as `study_tiny_llvmpipe.json`. */
export function resultsFileName(scale: string, device: string): string {
  const short = device.replace(/[\s(-]*llvm \d.*|-llvm-.*| \(.*/i, "").toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "_").replaceAll(/^_|_$/g, "");
  return `study_${scale}_${short || "device"}.json`;
}

/** Writes results to a file, under a temporary name first. */
export async function writeResults(path: string, results: StudyResults): Promise<void> {
  await writeFile(`${path}.part`, resultsText(results));
  await rename(`${path}.part`, path);
}

/**
 * Reads results of a file, or of all files `study_*.json` of a folder.
 *
 * @throws {RangeError} if there is no such file or folder, or a folder has none.
 * @throws {SyntaxError} if a file is something else.
 */
export async function readResults(path: string): Promise<StudyResults[]> {
  const missing = (cause: unknown): never => {
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause;
    throw new RangeError(`there is no ${path}; ${remedy(path)}`, { cause });
  };
  if (path.endsWith(".json")) {
    return [parseResults(await readFile(path, "utf8").catch(missing), path)];
  }
  const names = (await readdir(path).catch(missing))
    .filter((name) => /^study_.*\.json$/.test(name)).sort();
  if (names.length === 0) {
    throw new RangeError(`${path} holds no results (study_*.json); ${remedy(path)}`);
  }
  return await Promise.all(
    names.map(async (name) =>
      parseResults(await readFile(`${path}/${name}`, "utf8"), `${path}/${name}`)
    ),
  );
}

/** How results come to a place. */
const remedy = (path: string): string =>
  `results are recorded there by \`deno task study NAME --export ${path}\`, where NAME is one of the ` +
  "studies; for those of finished runs without exporting them name the database, such as " +
  "`--from .cache/study/tiny.db`";

/** Reads the text of a file of results. @throws {SyntaxError} if it is something else, or damaged */
export function parseResults(text: string, source: string): StudyResults {
  const results = JSON.parse(text) as StudyResults;
  if (results?.format !== FORMAT) {
    throw new SyntaxError(`${source} holds no results of a study (format ${results?.format})`);
  }
  checkLoad(results, source);
  return results;
}
