/** The tables of a study's file, and their rows. */
import type { StepRecord } from "../train/mod.ts";
import type { RunConfig, RunKind } from "./grid.ts";
import type { RoutingSummary } from "./routing_summary.ts";

/** Version of the tables; a file of another version is refused. */
export const SCHEMA_VERSION: number = 1;

/** The tables. */
export const SCHEMA: string = `
CREATE TABLE runs (
  id TEXT PRIMARY KEY,       -- hash of kind and configuration
  kind TEXT NOT NULL,        -- connector, model or floor
  variant TEXT NOT NULL,
  label TEXT NOT NULL,
  scale TEXT NOT NULL,
  seed INTEGER NOT NULL,
  config TEXT NOT NULL,      -- JSON
  status TEXT NOT NULL CHECK (status IN ('planned', 'running', 'done', 'failed')),
  code TEXT,                 -- git commit
  versions TEXT,             -- JSON
  adapter TEXT,
  owner TEXT,                -- of a running run: a random name of the process's claim
  host TEXT,
  pid INTEGER,
  heartbeat REAL,            -- seconds since 1970, as are the next two
  started REAL,
  finished REAL,
  seconds REAL NOT NULL DEFAULT 0,
  error TEXT
) STRICT;
CREATE TABLE tags (
  study TEXT NOT NULL,
  run TEXT NOT NULL REFERENCES runs (id),
  PRIMARY KEY (study, run)
) STRICT, WITHOUT ROWID;
CREATE TABLE metrics (
  run TEXT NOT NULL REFERENCES runs (id),
  name TEXT NOT NULL,        -- accuracy, task, floor, parameters
  family TEXT NOT NULL,
  split TEXT NOT NULL,
  value REAL NOT NULL,
  n INTEGER,
  correct INTEGER,
  PRIMARY KEY (run, name, family, split)
) STRICT, WITHOUT ROWID;
CREATE TABLE records (
  run TEXT NOT NULL REFERENCES runs (id),
  stage TEXT NOT NULL,
  step INTEGER NOT NULL,
  loss REAL NOT NULL,
  auxiliary REAL NOT NULL,
  gradient_norm REAL NOT NULL,
  learning_rate REAL NOT NULL,
  PRIMARY KEY (run, stage, step)
) STRICT, WITHOUT ROWID;
CREATE TABLE routing (
  run TEXT NOT NULL REFERENCES runs (id),
  benchmark TEXT NOT NULL,
  layer INTEGER NOT NULL,
  modality TEXT NOT NULL,
  tokens INTEGER NOT NULL,
  chance_shared REAL NOT NULL,
  counts TEXT NOT NULL,      -- JSON, in the order of the experts in the run's configuration
  PRIMARY KEY (run, benchmark, layer, modality)
) STRICT, WITHOUT ROWID;
CREATE TABLE weights (
  run TEXT PRIMARY KEY REFERENCES runs (id),
  file BLOB NOT NULL         -- safetensors
) STRICT;
`;

/** Tables that came later; they are added to older files. */
export const ADDED_TABLES: string = `
CREATE TABLE IF NOT EXISTS extras (
  run TEXT NOT NULL REFERENCES runs (id),
  name TEXT NOT NULL,
  value TEXT NOT NULL,       -- JSON
  PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;
`;

/** Tables of what belongs to a finished run. */
export const DETAILS = ["metrics", "records", "routing", "weights", "extras"] as const;

/** Seconds without a heartbeat after which a run counts as abandoned. */
export const STALE_SECONDS: number = 300;

/** State of a run. */
export type RunStatus = "planned" | "running" | "done" | "failed";

/** One measured number. */
export interface Metric {
  /** `accuracy`, `task`, `floor`, `parameters`. */
  name: string;
  /** Family of questions (`mean` for their mean), task, or part. */
  family: string;
  /** The split; empty where there is none. */
  split: string;
  /** The number. */
  value: number;
  /** Questions. */
  n?: number;
  /** Right answers. */
  correct?: number;
}

/** A step of a run with the name of its stage. */
export type StagedRecord = StepRecord & { stage: string };

/** Where and with what a run was made. */
export interface Origin {
  /** Git commit. */
  code?: string;
  /** Versions of runtime, library and GPU layer. */
  versions?: Readonly<Record<string, string>>;
  /** Name of the device. */
  adapter?: string;
}

/** What a finished run leaves. */
export interface RunResult extends Origin {
  /** Seconds of this attempt. */
  seconds: number;
  /** Measured numbers. */
  metrics: readonly Metric[];
  /** Every step. */
  records?: readonly StagedRecord[];
  /** Chosen experts. */
  routing?: readonly RoutingSummary[];
  /** Weights that later runs start from, a safetensors file. */
  weights?: Uint8Array;
  /** Anything else that was measured, by name: what JSON can hold. */
  extras?: Readonly<Record<string, unknown>>;
}

/** A row of the table of runs. */
export interface RunRow extends Origin {
  /** Hash of what the run depends on. */
  id: string;
  /** What it makes. */
  kind: RunKind;
  /** Name of the variant. */
  variant: string;
  /** Label of the variant. */
  label: string;
  /** Scale of the data. */
  scale: string;
  /** The seed. */
  seed: number;
  /** The configuration. */
  config: RunConfig;
  /** State. */
  status: RunStatus;
  /** Host and process of a running run. */
  host?: string;
  /** Its process. */
  pid?: number;
  /** When it was last heard of, in seconds since 1970. */
  heartbeat?: number;
  /** When it was first begun. */
  started?: number;
  /** When it ended. */
  finished?: number;
  /** Seconds of work, all attempts together. */
  seconds: number;
  /** Why it failed. */
  error?: string;
}

/** The right to do a run, until {@linkcode StudyDatabase.finish} or release. */
export interface Claim {
  /** The run. */
  readonly id: string;
  /** A random name of this claim. */
  readonly owner: string;
}
