/**
 * A study's results as one page: every table and figure, the paper's numbers beside ours.
 *
 * @module
 */

import {
  countFindings,
  type Finding,
  type ListItem,
  type Report,
  type RunAnalysis,
  type Section,
  STUDIES,
  type Study,
  studyOf,
  type StudyResults,
} from "../study/mod.ts";
import { duration } from "./progress.ts";
import { listSection, tableSection } from "./report_sections.ts";
import { comparisonSections, studyFindings } from "./study_report_comparison.ts";
import { expertSections, parameterSections } from "./study_report_experts.ts";
import { isRecorded, paperTable, recipeTable } from "./study_tables.ts";
import { table } from "./table.ts";
import type { ScaleName } from "../data/mod.ts";

/** Options of {@linkcode studyReport}. */
export interface StudyReportOptions {
  /** What is known of the experts of single runs. Default nothing. */
  readonly analyses?: readonly RunAnalysis[];
}

/** In the order of the page: the paper's. */
const ORDER = ["main", "scale", "ablations", "auxiliary", "stages"];

/** The comparisons of a study: of `paper` all of them. */
function comparisonsOf(study: Study): Study[] {
  if (study.name !== "paper") return [study];
  return STUDIES.filter((s) => s.name !== "paper")
    .sort((a, b) => ORDER.indexOf(a.name) - ORDER.indexOf(b.name));
}

/**
 * Puts the results of a study together as a report: what was run, each comparison with tables, figures,
 * findings and the paper's numbers, the experts, parameters, limits, and what is not recorded yet with
 * the command that records it. For `writeReport`.
 *
 * @param results Results at one scale, of which many or few runs are done.
 * @param study A study or its name; `paper` for every comparison of the paper.
 * @throws {RangeError} If the results hold no run of the study.
 *
 * @example
 * ```ts ignore
 * import { studyReport, studyResults, writeReport } from "@moiie/lab";
 * const results = await studyResults("tiny");
 * await writeReport("runs/paper.html", await studyReport(results));
 * ```
 */
export async function studyReport(
  results: StudyResults,
  study: Study | string = "paper",
  { analyses = [] }: StudyReportOptions = {},
): Promise<Report> {
  const whole = studyOf(study), studies = comparisonsOf(whole);
  if (!isRecorded(results, whole)) {
    throw new RangeError(
      `no run of the study ${whole.name} at scale ${results.scale} is finished, so there is nothing ` +
        `to report; \`deno task study ${whole.name}\` makes the runs`,
    );
  }
  const ids = new Set(results.runs.map((r) => r.id));
  const known = analyses.filter((a) => ids.has(a.run));
  const found = once(studies.flatMap((s) => studyFindings(results, s)));
  const sections: Section[] = [...overview(results, studies)];
  // One after the other: the renderer draws one figure at a time anyway.
  for (const s of studies) sections.push(...await comparisonSections(results, s));
  sections.push(
    ...await expertSections(results, whole, known),
    ...await parameterSections(results, whole),
    ...limits(results, found),
    ...missing(results, studies, known),
    configurations(results),
  );
  return {
    title: `${whole.title}: ${results.scale} models`,
    lead: lead(results, found),
    facts: facts(results),
    sections,
    contents: true,
  };
}

/** Findings that several comparisons share, such as MoIIE on all data, count once. */
function once(found: readonly Finding[]): Finding[] {
  return [...new Map(found.map((f) => [f.text.replace(/ The paper: .*$/, ""), f])).values()];
}

const isSmoke = (results: StudyResults): boolean =>
  results.variants.some((v) => v.config.limit !== undefined);

const seedsOf = (results: StudyResults): number[] =>
  [...new Set(results.runs.map((r) => r.seed))].sort((a, b) => a - b);

function lead(results: StudyResults, found: readonly Finding[]): string {
  const { runs, variants, scale } = results, seeds = seedsOf(results).length;
  const smoke = isSmoke(results)
    ? "SMOKE RUN, a few steps and questions: these numbers mean nothing.\n\n"
    : "";
  return `${smoke}${runs.length} miniature vision-language models (scale ${scale}): ` +
    `${variants.length} ${variants.length === 1 ? "variant" : "variants"}, up to ${seeds} ` +
    `${
      seeds === 1 ? "seed" : "seeds"
    } each, trained on drawn pictures, beside the numbers of the ` +
    "paper on MoIIE (arXiv 2508.09779), whose models are far larger and answer other " +
    `benchmarks. ${countFindings(found) || "One seed has no interval: nothing is compared."}`;
}

/** `a (3 runs), b (1 run)` */
function counted(values: readonly string[]): string {
  return [...Map.groupBy(values, (v) => v || "unknown")]
    .map(([name, all]) => `${name} (${all.length} ${all.length === 1 ? "run" : "runs"})`)
    .join(", ");
}

function workOf(results: StudyResults): number {
  return [...results.runs, ...results.connectors].reduce((sum, r) => sum + r.seconds, 0);
}

