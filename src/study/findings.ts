/** Sentences about a study, made from its results: they say what the intervals allow, and no more. */
import { comparisons, type Study, studyOf } from "./grid.ts";
import { paperColumn } from "./paper_values.ts";
import type { StudyResults } from "./results.ts";
import { type Estimate, pairedDifference, type Verdict, verdict } from "./statistics.ts";
import { compareVariants, type Comparison, signedPoints } from "./tables.ts";

/** A difference in words. */
export interface Finding {
  /** Name of what is compared. */
  readonly label: string;
  /** Name of what it is compared with. */
  readonly reference: string;
  /** The differences, seed by seed; none if one of the two was not run. */
  readonly difference?: Estimate;
  /** What the difference allows to say; none if one of the two was not run. */
  readonly verdict?: Verdict;
  /** The sentence. */
  readonly text: string;
}

/** Options of {@linkcode findings}. */
export interface FindingsOptions {
  /** Splits, one sentence a variant and split. Default `val`, `comp` and `style`. */
  readonly splits?: readonly string[];
  /** The family; `mean` for the mean of the families' accuracies. Default `mean`. */
  readonly family?: string;
}

/**
 * What a study shows: one sentence for each variant and split, such as "Dense − MoIIE, val: -1.2 points
 * (-2.1 to -0.3), n = 5 seeds: lower." An interval that holds zero shows no difference, one seed has no
 * interval, and variants without results are named as such.
 *
 * @param study a study or its name; its first variant is what the others are compared with
 */
export function findings(
  results: StudyResults,
  study: Study | string,
  options: FindingsOptions = {},
): Finding[] {
  const { splits = ["val", "comp", "style"], family = "mean" } = options;
  const whole = studyOf(study);
  const paper = paperColumn(whole.name)?.values;
  return comparisons(whole).flatMap(([first, ...others]) =>
    others.flatMap(({ name, label }) => {
      const compared = (split: string): Comparison | undefined =>
        compareVariants(results, [first, { name, label }], { split, family, paper })
          .find((c) => c.variant === name);
      if (splits.every((split) => !compared(split)?.difference)) {
        return [unknownFinding(label, first.label)];
      }
      return splits.map((split, i): Finding => {
        const { difference, paper } = compared(split) ?? {};
        const what = family === "mean" ? split : `${family}, ${split}`;
        const finding = findingOf({ label, reference: first.label, what, difference });
        // Said once a variant, at the split that is nearest to the paper's test sets.
        if (i > 0 || family !== "mean" || !paper) return finding;
        const said = `${paper.difference > 0 ? "+" : ""}${paper.difference.toFixed(1)}`;
        return { ...finding, text: `${finding.text} The paper: ${said}, without an interval.` };
      });
    })
  );
}

/** A difference to be put into words. */
export interface FindingParts {
  /** Name of what is compared. */
  readonly label: string;
  /** Name of what it is compared with. */
  readonly reference: string;
  /** What was measured: `val`, `MaxVio of image tokens`. */
  readonly what: string;
  /** Its differences, seed by seed. */
  readonly difference?: Estimate;
  /** Writes a difference. Default in points of a share. */
  readonly number?: (difference: number) => string;
  /** Name of the unit. Default `points`, with the default number. */
  readonly unit?: string;
}

/** Puts a difference into words. */
export function findingOf(parts: FindingParts): Finding {
  const { label, reference, what, difference, number = signedPoints } = parts;
  if (!difference) return unknownFinding(label, reference);
  const { mean, low, high, n } = difference, said = verdict(difference);
  const unit = parts.unit ?? (parts.number ? "" : "points");
  const value = `${number(mean)}${unit && ` ${unit}`}`;
  const judged = low === undefined || high === undefined
    ? `${value}, ${said}.`
    : `${value} (${number(low)} to ${number(high)}), n = ${n} seeds: ${said}.`;
  const text = `${label} − ${reference}, ${what}: ${judged}`;
  return { label, reference, difference, verdict: said, text };
}

function unknownFinding(label: string, reference: string): Finding {
  return {
    label,
    reference,
    text: `${label} − ${reference}: not recorded, so nothing is said about it.`,
  };
}

/**
 * A difference of something else than accuracy, by seed, in words.
 *
 * @param parts names, and how numbers are written @param a of what is compared @param b of the other
 */
export function findingOfSeeds(
  parts: Omit<FindingParts, "difference">,
  a: ReadonlyMap<number, number>,
  b: ReadonlyMap<number, number>,
): Finding {
  return findingOf({ ...parts, difference: pairedDifference(a, b) });
}

/**
 * How many of the differences with an interval were shown, and how many of so many intervals miss zero
 * by chance: what a list of findings should end with. Empty if none has an interval.
 */
export function countFindings(list: readonly Finding[]): string {
  const judged = list.filter((f) => f.difference?.low !== undefined);
  if (judged.length === 0) return "";
  const shown = judged.filter((f) => f.verdict === "higher" || f.verdict === "lower").length;
  return `${shown} of ${judged.length} intervals exclude zero; if nothing differed, about ` +
    `${(0.05 * judged.length).toFixed(1)} of ${judged.length} would by chance.`;
}
