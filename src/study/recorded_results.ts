/** Finding results of studies: those recorded in the repository, in a file, or in a database. */
import { readdir } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { readAnalyses, type RunAnalysis, storedAnalyses } from "./analysis_store.ts";
import { readResults } from "./result_files.ts";
import { gatherResults, type StudyResults } from "./results.ts";
import { StudyDatabase } from "./database.ts";

/**
 * Results of one scale from a file, a folder of files, or a database (`.db`).
 *
 * @throws {RangeError} if there are none of the scale.
 * @throws {Deno.errors.NotFound} if there is no such database.
 */
export async function resultsFrom(place: string, scale: string): Promise<StudyResults[]> {
  if (!place.endsWith(".db")) {
    const found = await readResults(place);
    const fitting = found.filter((r) => r.scale === scale);
    if (fitting.length > 0) return fitting;
    throw new RangeError(
      `${place} has no results at scale ${scale}, but at ${
        [...new Set(found.map((r) => r.scale))].join(", ")
      }`,
    );
  }
  await Deno.stat(place).catch((cause) => { // opening would make it
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new Deno.errors.NotFound(
      `there is no ${place}; \`deno task study NAME --db ${place}\` records runs there`,
      { cause },
    );
  });
  using database = new StudyDatabase(place);
  return [gatherResults(database)];
}

/**
 * The analyses of experts that lie beside results: those of a database, or of the JSON files in the
 * folder, whatever their names. They belong to runs by `run`; there may be none.
 *
 * @param place what {@linkcode resultsFrom} takes
 */
export async function analysesFrom(place: string): Promise<RunAnalysis[]> {
  if (place.endsWith(".db")) {
    using database = new StudyDatabase(place);
    return storedAnalyses(database);
  }
  const folder = place.endsWith(".json") ? dirname(place) : place;
  const names = (await readdir(folder)).filter((name) => /\.json$/.test(name)).sort();
  const found = await Promise.all(
    names.map((name) =>
      readAnalyses(`${folder}/${name}`).catch((error) => {
        if (error instanceof SyntaxError) return []; // something else
        throw error;
      })
    ),
  );
  return found.flat();
}

/** Options of {@linkcode studyResults}. */
export interface StudyResultsOptions {
  /** A file `study_*.json`, a folder of them, or a database. Default `fixtures/results`. */
  readonly from?: string;
  /** Only those of a device whose name holds this, such as `llvmpipe`. Default the most runs. */
  readonly device?: string;
}

/**
 * The results of studies at one scale, from one device: of several the one with the most runs. Without
 * recorded results they are empty, which tables, figures and findings say in words.
 *
 * @throws {RangeError} if `from` or `device` is given and has none.
 *
 * @example
 * ```ts
 * import { studyResults } from "@moiie/lab/study";
 * const results = await studyResults("tiny");
 * console.log(results.runs.length);
 * ```
 */
export async function studyResults(
  scale: string = "tiny",
  { from, device }: StudyResultsOptions = {},
): Promise<StudyResults> {
  const found = await resultsFrom(from ?? recordedFolder(), scale).catch((error) => {
    if (from === undefined && isMissing(error)) return [];
    throw error;
  });
  const fitting = found.filter((r) =>
    device === undefined || r.devices.some((name) => name.includes(device))
  );
  if (device !== undefined && fitting.length === 0) {
    throw new RangeError(
      `no results of a device "${device}"; there are ${
        found.flatMap((r) => r.devices).join(", ") || "none"
      }`,
    );
  }
  return fitting.toSorted((a, b) => b.runs.length - a.runs.length)[0] ?? noResults(scale);
}

/**
 * The expert analyses of recorded runs, such as those of `analysis_tiny_llvmpipe.json` beside the results.
 * Without recorded ones there are none, which tables, figures and findings say in words.
 *
 * @param results whose runs @param from what {@linkcode analysesFrom} takes; default `fixtures/results`
 * @throws {Error} with the code ENOENT if `from` is given and is missing.
 *
 * @example
 * ```ts
 * import { studyAnalyses, studyResults } from "@moiie/lab/study";
 * const analyses = await studyAnalyses(await studyResults("tiny"));
 * console.log(analyses.length);
 * ```
 */
export async function studyAnalyses(results: StudyResults, from?: string): Promise<RunAnalysis[]> {
  const found = await analysesFrom(from ?? recordedFolder()).catch((error) => {
    if (from === undefined && isMissing(error)) return [];
    throw error;
  });
  const runs = new Set(results.runs.map((r) => r.id));
  return found.filter((a) => runs.has(a.run));
}

/** Results without a run. */
export function noResults(scale: string): StudyResults {
  return {
    format: "moiie-lab study 1",
    scale,
    devices: [],
    versions: {},
    floors: {},
    variants: [],
    connectors: [],
    runs: [],
  };
}

/** Where the repository keeps results; a package that was fetched has none. */
function recordedFolder(): string {
  const url = new URL("../../fixtures/results/", import.meta.url);
  return url.protocol === "file:" ? fileURLToPath(url) : "fixtures/results/";
}

const isMissing = (error: unknown): boolean =>
  error instanceof RangeError || (error as NodeJS.ErrnoException).code === "ENOENT";
