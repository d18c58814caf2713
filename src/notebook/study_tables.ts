/**
 * Tables and sentences about recorded results of studies, ready to be shown.
 *
 * @module
 */

import type { ScaleName } from "../data/mod.ts";
import {
  countFindings,
  type Finding,
  findings,
  type FindingsOptions,
  loadFindings,
  loadTable as loadTableOf,
  type PaperPlace,
  paperTable as paperTableOf,
  planStudy,
  REFERENCE,
  STUDIES,
  type Study,
  studyNamed,
  studyOf,
  type StudyResults,
  type StudyTable,
  studyTables,
} from "../study/mod.ts";
import { bullets, type Markdown, markdown } from "./markdown.ts";
import { type Table, table } from "./table.ts";

/** Which table of a study: accuracies by split, differences to the first variant, or by family. */
export type StudyTableKind = "accuracy" | "differences" | "families";

/** A table of a study, to be shown. */
export const tableOf = ({ head, rows, caption }: StudyTable): Table => table(head, rows, caption);

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
  // What a notebook puts together itself is made of variants that the largest study has.
  const command = STUDIES.some((s) => s.name === name) ? name : "paper";
  return markdown(
    `*Not recorded yet: ${title}. \`deno task study ${command}\` makes the runs, and ` +
      "`--export fixtures/results` records them.*",
  );
}

/** What is shown where a variant has no results. @param variant its short name */
export function notRecordedVariant(variant: string): Markdown {
  return notRecorded({ name: "paper", title: `experts of ${variant}`, variants: [] });
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

/** How studies of a scale train: settings of both stages, from the plan that their runs follow. */
export function recipeTable(scale: ScaleName = "tiny"): Table {
  const plans = planStudy(studyNamed("stages"), { scale, seeds: [7] });
  const { settings } = plans.find(({ variant }) => variant === REFERENCE)!.config;
  const vision = (settings.visionScale ?? 1) * (settings.instructionRate ?? 0);
  const warmup = `cosine, warm-up ${100 * (settings.warmup ?? 0)} %`;
  const clipped = `AdamW, no decay, gradients clipped at ${settings.clipNorm}`;
  return table(["setting", "stage 1", "stage 2"], [
    ["trained", "connector", "everything, experts included"],
    ["data", "captions of emoji-VQA", `its questions, ${settings.questionsPerImage} a picture`],
    ["batch", settings.connectorBatch, settings.instructionBatch],
    ["steps", settings.connectorSteps, settings.instructionSteps],
    [
      "learning rate",
      settings.connectorRate,
      `${settings.instructionRate}; vision encoder ${vision}`,
    ],
    ["schedule", warmup, warmup],
    ["optimizer", clipped, clipped],
    ["balancing coefficient", "", settings.auxiliary],
  ], `The studies of this project at scale ${scale}.`);
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
  return foundIn(results, list);
}

/**
 * Findings as a list: what was shown is set off, what is not recorded is named, and it ends with how many
 * intervals would exclude zero by chance, and with who ran it.
 *
 * @param list From `findings`, `interModalityFindings`, `expertFindings` and the like.
 * @param facts Further sentences, which stand behind the findings.
 */
export function foundIn(
  results: StudyResults,
  list: readonly Finding[],
  facts: readonly string[] = [],
): Markdown {
  if (results.runs.length === 0) {
    return markdown("*Nothing is recorded yet, so nothing is said.*");
  }
  const texts = list.filter(({ verdict }) => verdict).map(({ text, verdict }) =>
    verdict === "higher" || verdict === "lower" ? `**${text}**` : text
  );
  const count = countFindings(list);
  return bullets([
    ...texts,
    ...facts,
    ...notSaid(list),
    ...count ? [count] : [],
    recordedBy(results),
  ]);
}

/** Names what no finding can be made of, in one sentence for each model that it is compared with. */
export function notSaid(list: readonly Finding[]): string[] {
  const open = list.filter(({ verdict }) => !verdict);
  return [...Map.groupBy(open, (f) => f.reference)].map(([reference, findings]) => {
    const labels = [...new Set(findings.map((f) => f.label))].join("; ");
    return `Not recorded, so nothing is said: ${labels} (less ${reference}).`;
  });
}

/** Where and with what results were made. */
export function recordedBy({ scale, devices, versions }: StudyResults): string {
  const used = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return `Recorded at scale ${scale} on ${devices.join(", ")}, with ${used.join(", ")}.`;
}
