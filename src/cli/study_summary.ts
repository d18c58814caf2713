/**
 * `deno run -A src/cli/study_summary.ts RESULTS.json`: prints the README's table of a recorded study,
 * every variant beside the first one.
 */
import {
  accuracyText,
  compareVariants,
  comparisons,
  differenceText,
  readResults,
  STUDIES,
  type StudyResults,
  type Variant,
} from "../study/mod.ts";

const SPLITS = ["val", "comp", "style"] as const;

/** Variants that were recorded and are compared with the same one, each once, that one first. */
function variantsOf(results: StudyResults): Variant[] {
  const recorded = new Set(results.runs.map((run) => run.variant));
  const byName = new Map<string, Variant>();
  for (const study of STUDIES) {
    for (const group of comparisons(study)) {
      if (group[0].name !== STUDIES[0].variants[0].name) continue;
      for (const variant of group) {
        if (recorded.has(variant.name)) byName.set(variant.name, variant);
      }
    }
  }
  return [...byName.values()];
}

/** Mean accuracy with interval on each split, and the difference on `val`, as a Markdown table. */
export function studySummary(results: StudyResults): string {
  const variants = variantsOf(results);
  const bySplit = SPLITS.map((split) => compareVariants(results, variants, { split }));
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const head = ["variant", ...SPLITS, `val, less ${variants[0].label}`];
  return [
    line(head),
    line(head.map(() => "---")),
    ...bySplit[0].map(({ label, difference }, i) =>
      line([
        label,
        ...bySplit.map((split) => accuracyText(split[i].accuracy)),
        difference ? differenceText(difference) : "",
      ])
    ),
  ].join("\n");
}

if (import.meta.main) {
  for (const results of await readResults(Deno.args[0])) console.log(studySummary(results));
}
