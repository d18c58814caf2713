/** What single experts can do, in tables and sentences: the paper's table 6 and its surroundings. */
import type { VariantScores } from "./analysis.ts";
import { PAPER_ROWS } from "./analysis_figures.ts";
import type { RunAnalysis } from "./analysis_store.ts";
import { type Finding, findingOfSeeds } from "./findings.ts";
import { PAPER_TABLE_6 } from "./paper_tables.ts";
import { type Estimate, estimate, pairedDifference } from "./statistics.ts";
import { differenceText, intervalText, type StudyTable } from "./tables.ts";

/** Which changed model of which variant. */
interface Changed {
  /** Name in tables. */
  readonly name: string;
  /** The variant. */
  readonly variant: string;
  /** What was kept, or taken away; all experts if missing. */
  readonly which?: string;
  /** Kept or taken away. */
  readonly from?: "kept" | "ablated";
}

/** Mean accuracy of a changed model by seed; empty if it was not analysed. */
function accuracyOf(
  analyses: readonly RunAnalysis[],
  { variant, which, from = "kept" }: Changed,
  family = "mean",
): Map<number, number> {
  const score = ({ macro, families }: VariantScores) =>
    family === "mean" ? macro : families[family].accuracy;
  return new Map(
    analyses.filter((a) => a.variant === variant).flatMap((a) => {
      const found = which === undefined ? a.full : a[from].find((s) => s.which === which);
      return found ? [[a.seed, score(found)]] : [];
    }),
  );
}

/** Experts and groups that were kept or taken away, all runs of a variant together. */
function changes(analyses: readonly RunAnalysis[], variant: string): Changed[] {
  const mine = analyses.filter((a) => a.variant === variant);
  return (["kept", "ablated"] as const).flatMap((from) =>
    [...new Map(mine.flatMap((a) => a[from]).map((s) => [s.which, s.group]))].map((
      [which, group],
    ): Changed => ({
      name: from === "ablated"
        ? `without ${which}`
        : which === group
        ? `mean of ${which}`
        : `${which} alone`,
      variant,
      which,
      from,
    }))
  );
}

/**
 * Accuracy of the models that keep one expert, or go without some, with the differences to the model that
 * they were taken from, seed by seed. No rows without an analysis of the variant.
 */
export function expertScoresTable(analyses: readonly RunAnalysis[], variant: string): StudyTable {
  const whole: Changed = { name: "all experts", variant };
  const full = accuracyOf(analyses, whole);
  const first = analyses.find((a) => a.variant === variant);
  const families = Object.keys(first?.full.families ?? {});
  const asked = `${first?.split}${first?.limit ? `, the first ${first.limit} pictures only,` : ""}`;
  const cell = (change: Changed, family: string) =>
    intervalText(estimate([...accuracyOf(analyses, change, family).values()]));
  return {
    name: `${variant}-experts`,
    title: `${first?.label ?? variant}: accuracy with some of the experts`,
    head: ["model", "seeds", "mean %", "less all experts", ...families.map((f) => `${f} %`)],
    rows: full.size === 0 ? [] : [whole, ...changes(analyses, variant)].map((change) => {
      const own = accuracyOf(analyses, change);
      return [
        change.name,
        String(own.size),
        cell(change, "mean"),
        change.which === undefined ? "" : differenceText(pairedDifference(own, full)!),
        ...families.map((family) => cell(change, family)),
      ];
    }),
    caption: `Accuracy on ${asked} without further training: "alone" keeps one expert of ` +
      'each layer for all tokens, "without" masks some and lets the others share their weight. Mean ' +
      "over seeds with its 95 % t interval.",
  };
}

/** The paper's way: shared experts of MoIIE beside those of a modality MoE, other models. */
export function paperWayTable(analyses: readonly RunAnalysis[]): StudyTable {
  const rows = PAPER_ROWS.map(({ name, ...row }) => ({ ...row, name: name! }));
  const shared = rows.at(-1)!, base = accuracyOf(analyses, shared);
  const known = rows.filter((row) => accuracyOf(analyses, row).size > 0);
  return {
    name: "paper-experts",
    title: "Experts of two models, as in the paper's table 6",
    head: ["kept", "of", "seeds", "mean %", "less shared experts", "paper: MMBench", "less shared"],
    rows: known.map((row) => {
      const own = accuracyOf(analyses, row);
      const difference = row === shared ? undefined : pairedDifference(own, base);
      const paper = paperOf(row.which)!, gap = paper - paperOf(shared.which)!;
      return [
        row.name,
        analyses.find((a) => a.variant === row.variant)!.label,
        String(own.size),
        intervalText(estimate([...own.values()])),
        difference ? differenceText(difference) : "",
        paper.toFixed(1),
        row === shared ? "" : gap.toFixed(1),
      ];
    }),
    caption:
      "Textual and visual experts are those of a modality MoE, shared ones the first of MoIIE: " +
      "the models differ in more than the experts. Differences seed by seed, 95 % t interval.",
  };
}

/** The paper's score on MMBench, the benchmark nearest to a mean of families. */
function paperOf(which: string): number | undefined {
  const kept = { V: "vision", L: "language", S: "shared" }[which[0]];
  return PAPER_TABLE_6.find((row) => row.kept === kept)?.scores.mmbench;
}

/**
 * What the analyses of MoIIE say of its experts: the mean of the shared ones against each intra-modality
 * expert, alone; the model without each expert or group against the whole; and the paper's way, from two
 * models. What was not analysed is named.
 */
