/**
 * Figures of recorded results of studies. Each takes results and a study, a name of one or a part
 * (`studyPart`), and gives a figure, or a sentence where nothing is recorded.
 *
 * @module
 */

import { lvlmConfig } from "../models/mod.ts";
import {
  accuracyByFamily,
  activationProportions,
  balanceMetrics,
  dataScaleCurve,
  type DataScalePanel,
  type FamilyEstimate,
  type FamilyFloor,
  type Figure,
  loadOverTraining,
  lossCurves,
  type PairedDifference,
  pairedDifferences,
  parameterBars,
} from "../plot/mod.ts";
import {
  accuracies,
  compareVariants,
  type Estimate,
  estimate,
  loadRows,
  lossRecords,
  PAPER_FIGURE_3,
  paperColumn,
  recordedLoad,
  REFERENCE,
  routingOf,
  type Study,
  studyOf,
  type StudyResults,
} from "../study/mod.ts";
import { parameterParts } from "./cost.ts";
import { type Markdown, markdown } from "./markdown.ts";
import { notRecorded, notRecordedVariant } from "./study_tables.ts";

/** A figure, or the sentence that stands for it where nothing is recorded. */
export type StudyFigure = Figure | Markdown;

const FAMILIES = ["general", "ocr", "knowledge", "hallucination"];

/** In percent. */
const percent = ({ mean, low, high, seeds }: Estimate): Estimate => ({
  mean: 100 * mean,
  ...(low === undefined ? {} : { low: 100 * low }),
  ...(high === undefined ? {} : { high: 100 * high }),
  n: seeds.length,
  seeds: seeds.map((share) => 100 * share),
});

/** A study's variants that have runs, and these. */
function runsOf(results: StudyResults, { variants }: Study) {
  return variants.flatMap((variant) => {
    const runs = results.runs.filter((r) => r.variant === variant.name);
    return runs.length === 0 ? [] : [{ ...variant, runs }];
  });
}

/**
 * Training losses: mean of the seeds with its 95 % interval as a band, all stages in a row.
 *
 * @param title Title of the figure.
 */
export function lossFigure(
  results: StudyResults,
  study: Study | string,
  title = "Training loss",
): StudyFigure {
  const whole = studyOf(study);
  const variants = runsOf(results, whole).map(({ label, runs }) => ({
    name: label,
    runs: runs.map((run) => lossRecords(results, run)),
  }));
  if (variants.length === 0) return notRecorded(whole);
  return lossCurves(variants, {
    title,
    window: 3, // of points that are means over some steps already
    band: {
      name: "95 % t interval over seeds",
      of: (values) => {
        const { mean, low = mean, high = mean } = estimate(values);
        return [low, high];
      },
    },
  });
}

/**
 * Accuracy by family, the variants side by side, above the blind floor.
 *
 * @param splits One panel each; `val` by default.
 */
export function familyFigure(
  results: StudyResults,
  study: Study | string,
  splits: readonly string[] = ["val"],
): StudyFigure {
  const whole = studyOf(study);
  const rows = splits.flatMap((split) =>
    whole.variants.flatMap(({ name, label }) =>
      FAMILIES.flatMap((family): FamilyEstimate[] => {
        const seeds = [...accuracies(results, name, { split, family }).values()];
        if (seeds.length === 0) return [];
        const asked = results.runs.find((r) => r.variant === name)?.answers[split]?.[family];
        return [{ variant: label, family, split, questions: asked?.n, ...estimate(seeds) }];
      })
    )
  );
  if (rows.length === 0) return notRecorded(whole);
  const floors = splits.flatMap((split) =>
    FAMILIES.flatMap((family): FamilyFloor[] => {
      const floor = results.floors[split]?.[family];
      return floor === undefined ? [] : [{ split, family, floor }];
    })
  );
  return accuracyByFamily(rows, { floors });
}

/**
 * Differences to the study's first variant, seed by seed, beside the paper's.
 *
 * @param split The split; `val` by default.
 */
export function differenceFigure(
  results: StudyResults,
  study: Study | string,
  split = "val",
): StudyFigure {
  const whole = studyOf(study), [reference] = whole.variants;
  const paper = paperColumn(whole.name)?.values;
  const rows = compareVariants(results, whole.variants, { split, paper })
    .flatMap(({ label, difference, paper }): PairedDifference[] =>
      difference
        ? [{ name: label.replace(", ", ",<br>"), ...percent(difference), paper: paper?.difference }]
        : []
    );
  if (rows.length === 0) return notRecorded(whole);
  return pairedDifferences(rows, {
    title: `Differences to ${reference.label}, ${split}`,
    reference: reference.label,
    metric: "mean accuracy of the families (points)",
  });
}

