/**
 * Doing runs of a study in a notebook: progress, Stop, and a database that keeps what is done.
 *
 * @module
 */

import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import config from "../../deno.json" with { type: "json" };
import { emojiVqa, type ScaleName } from "../data/mod.ts";
import {
  gatherResults,
  noResults,
  type PlannedRun,
  planStudy,
  runStudy,
  type RunStudyOptions,
  type Study,
  StudyDatabase,
  studyOf,
  type StudyOutcome,
  type StudyResults,
} from "../study/mod.ts";
import { interruptible } from "./interruptible.ts";
import { Progress } from "./progress.ts";

/** Options of {@linkcode trainStudy}. */
export interface TrainStudyOptions {
  /** Only these variants of the study. */
  readonly only?: readonly string[];
  /** The seeds. Default one, 7. */
  readonly seeds?: readonly number[];
  /** Steps of each stage instead of the scale's: a smoke run, which is asked few questions too. */
  readonly steps?: number;
  /** Scale of data and model. Default `tiny`. */
  readonly scale?: ScaleName;
  /**
   * File of results: finished runs in it are skipped, stopped ones go on. Default one of its own for
   * notebooks in the project's `.cache/study`; `:memory:` forgets everything.
   */
  readonly db?: string;
}

/**
 * Trains the variants of a study that are not trained yet, shows how far it is, and gives the results
 * of those that are finished. Stop ends after the step at hand; running the cell again goes on.
 *
 * @param study A study, its name, or one of your own: an object with `name`, `title` and `variants`.
 * @throws {Error} If a run fails, with the reason.
 *
 * @example
 * ```ts ignore
 * const live = await trainStudy("ablations", { only: ["moiie", "moiie-full"], seeds: [7], steps: 20 });
 * await show(studyTable(live, "ablations"));
 * ```
 */
export async function trainStudy(
  study: Study | string,
  options: TrainStudyOptions = {},
): Promise<StudyResults> {
  const { only, seeds = [7], steps, scale = "tiny", db = defaultDatabase(scale) } = options;
  const whole = studyOf(study);
  const variants = whole.variants.filter(({ name }) => !only || only.includes(name));
  if (variants.length === 0 || seeds.length === 0) {
    throw new RangeError(
      `trainStudy: no runs of ${whole.name} with only [${only}] and seeds [${seeds}]`,
    );
  }
  const plans = planStudy({ ...whole, variants }, { scale, seeds, steps });
  const inMemory = db === ":memory:";
  const folder = inMemory ? await mkdtemp(join(tmpdir(), "moiie-study-")) : `${db}.runs`;
  try {
    if (!inMemory) await mkdir(dirname(db), { recursive: true });
    using database = new StudyDatabase(db);
    database.plan(whole.name, plans);
    await runPlans(plans, { database, folder, label: whole.name, scale });
    const ids = plans.filter((p) => p.kind === "model").map((p) => p.id)
      .filter((id) => database.run(id)?.status === "done");
    return ids.length === 0 ? noResults(scale) : gatherResults(database, { ids });
  } finally {
    if (inMemory) await rm(folder, { recursive: true, force: true });
  }
}

async function runPlans(
  plans: readonly PlannedRun[],
  { database, folder, label, scale }: {
    database: StudyDatabase;
    folder: string;
    label: string;
    scale: ScaleName;
  },
): Promise<void> {
  if (plans.every(({ id }) => database.run(id)?.status === "done")) return;
  using stop = interruptible();
  const progress = new StudyProgressLine(label);
  const outcome = await runStudy(plans, {
    database,
    folder,
    data: await emojiVqa({ scale }),
    signal: stop.signal,
    origin: { versions: studyVersions() },
    onProgress: progress.update,
  });
  await progress.done(stop.signal.aborted ? "stopped; what was learned is kept" : "done");
  checkOutcome(outcome);
}

function checkOutcome({ failed: [first, ...more] }: StudyOutcome): void {
  if (!first) return;
  const others = more.length > 0 ? ` (and ${more.length} more)` : "";
  throw new Error(
    `${first.plan.label}, seed ${first.plan.config.seed}: ${first.error}${others}; running the cell ` +
      "again tries anew",
  );
}

/** The progress line of a study. */
export class StudyProgressLine {
  #line: Progress | undefined;
  readonly #label: string;

  /**
   * Nothing is shown before the first step.
   *
   * @param label What is being done.
   */
  constructor(label: string) {
    this.#label = label;
  }

  /** Reports a step; hand it to `runStudy` as `onProgress`. */
  readonly update: NonNullable<RunStudyOptions["onProgress"]> = ({ plan, done, total, step }) => {
    this.#line ??= new Progress({ label: this.#label, total });
    this.#line.update(done, {
      loss: step?.record.loss,
      tokensPerSecond: step?.tokensPerSecond,
      note: `${plan.label}, seed ${plan.config.seed}, ${step ? step.stage.name : "evaluation"}`,
    });
  };

  /** Shows the last state. @param note how it ended */
  async done(note: string): Promise<void> {
    await this.#line?.done(note);
  }
}

/** Versions of runtime, library and GPU layer, for the records of runs. */
export function studyVersions(): Record<string, string> {
  return {
    deno: Deno.version.deno,
    lab: config.version,
    dawn: config.imports.webgpu.replace(/.*@/, ""),
  };
}

/** A file for notebooks alone, so that nothing is mixed with what `deno task study` records. */
function defaultDatabase(scale: string): string {
  const url = new URL(`../../.cache/study/notebooks_${scale}.db`, import.meta.url);
  return url.protocol === "file:" ? fileURLToPath(url) : `.cache/study/notebooks_${scale}.db`;
}
