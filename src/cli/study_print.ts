/** What `deno task study` prints and writes. */
import { duration, studyReport, table } from "../notebook/mod.ts";
import {
  gatherResults,
  resultsFileName,
  type RunAnalysis,
  type RunRow,
  STALE_SECONDS,
  type Study,
  type StudyDatabase,
  type StudyResults,
  studyTables,
  writeReport,
  writeResults,
} from "../study/mod.ts";

/** The tables of a study as text. */
export function tablesText(study: Study, results: StudyResults): string {
  return studyTables(study, results)
    .map(({ title, head, rows, caption }) => `${title}\n\n${table(head, rows)}\n\n${caption}`)
    .join("\n\n\n");
}

/** Runs and their states. */
export function runsText(runs: readonly RunRow[]): string {
  return String(table(
    ["run", "variant", "seed", "state", "seconds", "device", "note"],
    runs.map((r) => [
      r.id,
      r.variant,
      r.seed,
      r.status,
      Math.round(r.seconds),
      r.adapter ?? "",
      r.error ?? (r.status === "running" ? runningNote(r) : ""),
    ]),
  ));
}

function runningNote({ host, pid, heartbeat = 0 }: RunRow): string {
  const silent = Date.now() / 1000 - heartbeat;
  const note = `${host}, process ${pid}, heard of ${duration(silent)} ago`;
  return silent > STALE_SECONDS ? `${note}: will be taken over` : note;
}

/** How far the studies of a file are. */
export function statusText(database: StudyDatabase): string {
  const runs = database.runs();
  const count = (list: readonly RunRow[], status: string) =>
    list.filter((r) => r.status === status).length;
  const rows = [...Map.groupBy(runs, (r) => r.variant)].map(([variant, list]) => [
    variant,
    count(list, "done"),
    count(list, "running"),
    count(list, "planned"),
    count(list, "failed"),
    duration(list.reduce((n, r) => n + r.seconds, 0)),
  ]);
  const open = runs.filter((r) => r.status === "running" || r.status === "failed");
  return [
    `${database.path}: ${runs.length} runs`,
    String(table(["variant", "done", "running", "planned", "failed", "work"], rows)),
    ...(open.length > 0 ? [runsText(open)] : []),
  ].join("\n\n");
}

/** Writes the finished runs of a file: to one file, or in a folder one file a device. */
export async function exportResults(database: StudyDatabase, place: string): Promise<string[]> {
  if (place.endsWith(".json")) {
    await writeResults(place, gatherResults(database));
    return [place];
  }
  await Deno.mkdir(place, { recursive: true });
  const { devices, scale } = gatherResults(database);
  const paths: string[] = [];
  for (const device of devices) {
    const path = `${place}/${resultsFileName(scale, device)}`;
    await writeResults(path, gatherResults(database, { device }));
    paths.push(path);
  }
  return paths;
}

/** Where a study's page is written: a folder for each scale and device, smoke runs apart. */
export function pagePath(study: Study, { scale, devices, variants }: StudyResults): string {
  const name = resultsFileName(scale, devices.length === 1 ? devices[0] : "all")
    .replace(/\.json$/, "");
  const smoke = variants.some((v) => v.config.limit !== undefined) ? "_smoke" : "";
  return `runs/${name}${smoke}/${study.name}.html`;
}

/** Writes a page with all tables and figures of a study. @returns its path */
export async function writePage(
  path: string,
  study: Study,
  results: StudyResults,
  analyses: readonly RunAnalysis[],
): Promise<string> {
  await writeReport(path, await studyReport(results, study, { analyses }));
  return path;
}