/** Mean accuracy over the amount of training data, beside the paper's figure 3. */
export function dataScaleFigure(results: StudyResults, split = "val"): Figure {
  const study = studyOf("scale");
  // As the paper names them, so that both panels draw them alike; it has one modality MoE.
  const plain = (label: string) =>
    label.replace(/, \d+ % of the data$/, "").replace(/^((?!Modality).*) \(.*\)$/, "$1");
  const recorded = runsOf(results, study).map(({ name, label }) => {
    const { settings } = results.variants.find((v) => v.name === name)!.config;
    return {
      name: plain(label),
      scale: settings.instructionSteps * (settings.instructionBatch ?? 1),
      ...percent(estimate([...accuracies(results, name, { split }).values()])),
    };
  });
  const here: DataScalePanel = {
    title: `here, ${results.scale}, ${split}`,
    scaleName: "pictures in stage 2",
    scoreName: "mean accuracy (%)",
    series: [...Map.groupBy(recorded, (r) => r.name)].map(([name, points]) => ({ name, points })),
  };
  const paper: DataScalePanel = {
    title: "the paper, figure 3",
    scaleName: "samples in stage 2 (millions)",
    scoreName: "mean of 7 benchmarks (%)",
    series: [...Map.groupBy(PAPER_FIGURE_3, (r) => r.model)].map(([model, points]) => ({
      name: model,
      points: points.map(({ millions, average }) => ({ scale: millions, mean: average })),
    })),
  };
  const scales = new Set(recorded.map((r) => r.scale)).size;
  return dataScaleCurve(scales > 1 ? [here, paper] : [paper], {
    title: "Accuracy by amount of data",
  });
}

/** Experts that the tokens of a variant chose, by layer and family, over seeds. */
export function routingFigure(results: StudyResults, variant: string = REFERENCE): StudyFigure {
  const runs = results.runs.filter((r) => r.variant === variant && r.routing.length > 0);
  if (runs.length === 0) return notRecordedVariant(variant);
  return activationProportions(runs.flatMap((run) => routingOf(results, run)));
}

/** Balance of the experts of a variant by layer and modality, over seeds. */
export function balanceFigure(
  results: StudyResults,
  variant: string = REFERENCE,
  title = "Balance of the experts",
): StudyFigure {
  const rows = loadRows(results, variant);
  return rows.length === 0 ? notRecordedVariant(variant) : balanceMetrics(rows, { title });
}

/**
 * Share of the choices that each expert gets over the steps of training, in one run: the numbers of
 * experts mean nothing across seeds. Its title says which run, and how many recorded their load.
 *
 * @param seed The run's seed; by default the first that recorded its load.
 */
export function trainingLoadFigure(
  results: StudyResults,
  variant: string = REFERENCE,
  seed?: number,
): StudyFigure {
  const runs = results.runs.filter((r) => r.variant === variant);
  if (runs.length === 0) return notRecordedVariant(variant);
  const { label } = results.variants.find((v) => v.name === variant)!;
  const known = runs.filter((r) => r.load).sort((a, b) => a.seed - b.seed);
  const run = known.find((r) => seed === undefined || r.seed === seed);
  if (!run) {
    const wanted = seed === undefined ? "" : `, seed ${seed}`;
    return markdown(
      `*Not recorded: the load of the experts over training of ${label}${wanted}, which ` +
        `${known.length} of ${runs.length} runs at hand recorded.*`,
    );
  }
  const counted = known.length === runs.length
    ? `one of ${runs.length} ${runs.length === 1 ? "run" : "runs"}`
    : `one of ${known.length} that recorded it, of ${runs.length} runs`;
  const title = `Load over training: ${label}, seed ${run.seed} (${counted})`;
  return loadOverTraining(recordedLoad(results, run), { title });
}

/** Parameters of a study's variants, in all and used by a token, by part of the model. */
export function parameterFigure(results: StudyResults, study: Study | string): StudyFigure {
  const whole = studyOf(study);
  const variants = whole.variants.flatMap(({ name, label }) => {
    const record = results.variants.find((v) => v.name === name);
    if (!record) return [];
    const { preset, ffn, placement } = record.config;
    return [{ name: label, parts: parameterParts(lvlmConfig(preset, { ffn, placement })) }];
  });
  if (variants.length === 0) return notRecorded(whole);
  return parameterBars([{ title: `here, ${results.scale}`, variants }]);
}
