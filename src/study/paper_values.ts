/** The paper's number for each variant of a study. */
import { DATA_SHARES } from "./grid.ts";
import {
  PAPER_FIGURE_3,
  PAPER_TABLE_1,
  PAPER_TABLE_3,
  PAPER_TABLE_4,
  type PaperModel,
} from "./paper_tables.ts";
import { REFERENCE, shareName } from "./variants.ts";

/** A number of the paper. */
export interface PaperValue {
  /** Mean of the paper's benchmarks, percent. */
  readonly average: number;
  /** Difference to the paper's own model, points; 0 for itself. */
  readonly difference: number;
}

/** The paper's numbers for a study. */
export interface PaperColumn {
  /** Where they stand, and what they are the mean of. */
  readonly source: string;
  /** The numbers by the name of the variant. */
  readonly values: Readonly<Record<string, PaperValue>>;
}

/** The architecture of the paper that a variant stands for; both readings of "Modality MoE" do. */
const MODELS: Readonly<Record<string, PaperModel>> = {
  [REFERENCE]: "MoIIE",
  dense: "Dense",
  vanilla: "Vanilla MoE",
  "modality-hard": "Modality MoE",
  "modality-routed": "Modality MoE",
};

/** Rows of table 4 by variant. */
const ABLATIONS: Readonly<Record<string, string>> = {
  [REFERENCE]: "ours (MoIIE-A5B)",
  "moiie-8-balanced": "number of experts",
  "moiie-8-unbalanced": "experts balance (8)",
  "moiie-full": "location",
  "moiie-aux-0.01": "load balance coefficient",
};

/** Millions of samples of the paper's figure 3, in the order of {@linkcode DATA_SHARES}. */
const MILLIONS = [1.3, 2, 2.7];

const value = (average: number, reference: number): PaperValue => ({
  average,
  difference: Math.round(100 * (average - reference)) / 100,
});

function ofMain(): Record<string, PaperValue> {
  const rows = PAPER_TABLE_1.filter((r) => r.millions === 2.7);
  const average = (model: PaperModel) => rows.find((r) => r.model === model)!.average;
  return Object.fromEntries(
    Object.entries(MODELS).map((
      [name, model],
    ) => [name, value(average(model), average("MoIIE"))]),
  );
}

function ofAblations(): Record<string, PaperValue> {
  return Object.fromEntries(
    Object.entries(ABLATIONS).map(([name, aspect]) => {
      const { average, difference } = PAPER_TABLE_4.find((r) => r.aspect === aspect)!;
      return [name, { average, difference }];
    }),
  );
}

function ofStages(): Record<string, PaperValue> {
  const average = (stages: number) => PAPER_TABLE_3.find((r) => r.stages === stages)!.average;
  return {
    [REFERENCE]: value(average(2), average(2)),
    "three-stage": value(average(3), average(2)),
  };
}

function ofScale(): Record<string, PaperValue> {
  const values: Record<string, PaperValue> = {};
  MILLIONS.forEach((millions, i) => {
    const average = (model: PaperModel) =>
      PAPER_FIGURE_3.find((r) => r.model === model && r.millions === millions)!.average;
    for (const [name, model] of Object.entries(MODELS)) {
      values[shareName(name, DATA_SHARES[i])] = value(average(model), average("MoIIE"));
    }
  });
  return values;
}

/** The paper's numbers for a study; undefined if it has none. */
export function paperColumn(study: string): PaperColumn | undefined {
  switch (study) {
    case "main":
      return { source: "table 1, Phi-3-mini, 2.7 M samples, mean of 13", values: ofMain() };
    case "ablations":
    case "auxiliary":
      return { source: "table 4, Phi-3-mini, mean of 7", values: ofAblations() };
    case "stages":
      return { source: "table 3, mean of 13", values: ofStages() };
    case "scale":
      return { source: "figure 3, read off, mean of 7", values: ofScale() };
    default:
      return undefined;
  }
}
