/** Expert analyses in a study's file, and as a JSON file that notebooks read. */
import { readFile, rename, writeFile } from "node:fs/promises";
import type { ExpertAnalysis } from "./analysis.ts";
import type { StudyDatabase } from "./database.ts";

/** The analysis of a run. */
export interface RunAnalysis extends ExpertAnalysis {
  /** Hash of what the run depends on. */
  readonly run: string;
  /** Name of its variant. */
  readonly variant: string;
  /** Label of the variant. */
  readonly label: string;
  /** Its seed. */
  readonly seed: number;
}

const FORMAT = "moiie-lab expert analysis 1";

/** Name of an analysis among what else was measured of a run. */
const EXTRA = "experts";

/** Adds an analysis to a finished run; an older one is replaced. */
export function storeAnalysis(database: StudyDatabase, run: string, found: ExpertAnalysis): void {
  database.setExtra(run, EXTRA, found);
}

/** The analyses in a study's file, in the order of variant and seed. */
export function storedAnalyses(database: StudyDatabase): RunAnalysis[] {
  return database.runs().flatMap(({ id, variant, label, seed }) => {
    const found = database.extras(id)[EXTRA] as ExpertAnalysis | undefined;
    return found ? [{ run: id, variant, label, seed, ...found }] : [];
  }).sort((a, b) => a.variant < b.variant ? -1 : a.variant > b.variant ? 1 : a.seed - b.seed);
}

/** Takes over the analyses of another study's file for runs that this one has, but has not analysed. */
export function mergeAnalyses(from: StudyDatabase, into: StudyDatabase): number {
  const here = new Set(storedAnalyses(into).map((a) => a.run));
  const more = storedAnalyses(from).filter((a) => !here.has(a.run) && into.run(a.run));
  for (const { run, variant: _, label: __, seed: ___, ...found } of more) {
    storeAnalysis(into, run, found);
  }
  return more.length;
}

/** Writes analyses to a JSON file, under a temporary name first. */
export async function writeAnalyses(path: string, analyses: readonly RunAnalysis[]): Promise<void> {
  const lines = analyses.map((a) => JSON.stringify(a, shortNumbers));
  await writeFile(`${path}.part`, `{"format":"${FORMAT}","analyses":[\n${lines.join(",\n")}\n]}\n`);
  await rename(`${path}.part`, path);
}

/** Six digits are more than there is to know, and half the size. */
function shortNumbers(_: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isInteger(value)
    ? Number(value.toPrecision(6))
    : value;
}

/** Reads analyses of a JSON file. @throws {SyntaxError} if it is something else */
export async function readAnalyses(path: string): Promise<RunAnalysis[]> {
  const read = JSON.parse(await readFile(path, "utf8"));
  if (read?.format !== FORMAT) {
    throw new SyntaxError(`${path} holds no expert analyses (format ${read?.format})`);
  }
  return read.analyses;
}