export function expertFindings(analyses: readonly RunAnalysis[], variant: string): Finding[] {
  const label = analyses.find((a) => a.variant === variant)?.label ?? variant;
  const whole: Changed = { name: label, variant };
  const shared: Changed = { name: "mean of the shared experts", variant, which: "shared" };
  const compare = (a: Changed, b: Changed, said = ""): Finding => {
    const finding = findingOfSeeds(
      {
        label: a.name,
        reference: b.name,
        what: "val",
      },
      accuracyOf(analyses, a),
      accuracyOf(analyses, b),
    );
    return { ...finding, text: finding.text + said };
  };
  const alone = (which: string): Changed => ({ name: `${which} alone`, variant, which });
  const paper = (which: string) => {
    const gap = paperOf(which)! - paperOf("S1")!;
    return ` The paper, MMBench: ${gap > 0 ? "+" : ""}${gap.toFixed(1)}, without an interval.`;
  };
  const [textual, visual, first] = PAPER_ROWS.map(({ name, ...row }) => ({ ...row, name: name! }));
  return [
    compare(alone("V1"), shared),
    compare(alone("L1"), shared),
    compare(shared, whole),
    ...changes(analyses, variant).filter(({ from }) => from === "ablated")
      .map((change) => compare(change, whole)),
    compare({ ...visual, name: "visual experts of a modality MoE" }, first, paper("V1")),
    compare({ ...textual, name: "textual experts of a modality MoE" }, first, paper("L1")),
  ];
}

/** Groups of experts by letter. */
const kindOf = (expert: string): string => expert.replace(/[\d.]+$/, "");

/** Mean over what several pairs or experts have in common. */
const mean = (values: readonly number[]): number =>
  values.reduce((sum, v) => sum + v, 0) / values.length;

/**
 * How far experts that started equal are from each other and from their start, by layer and pair of
 * groups. No rows without an analysis of the variant.
 */
export function expertSimilarityTable(
  analyses: readonly RunAnalysis[],
  variant: string,
): StudyTable {
  const mine = analyses.filter((a) => a.variant === variant);
  const layers = mine[0]?.weights ?? [];
  const text = (values: Estimate) =>
    Number.isFinite(values.mean) ? intervalText(values, (x) => x.toFixed(3)) : "one never moved";
  return {
    name: `${variant}-similarity`,
    title: "Similarity of the experts",
    head: ["layer", "experts", "cosine of weights", "cosine of what was learned"],
    rows: layers.flatMap(({ layer, experts }, l) => {
      const pairs = experts.flatMap((a, i) =>
        experts.slice(i + 1).map((b, j) => ({ i, j: i + 1 + j, kind: `${kindOf(a)}–${kindOf(b)}` }))
      );
      return [...Map.groupBy(pairs, (p) => p.kind)].map(([kind, own]) => {
        const of = (which: "cosine" | "learned") =>
          estimate(
            mine.map((a) => mean(own.map(({ i, j }) => a.weights[l][which][i]?.[j] ?? NaN))),
          );
        return [String(layer), kind, text(of("cosine")), text(of("learned"))];
      });
    }),
    caption:
      "All experts of a layer start as copies of one network. Cosine of their weights, 1 at the " +
      "start, and of what each added to it: 1 if all learned the same, 0 if they have nothing in common. " +
      "Mean over pairs of a kind, then over seeds, with its 95 % t interval.",
  };
}

/** How far experts moved from the network that they started as, by layer and group. */
export function expertDriftTable(analyses: readonly RunAnalysis[], variant: string): StudyTable {
  const mine = analyses.filter((a) => a.variant === variant);
  const kinds = [...new Set(mine[0]?.weights.flatMap((w) => w.experts.map(kindOf)) ?? [])];
  return {
    name: `${variant}-drift`,
    title: "Drift of the experts",
    head: ["layer", ...kinds],
    rows: (mine[0]?.weights ?? []).map(({ layer, experts }, l) => [
      String(layer),
      ...kinds.map((kind) => {
        const at = experts.flatMap((name, i) => kindOf(name) === kind ? [i] : []);
        const values = mine.map((a) => mean(at.map((i) => a.weights[l].drift[i] ?? NaN)));
        return intervalText(estimate(values), (x) => x.toFixed(3));
      }),
    ]),
    caption:
      "‖E − E₀‖ / ‖E₀‖: distance of an expert's weights from the pretrained network that it " +
      "started as, relative to that. Mean over experts of a group, then over seeds, with its 95 % t " +
      "interval.",
  };
}

/**
 * Experts that no analysed run of a variant ever moved from their start, in a sentence; empty if there are
 * none.
 */
export function idleExperts(analyses: readonly RunAnalysis[], variant: string): string[] {
  const mine = analyses.filter((a) => a.variant === variant);
  const still = (mine[0]?.weights ?? []).flatMap(({ layer, experts }, l) =>
    experts.filter((_, e) => mine.every((a) => a.weights[l].drift[e] === 0))
      .map((name) => `${name} of layer ${layer}`)
  );
  if (still.length === 0) return [];
  return [
    `Never trained, in none of ${mine.length} seeds: ${
      still.join(", ")
    }. In the last layer nothing ` +
    "reads the image tokens any more, and no label stands at their place, so that no gradient comes to " +
    "their own experts. That follows from the architecture; the paper's last layer holds experts, too.",
  ];
}
