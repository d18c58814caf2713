/** The options of `deno task study`. */
import { parseArgs } from "node:util";
import type { ScaleName } from "../data/mod.ts";
import { STUDIES, type Study, studyNamed, VARIANTS } from "../study/mod.ts";
import { unknownName } from "../tensor/mod.ts";

const FIRST_SEED = 7;
const SCALES: readonly ScaleName[] = ["tiny", "small", "full"];

/** What `--help` prints. */
export const HELP =
  `deno task study NAME [--scale tiny|small|full] [--seeds N|A,B,…] [--only VARIANT,…]
                [--steps N] [--shard I/N] [--db FILE] [--keep] [--list] [--export PLACE]
                [--report FILE.html]
deno task study NAME --from PLACE [--scale …] [--report FILE.html]
deno task study status [--scale …] [--db FILE]
deno task study merge FILE… --into FILE
deno task study analyse [--scale …] [--db FILE] [--only VARIANT,…] [--limit N] [--export FILE.json]

Trains the variants of a study with several seeds, and prints means, intervals and differences.
NAME: ${STUDIES.map((s) => s.name).join(", ")}

  --seeds   how many, from ${FIRST_SEED} on (default 5), or which: 7,8,9; one alone: 7,
  --only    only these variants of the study
  --steps   so many steps in each stage: a smoke run, kept apart from the real ones
  --shard   only every Nth run, beginning with number I: one machine's share
  --db      file of results (default .cache/study/SCALE.db)
  --keep    keep the weights of finished runs, in the folder FILE.runs
  --list    only list the runs and their states
  --export  write all finished runs of the file as JSON: a file, or a folder for one file a device
  --report  write a page with all tables and figures; \`paper\` always does, to runs/RESULTS/paper.html
  --from    train nothing, print the tables of exported results: a file, a folder, or a .db

analyse looks at the experts of finished runs whose weights were kept: routing, paths, similarity, and the
accuracy with one kind of expert only, or without it; runs that it has looked at are skipped.

Finished runs are skipped; runs that were stopped or killed go on from their checkpoints.`;

/** A study as asked for. */
export interface StudyOptions {
  /** The study, with the variants asked for. */
  study: Study;
  /** Scale of data and model. */
  scale: ScaleName;
  /** The seeds. */
  seeds: number[];
  /** Steps of each stage; the scale's if missing. */
  steps?: number;
  /** This machine's share of the runs. */
  shard: { number: number; of: number };
  /** File of results. */
  db: string;
  /** Keep weights. */
  keep: boolean;
  /** Only list the runs. */
  list: boolean;
  /** File or folder to write results to. */
  export?: string;
  /** File or folder to read results from, instead of training. */
  from?: string;
  /** File to write the page to. */
  report?: string;
}

/** What is to be done. */
export type StudyCommand =
  | { command: "study"; options: StudyOptions }
  | { command: "status"; db: string }
  | { command: "merge"; from: string[]; into: string }
  | { command: "analyse"; options: AnalyseOptions };

/** What `study analyse` is asked for. */
export interface AnalyseOptions {
  /** File of results; weights lie in the folder beside it. */
  db: string;
  /** Only these variants. */
  only?: string[];
  /** Ask about the first pictures only. */
  limit?: number;
  /** File to write all analyses to. */
  export?: string;
}

/**
 * Reads the command line.
 *
 * @returns undefined if help is wanted
 * @throws {TypeError} on unknown options. @throws {RangeError} on values that make no sense.
 */
export function studyCommand(args: readonly string[]): StudyCommand | undefined {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      scale: { type: "string", default: "tiny" },
      seeds: { type: "string", default: "5" },
      only: { type: "string" },
      steps: { type: "string" },
      shard: { type: "string", default: "1/1" },
      db: { type: "string" },
      keep: { type: "boolean", default: false },
      list: { type: "boolean", default: false },
      export: { type: "string" },
      from: { type: "string" },
      report: { type: "string" },
      into: { type: "string" },
      limit: { type: "string" },
      // What happens anyway; named so that one may say it.
      resume: { type: "boolean", default: true },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help || positionals.length === 0) return undefined;
  const [name, ...rest] = positionals;
  if (name === "merge") {
    if (values.into === undefined || rest.length === 0) {
      throw new RangeError("merge: want files, and where to: study merge A.db B.db --into ALL.db");
    }
    return { command: "merge", from: rest, into: values.into };
  }
  if (rest.length > 0) throw new RangeError(`one study at a time, not ${positionals.join(", ")}`);
  const scale = values.scale as ScaleName;
  if (!SCALES.includes(scale)) throw unknownName("scale", scale, SCALES);
  const db = values.db ?? `.cache/study/${scale}.db`;
  if (name === "status") return { command: "status", db };
  if (name === "analyse") {
    const limit = values.limit === undefined ? undefined : whole("--limit", values.limit, 1);
    const only = values.only?.split(",");
    return { command: "analyse", options: { db, only, limit, export: values.export } };
  }
  return {
    command: "study",
    options: {
      study: onlySome(studyNamed(name), values.only),
      scale,
      seeds: seedsOption(values.seeds),
      steps: values.steps === undefined ? undefined : whole("--steps", values.steps, 1),
      shard: shardOption(values.shard),
      db,
      keep: values.keep,
      list: values.list,
      export: values.export,
      from: values.from,
      report: values.report,
    },
  };
}

function whole(name: string, text: string, least: number): number {
  const n = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(n) && n >= least) return n;
  throw new RangeError(`${name} ${text}: want a whole number of at least ${least}`);
}

/** `5` for the first five seeds, `7,9` for these two, `7,` for this one. */
function seedsOption(text: string): number[] {
  if (!text.includes(",")) {
    return Array.from({ length: whole("--seeds", text, 1) }, (_, i) => FIRST_SEED + i);
  }
  const seeds = text.split(",").filter((part) => part !== "").map((s) => whole("--seeds", s, 0));
  if (seeds.length === 0) throw new RangeError(`--seeds ${text}: want at least one`);
  return [...new Set(seeds)];
}

/** `2/3` for the second of three shares. */
function shardOption(text: string): { number: number; of: number } {
  const [number, of, ...rest] = text.split("/").map((s) => whole("--shard", s, 1));
  if (of === undefined || rest.length > 0 || number > of) {
    throw new RangeError(`--shard ${text}: want a share such as 1/2 or 2/2`);
  }
  return { number, of };
}

function onlySome(study: Study, only: string | undefined): Study {
  if (only === undefined) return study;
  const names = only.split(","), known = study.variants.map((v) => v.name);
  for (const name of names) {
    if (known.includes(name)) continue;
    if (!VARIANTS.some((v) => v.name === name)) throw unknownName("variant", name, known);
    throw new RangeError(
      `--only ${name}: not in the study ${study.name}, which has ${known.join(", ")}`,
    );
  }
  return { ...study, variants: study.variants.filter((v) => names.includes(v.name)) };
}
