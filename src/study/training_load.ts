/** Load of the experts while a model trains: read from a study's file, thinned for results, drawn. */
import { addRecords, cellOf, poolOf, sharesOf } from "../moe/mod.ts";
import type { StudyDatabase } from "./database.ts";
import type { RunRecord, StudyResults } from "./results.ts";
import type { RecordedStep } from "./routing.ts";
import type { ExpertName } from "./routing_summary.ts";

/** Share of each expert over the steps of a stage: what `loadOverTraining` draws. */
export interface LoadInput {
  /** The layer's place in the network. */
  readonly layer: number;
  /** Modality of the tokens. */
  readonly modality: string;
  /** Experts that the tokens may use. */
  readonly experts: readonly ExpertName[];
  /** The recorded steps. */
  readonly steps: readonly number[];
  /** Share of the choices, `[experts][steps]`. */
  readonly shares: readonly (readonly number[])[];
}

/** The same as results keep it: thinned and rounded, the experts left to the variant's pools. */
export interface LoadCurve {
  /** Name of the stage. */
  readonly stage: string;
  /** The layer's place in the network. */
  readonly layer: number;
  /** Modality of the tokens. */
  readonly modality: string;
  /** Middle step of each point. */
  readonly step: readonly number[];
  /** Share of the choices, 0 to 1 in thousandths, `[experts of the pool][points]`. */
  readonly shares: readonly (readonly number[])[];
}

/**
 * The routing of training steps that a run recorded, of one stage; empty if there are none.
 *
 * @param stage name of the stage. Default the last that recorded some.
 */
export function trainingRouting(
  database: StudyDatabase,
  run: string,
  stage?: string,
): RecordedStep[] {
  const all = (database.extras(run).training ?? []) as RecordedStep[];
  const wanted = stage ?? all.at(-1)?.stage;
  return all.filter((s) => s.stage === wanted);
}

/** The load of the experts over the recorded steps of a stage, for `loadOverTraining`. */
export function loadInputs(
  steps: readonly RecordedStep[],
): LoadInput[] {
  if (steps.length === 0) return [];
  const { layers, pools, experts } = steps[0].routing;
  return layers.flatMap(({ layer }) =>
    pools.map(({ modality }) => {
      const pool = poolOf(steps[0].routing, modality);
      const shares = steps.map(({ routing }) => {
        const { choices } = cellOf(routing, { layer, modality });
        return sharesOf(pool.map((e) => choices[e]));
      });
      return {
        layer,
        modality,
        experts: pool.map((e) => experts[e]),
        steps: steps.map((s) => s.step),
        shares: pool.map((_, i) => shares.map((row) => row[i])),
      };
    })
  );
}

/**
 * Recorded steps as results keep them: at most so many points a stage, each of the choices of as many
 * steps together. Points at which a modality had no tokens are left out.
 */
export function loadCurves(recorded: readonly RecordedStep[], points = 60): LoadCurve[] {
  return [...Map.groupBy(recorded, (r) => r.stage)].flatMap(([stage, all]) => {
    const size = Math.ceil(all.length / points);
    const bins = Array.from({ length: Math.ceil(all.length / size) }, (_, i) => {
      const bin = all.slice(i * size, (i + 1) * size);
      const { step } = bin[Math.floor(bin.length / 2)];
      return { stage, step, routing: addRecords(bin.map((r) => r.routing)) };
    });
    return loadInputs(bins).flatMap(({ layer, modality, steps, shares }): LoadCurve[] => {
      const kept = steps.flatMap((_, i) => Number.isFinite(shares[0][i]) ? [i] : []);
      return kept.length === 0 ? [] : [{
        stage,
        layer,
        modality,
        step: kept.map((i) => steps[i]),
        shares: shares.map((row) => kept.map((i) => Number(row[i].toFixed(3)))),
      }];
    });
  });
}

/**
 * The load of a recorded run over a stage, for `loadOverTraining`; empty if it was not recorded.
 *
 * @param stage name of the stage. Default the last that recorded some.
 */
export function recordedLoad(results: StudyResults, run: RunRecord, stage?: string): LoadInput[] {
  const { load = [] } = run, wanted = stage ?? load.at(-1)?.stage;
  const { experts, pools } = results.variants.find((v) => v.name === run.variant)!.config.ffn;
  return load.filter((curve) => curve.stage === wanted).map((
    { layer, modality, step, shares },
  ) => ({
    layer,
    modality,
    experts: poolOf({ experts, pools }, modality).map((e) => experts[e]),
    steps: step,
    shares,
  }));
}

/**
 * Checks that the loads of results read from a file belong to their variants' pools.
 *
 * @throws {SyntaxError} if a run is of no known variant, or a curve has another number of experts or
 * points, or shares outside 0 to 1.
 */
export function checkLoad({ runs, variants }: StudyResults, source: string): void {
  for (const { id, variant, load = [] } of runs) {
    if (load.length === 0) continue;
    const ffn = variants.find((v) => v.name === variant)?.config.ffn;
    if (!ffn) throw new SyntaxError(`${source}: run ${id} is of an unknown variant "${variant}"`);
    for (const { layer, modality, step, shares } of load) {
      const experts = ffn.pools.find((p) => p.modality === modality)?.experts.length;
      const fits = shares.length === experts &&
        shares.every((row) =>
          row.length === step.length && row.every((share) => share >= 0 && share <= 1)
        );
      if (fits) continue;
      throw new SyntaxError(
        `${source}: the load of run ${id}, layer ${layer}, ${modality} tokens, must be ` +
          `${experts ?? "no"} experts × ${step.length} points from 0 to 1, got lists of ` +
          `[${shares.map((row) => row.length).join(", ")}] points`,
      );
    }
  }
}
