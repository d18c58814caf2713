/** Tables of studies, derived from their results, with the paper's numbers beside. */
import { FAMILIES } from "../data/mod.ts";
import { comparisons, STUDIES, type Study } from "./grid.ts";
import { paperColumn, type PaperValue } from "./paper_values.ts";
import { accuracies, type StudyResults } from "./results.ts";
import { type Estimate, estimate, pairedDifference, type Verdict, verdict } from "./statistics.ts";
import type { Variant } from "./variants.ts";

/** A table as text, for terminals, notebooks and reports. */
export interface StudyTable {
  /** Short name without blanks. */
  readonly name: string;
  /** What it shows. */
  readonly title: string;
  /** Names of the columns. */
  readonly head: readonly string[];
  /** Cells. */
  readonly rows: readonly (readonly string[])[];
  /** How to read it. */
  readonly caption: string;
}

/** A variant beside the reference. */
export interface Comparison {
  /** Short name of the variant. */
  readonly variant: string;
  /** Its name in tables. */
  readonly label: string;
  /** Its accuracy over seeds, a share from 0 to 1. */
  readonly accuracy: Estimate;
  /** Its accuracy less the reference's, seed by seed; none for the reference itself. */
  readonly difference?: Estimate;
  /** What the difference allows to say. */
  readonly verdict?: Verdict;
  /** The paper's number for it. */
  readonly paper?: PaperValue;
}

/** Where a comparison is made. */
export interface CompareOptions {
  /** The split. Default `val`. */
  readonly split?: string;
  /** The family; `mean` for the mean of the families' accuracies. Default `mean`. */
  readonly family?: string;
  /** The variant that the others are compared with. Default the first. */
  readonly reference?: string;
  /** The paper's numbers by variant. */
  readonly paper?: Readonly<Record<string, PaperValue>>;
}

/** Variants beside a reference; those without results are left out. */
export function compareVariants(
  results: StudyResults,
  variants: readonly Pick<Variant, "name" | "label">[],
  options: CompareOptions = {},
): Comparison[] {
  const { reference = variants[0]?.name, paper = {} } = options;
  const base = accuracies(results, reference, options);
  return variants.flatMap(({ name, label }) => {
    const own = accuracies(results, name, options);
    if (own.size === 0) return [];
    const difference = name === reference ? undefined : pairedDifference(own, base);
    return [{
      variant: name,
      label,
      accuracy: estimate([...own.values()]),
      difference,
      verdict: difference && verdict(difference),
      paper: paperBeside(paper[name], paper[reference]),
    }];
  });
}

/** The paper's number with its difference to the one of another row, whatever row that is. */
function paperBeside(
  value: PaperValue | undefined,
  reference: PaperValue | undefined,
): PaperValue | undefined {
  if (!value || !reference) return value;
  return {
    average: value.average,
    difference: Math.round(100 * (value.average - reference.average)) / 100,
  };
}

const points = (share: number): string => (100 * share).toFixed(1);

/** `+0.4`: a share in points with its sign. */
export const signedPoints = (share: number): string => {
  const text = points(share);
  return share > 0 && Number(text) !== 0 ? `+${text}` : text.replace(/^-0\.0$/, "0.0");
};

/**
 * `70.4 (69.2 to 71.6)`; one seed has no interval, and one that is too narrow to be written is left
 * out.
 *
 * @param number writes a number; by default a share in percent
 */
export function intervalText(
  { mean, low, high }: Estimate,
  number: (value: number) => string = points,
): string {
  if (low === undefined || high === undefined || number(low) === number(high)) return number(mean);
  return `${number(mean)} (${number(low)} to ${number(high)})`;
}

/** `70.4 (69.2 to 71.6)`, in percent; one seed has no interval. */
export function accuracyText(accuracy: Estimate): string {
  return intervalText(accuracy);
}

/** `+0.4 (-0.3 to +1.1), no difference shown`, in points. */
export function differenceText(difference: Estimate): string {
  const { mean, low, high } = difference;
  const said = verdict(difference);
  if (low === undefined || high === undefined) return `${signedPoints(mean)}, ${said}`;
  return `${signedPoints(mean)} (${signedPoints(low)} to ${signedPoints(high)}), ${said}`;
}

const SPLITS = ["val", "comp", "style"] as const;

/** What the numbers of a study's table are. */
function methodOf(study: Study, results: StudyResults): string {
  const seeds = study.variants.map(({ name }) => accuracies(results, name).size);
  return Math.max(...seeds) > 1 ? "Mean over seeds with its 95 % t interval" : "One seed";
}

/** The families of the results. */
function familiesOf(results: StudyResults): string[] {
  const asked = results.runs[0]?.answers.val ?? {};
  return FAMILIES.filter((family) => family in asked);
}

