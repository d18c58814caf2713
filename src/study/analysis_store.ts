/** Expert analyses in a study's file, and as a JSON file that notebooks read. */
import { readFile, rename, writeFile } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";
import type { ExpertAnalysis } from "./analysis.ts";

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

/** A table of its own, made when it is first needed: other readers of the file need not know it. */
const TABLE = `CREATE TABLE IF NOT EXISTS analyses (
  run TEXT PRIMARY KEY,
  analysis TEXT NOT NULL     -- JSON
) STRICT`;

function open(path: string): DatabaseSync {
  const db = new DatabaseSync(path);
  db.exec(`PRAGMA busy_timeout = 30000; ${TABLE}`);
  return db;
}

/** Writes an analysis into a study's file; an older one of the run is replaced. */
export function storeAnalysis(path: string, analysis: RunAnalysis): void {
  const db = open(path);
  try {
    db.prepare("REPLACE INTO analyses VALUES (?, ?)").run(analysis.run, JSON.stringify(analysis));
  } finally {
    db.close();
  }
}

/** The analyses in a study's file, in the order of variant and seed. */
export function storedAnalyses(path: string): RunAnalysis[] {
  const db = open(path);
  try {
    const rows = db.prepare("SELECT analysis FROM analyses").all() as { analysis: string }[];
    return rows.map((row) => JSON.parse(row.analysis) as RunAnalysis)
      .sort((a, b) => a.variant < b.variant ? -1 : a.variant > b.variant ? 1 : a.seed - b.seed);
  } finally {
    db.close();
  }
}

/** Takes over the analyses of another study's file that this one has not. @returns how many */
export function mergeAnalyses(from: string, into: string): number {
  const here = new Set(storedAnalyses(into).map((a) => a.run));
  const more = storedAnalyses(from).filter((a) => !here.has(a.run));
  for (const analysis of more) storeAnalysis(into, analysis);
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
