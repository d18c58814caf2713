/**
 * Tables and sentences about recorded results of studies, ready to be shown.
 *
 * @module
 */

import {
  countFindings,
  type Finding,
  findings,
  type FindingsOptions,
  loadFindings,
  loadTable as loadTableOf,
  type PaperPlace,
  paperTable as paperTableOf,
  type Study,
  studyOf,
  type StudyResults,
  type StudyTable,
  studyTables,
} from "../study/mod.ts";
import { bullets, type Markdown, markdown } from "./markdown.ts";
import { type Table, table } from "./table.ts";

/** Which table of a study: accuracies by split, differences to the first variant, or by family. */
export type StudyTableKind = "accuracy" | "differences" | "families";

const tableOf = ({ head, rows, caption }: StudyTable): Table => table(head, rows, caption);

/** Names of a study's variants without results, in words; empty if there are none. */
function missingText(results: StudyResults, study: Study): string {
  const missing = study.variants.filter(({ name }) =>
    !results.runs.some((r) => r.variant === name)
  );
  return missing.length === 0
    ? ""
    : ` Not recorded yet: ${missing.map((v) => v.label).join(", ")}.`;
}

/** What is shown where a study has no results at all. */
export function notRecorded(study: Study | string): Markdown {
  const { name, title } = studyOf(study);
  return markdown(
    `*Not recorded yet: ${title}. \`deno task study ${name}\` makes the runs, and ` +
      "`--export fixtures/results` records them.*",
  );
}

/** Whether results hold a run of any of a study's variants. */
export function isRecorded(results: StudyResults, study: Study | string): boolean {
  const names = studyOf(study).variants.map((v) => v.name);
  return results.runs.some((r) => names.includes(r.variant));
}

/**
 * A table of a study: means over seeds with their intervals, beside the paper's numbers. Variants that
 * were not run are named below it; without any results it is a sentence that says so.
 *
 * @param study A study, its name, or a part of one (`studyPart`).
 */
export function studyTable(
  results: StudyResults,
  study: Study | string,
  kind: StudyTableKind = "accuracy",
): Table | Markdown {
  const whole = studyOf(study);
  if (!isRecorded(results, whole)) return notRecorded(whole);
  const found = studyTables(whole, results).find((t) => t.name === `${whole.name}-${kind}`);
  if (!found) return markdown(`*No ${kind} yet.${missingText(results, whole)}*`);
  return tableOf({ ...found, caption: found.caption + missingText(results, whole) });
}

/**
 * A table of the paper, as it is printed.
 *
 * @param place Where it stands: `table 4`.
 * @param keep Which rows; all by default.
 */
export function paperTable(
  place: PaperPlace,
  keep?: (row: Readonly<Record<string, unknown>>) => boolean,
): Table {
  return tableOf(paperTableOf(place, keep));
}

/** How evenly the experts of a study's variants were used: MaxVio and dead experts by modality. */
export function loadTable(results: StudyResults, study: Study | string): Table | Markdown {
  const whole = studyOf(study), found = loadTableOf(results, whole);
  return found.rows.length === 0 ? notRecorded(whole) : tableOf(found);
}

/** Options of {@linkcode foundHere}. */
export interface FoundOptions extends FindingsOptions {
  /** Also what differs in the balance of the experts. Default false. */
  readonly load?: boolean;
  /** Further findings. */
  readonly more?: readonly Finding[];
}

/**
 * What a study shows, in sentences made from its results: see `findings`. It ends with how many of the
 * intervals would exclude zero by chance, and with who ran it.
 */
export function foundHere(
  results: StudyResults,
  study: Study | string,
  { load, more = [], ...options }: FoundOptions = {},
): Markdown {
  const whole = studyOf(study);
  if (!isRecorded(results, whole)) return notRecorded(whole);
  const list = [
    ...findings(results, whole, options),
    ...load ? loadFindings(results, whole) : [],
    ...more,
  ];
  const texts = list.filter(({ verdict }) => verdict).map(({ text, verdict }) =>
    verdict === "higher" || verdict === "lower" ? `**${text}**` : text
  );
  const open = list.filter(({ verdict }) => !verdict).map(({ label }) => label);
  const silent = open.length === 0
    ? []
    : [`Not recorded, so nothing is said about it: ${[...new Set(open)].join("; ")}.`];
  const count = countFindings(list);
  return bullets([...texts, ...silent, ...count ? [count] : [], recordedBy(results)]);
}

/** Where and with what results were made. */
export function recordedBy({ scale, devices, versions }: StudyResults): string {
  const used = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return `Recorded at scale ${scale} on ${devices.join(", ")}, with ${used.join(", ")}.`;
}