/**
 * The tables of a study: accuracies on the three splits, differences to the reference, and accuracies
 * by family. Of the study `paper`, those of every study.
 *
 * @throws {RangeError} if the results hold none of the study's variants.
 */
export function studyTables(study: Study, results: StudyResults): StudyTable[] {
  if (study.name === "paper") {
    return STUDIES.filter((s) => s.name !== "paper" && hasResults(s, results))
      .flatMap((s) => studyTables(s, results));
  }
  if (!hasResults(study, results)) {
    throw new RangeError(
      `no results of the study ${study.name}: the variants at hand are ${
        results.variants.map((v) => v.name).join(", ")
      }`,
    );
  }
  return [
    accuracyTable(study, results),
    differenceTable(study, results),
    familyTable(study, results),
  ]
    .filter((t) => t.rows.length > 0);
}

function hasResults(study: Study, results: StudyResults): boolean {
  return study.variants.some((v) => results.variants.some((r) => r.name === v.name));
}

/** A warning if the runs were cut short to try something out. */
function smokeNote(results: StudyResults): string {
  const smoke = results.variants.some((v) => v.config.limit !== undefined);
  return smoke ? "SMOKE RUN, a few steps and questions: these numbers mean nothing. " : "";
}

/** One row for each variant of a study that has results. */
function rowsOf<T>(
  study: Study,
  results: StudyResults,
  row: (bySplit: Comparison[], reference: string) => T[],
): T[] {
  const paper = paperColumn(study.name)?.values;
  return comparisons(study).flatMap((group) => {
    const bySplit = SPLITS.map((split) => compareVariants(results, group, { split, paper }));
    return bySplit[0].flatMap((_, i) => row(bySplit.map((list) => list[i]), group[0].label));
  });
}

function accuracyTable(study: Study, results: StudyResults): StudyTable {
  const source = paperColumn(study.name)?.source;
  const rows = rowsOf(study, results, (bySplit) => [[
    bySplit[0].label,
    String(bySplit[0].accuracy.n),
    ...bySplit.map((c) => accuracyText(c.accuracy)),
    ...(source ? [bySplit[0].paper?.average.toFixed(1) ?? ""] : []),
  ]]);
  const floor = ["blind floor", "", ...SPLITS.map((s) => points(results.floors[s]?.mean ?? NaN))];
  if (results.floors.val) rows.push([...floor, ...(source ? [""] : [])]);
  return {
    name: `${study.name}-accuracy`,
    title: study.title,
    head: ["variant", "seeds", "val %", "comp %", "style %", ...(source ? ["paper %"] : [])],
    rows,
    caption:
      `${smokeNote(results)}Mean accuracy of the four families. ${methodOf(study, results)}, on ${
        results.devices.join(", ")
      }.` +
      (source ? ` Paper: ${source}, other benchmarks, one seed.` : ""),
  };
}

function differenceTable(study: Study, results: StudyResults): StudyTable {
  const source = paperColumn(study.name)?.source;
  const rows = rowsOf(study, results, (bySplit, reference) => {
    if (bySplit.every((c) => c.difference === undefined)) return [];
    return [[
      bySplit[0].label,
      reference,
      String(bySplit[0].difference?.n ?? 0),
      ...bySplit.map((c) => c.difference ? differenceText(c.difference) : ""),
      ...(source ? [paperDifference(bySplit[0].paper)] : []),
    ]];
  });
  return {
    name: `${study.name}-differences`,
    title: `${study.title}: differences`,
    head: ["variant", "less", "seeds", "val", "comp", "style", ...(source ? ["paper"] : [])],
    rows,
    caption:
      `${smokeNote(results)}Differences in points, seed by seed, with their 95 % t interval. ` +
      "An interval that holds zero shows no difference.",
  };
}

function paperDifference(value: PaperValue | undefined): string {
  return value === undefined
    ? ""
    : `${value.difference > 0 ? "+" : ""}${value.difference.toFixed(1)}`;
}

function familyTable(study: Study, results: StudyResults): StudyTable {
  const families = familiesOf(results);
  const rows = study.variants.flatMap(({ name, label }) => {
    const scores = families.map((family) => [...accuracies(results, name, { family }).values()]);
    return scores.some((s) => s.length === 0)
      ? []
      : [[label, ...scores.map((s) => accuracyText(estimate(s)))]];
  });
  const floors = results.floors.val;
  if (floors) rows.push(["blind floor", ...families.map((f) => points(floors[f] ?? NaN))]);
  return {
    name: `${study.name}-families`,
    title: `${study.title}: by family, on val`,
    head: ["variant", ...families.map((f) => `${f} %`)],
    rows,
    caption: `${smokeNote(results)}${methodOf(study, results)}.`,
  };
}