function facts(results: StudyResults): Report["facts"] {
  const { scale, runs, connectors, versions } = results;
  return [
    ["scale", scale],
    ["models", `${runs.length}, and ${connectors.length} shared first stages`],
    ["seeds", seedsOf(results).join(", ")],
    ["work, all together", duration(workOf(results))],
    ["device", counted(runs.map((r) => r.device))],
    ["code (git commit)", counted(runs.map((r) => r.code))],
    ["versions", Object.entries(versions).map(([name, v]) => `${name} ${v}`).join(", ")],
    ["page made", new Date().toISOString().slice(0, 10)],
  ];
}

function overview(results: StudyResults, studies: readonly Study[]): Section[] {
  const rows = studies.map(({ title, variants }) => {
    const runs = results.runs.filter((r) => variants.some((v) => v.name === r.variant));
    const seeds = variants.map(({ name }) => runs.filter((r) => r.variant === name).length);
    return [
      title,
      `${seeds.filter((n) => n > 0).length} of ${variants.length}`,
      seedRange(seeds),
      String(runs.length),
      duration(runs.reduce((sum, r) => sum + r.seconds, 0)),
    ];
  });
  const runs = table(
    ["comparison", "variants recorded", "seeds each", "runs", "work"],
    rows,
    "A run that several comparisons share counts in each. The first stage is trained once a seed, for " +
      "all variants; each model goes on from it with the same data in the same order.",
  );
  return [
    { kind: "text", heading: "What was run", text: METHOD },
    tableSection("Runs", runs),
    tableSection("How models were trained", recipeTable(results.scale as ScaleName)),
    tableSection("How the paper's models were trained", paperTable("table 5")),
  ];
}

const METHOD =
  "Accuracies are shares of right answers (exact match) on held-out pictures: val follows " +
  "the law of the training pictures, comp holds out pairs, words, numbers and writers, style is drawn " +
  "in another style. The blind floor is what the most frequent answer to each question text reaches " +
  "without looking. Intervals are 95 % t intervals over seeds; differences are taken seed by seed, so " +
  "that what seeds have in common drops out. The paper gives one run for each number, without intervals.";

/** `5`, or `2 to 5`, of the variants that have runs. */
function seedRange(seeds: readonly number[]): string {
  const some = seeds.filter((n) => n > 0);
  if (some.length === 0) return "";
  const least = Math.min(...some), most = Math.max(...some);
  return least === most ? String(most) : `${least} to ${most}`;
}

function limits(results: StudyResults, found: readonly Finding[]): Section[] {
  const nulls = found.filter((f) => f.verdict === "no difference shown");
  const single = found.filter((f) => f.verdict === "one seed: no interval");
  const count = countFindings(found);
  const items: ListItem[] = [
    {
      text:
        "The models are miniatures on drawn pictures. A difference here need not carry over to " +
        "the paper's models, and one that is missing here may exist there.",
    },
    {
      text: `Few seeds (here at most ${seedsOf(results).length}) see large differences only: "no ` +
        'difference shown" is not "no difference". How small a difference could have been seen is ' +
        "half the width of its interval.",
    },
    ...count
      ? [{ text: `Many comparisons: ${count} No interval is widened for their number.` }]
      : [],
    ...single.length > 0
      ? [{ text: `${single.length} comparisons rest on one seed and say nothing yet.` }]
      : [],
    {
      text:
        "The paper's numbers come from other models, data and benchmarks, from one run each: they " +
        "stand beside ours for the direction of a difference, not for its size.",
    },
  ];
  return [
    { kind: "list", heading: "What this cannot say", items },
    ...listSection("Comparisons that show no difference", nulls.map((f) => f.text)),
  ];
}

/** Seeds that a comparison should have: what `deno task study` runs if nothing else is said. */
const SEEDS: readonly number[] = [7, 8, 9, 10, 11];

/** What is not recorded yet, and how to record it. Finished runs are skipped by the commands. */
function missing(
  results: StudyResults,
  studies: readonly Study[],
  analyses: readonly RunAnalysis[],
): Section[] {
  const scale = results.scale === "tiny" ? "" : ` --scale ${results.scale}`;
  const wanted = [...new Set([...SEEDS, ...seedsOf(results)])];
  const more = wanted.length > SEEDS.length ? ` --seeds ${wanted.join(",")}` : "";
  const items = studies.flatMap(({ name, title, variants }) => {
    const open = variants.flatMap(({ name, label }) => {
      const n = results.runs.filter((r) => r.variant === name).length;
      if (n >= wanted.length) return [];
      return [n === 0 ? label : `${label} (${n} of ${wanted.length} seeds)`];
    });
    const command = `deno task study ${name}${scale}${more}`;
    return open.length === 0 ? [] : [`${title}: ${open.join("; ")}. Record with \`${command}\`.`];
  });
  if (analyses.length === 0) {
    items.push(
      `Single experts and token paths. Record with \`deno task study ${
        studies.length === 1 ? studies[0].name : "paper"
      }${scale} --keep\`, which keeps weights, then \`deno task study analyse${scale}\`.`,
    );
  }
  return items.length === 0
    ? []
    : [{ kind: "list", heading: "Not recorded yet", items: items.map((text) => ({ text })) }];
}

/** All of what was run, to the last setting. */
function configurations({ variants }: StudyResults): Section {
  return {
    kind: "code",
    heading: "Configurations",
    code: variants.map(({ name, config }) => `${name}: ${JSON.stringify(config)}`).join("\n\n"),
  };
}
