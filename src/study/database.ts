/**
 * The record of a study: one SQLite file with every run's configuration, origin, metrics, losses and
 * routing. Several processes may work on one file; each run is done by one of them.
 */
import { Buffer } from "node:buffer";
import process from "node:process";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import type { StepRecord } from "../train/mod.ts";
import type { PlannedRun, RunConfig, RunKind } from "./grid.ts";
import type { RoutingSummary } from "./routing_summary.ts";

/** Version of the tables; a file of another version is refused. */
const SCHEMA_VERSION = 1;

const SCHEMA = `
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

/** Seconds without a heartbeat after which a run counts as abandoned. */
export const STALE_SECONDS = 300;

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

const now = (): number => Date.now() / 1000;

/** A study's SQLite file. */
export class StudyDatabase implements Disposable {
  /** Path of the file. */
  readonly path: string;
  readonly #db: DatabaseSync;

  /**
   * Opens the file; makes it if there is none.
   *
   * @param path a file, its folder must exist; `:memory:` for none
   * @throws {RangeError} if the file was written by another version of the library.
   */
  constructor(path: string) {
    this.path = path;
    this.#db = new DatabaseSync(path);
    this.#db.exec("PRAGMA busy_timeout = 30000; PRAGMA journal_mode = WAL;");
    this.#db.exec("PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;");
    this.#transaction(() => {
      const { user_version: version } = this.#db.prepare("PRAGMA user_version").get() as {
        user_version: number;
      };
      if (version === 0) {
        this.#db.exec(`${SCHEMA} PRAGMA user_version = ${SCHEMA_VERSION};`);
      } else if (version !== SCHEMA_VERSION) {
        this.#db.close();
        throw new RangeError(
          `${path} has tables of version ${version}, this library reads ${SCHEMA_VERSION}; use the ` +
            `library that wrote it, or choose another file`,
        );
      }
    });
  }

  /** Closes the file. */
  close(): void {
    if (this.#db.isOpen) this.#db.close();
  }

  /** `using database = …` closes it at the end of the block. */
  [Symbol.dispose](): void {
    this.close();
  }

  #all<T>(sql: string, ...values: SQLInputValue[]): T[] {
    return this.#db.prepare(sql).all(...values) as T[];
  }

  /** Runs a change that happens wholly or not at all. */
  #transaction<T>(change: () => T): T {
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      const result = change();
      this.#db.exec("COMMIT");
      return result;
    } catch (error) {
      if (this.#db.isOpen) this.#db.exec("ROLLBACK");
      throw error;
    }
  }

  /** Enters runs that are not known yet, and notes that they belong to a study. */
  plan(study: string, plans: readonly PlannedRun[]): void {
    const run = this.#db.prepare(
      `INSERT OR IGNORE INTO runs (id, kind, variant, label, scale, seed, config, status)
       VALUES (?, ?, ?, ?, ?, ?, ?, 'planned')`,
    );
    const tag = this.#db.prepare("INSERT OR IGNORE INTO tags (study, run) VALUES (?, ?)");
    this.#transaction(() => {
      for (const { id, kind, variant, label, config } of plans) {
        const { scale, seed } = config;
        run.run(id, kind, variant, label, scale, seed, JSON.stringify(config));
        tag.run(study, id);
      }
    });
  }

  /** All runs, or those of a study. */
  runs(study?: string): RunRow[] {
    const rows = study === undefined
      ? this.#all<Record<string, SQLInputValue>>("SELECT * FROM runs ORDER BY rowid")
      : this.#all<Record<string, SQLInputValue>>(
        "SELECT * FROM runs WHERE id IN (SELECT run FROM tags WHERE study = ?) ORDER BY rowid",
        study,
      );
    return rows.map(rowOf);
  }

  /** A run, if it is known. */
  run(id: string): RunRow | undefined {
    return this.#all<Record<string, SQLInputValue>>("SELECT * FROM runs WHERE id = ?", id)
      .map(rowOf)[0];
  }

  /**
   * Takes a run to do it: a planned or failed one, or one whose process is gone (it does not run any
   * more on this host, or has not been heard of for {@linkcode STALE_SECONDS}).
   *
   * @returns undefined if the run is done, or another process is at it
   */
  claim(id: string): Claim | undefined {
    const host = Deno.hostname(), owner = crypto.randomUUID(), time = now();
    return this.#transaction(() => {
      const run = this.run(id);
      if (!run) throw new RangeError(`${this.path} knows no run ${id}`);
      if (run.status === "done") return undefined;
      if (run.status === "running" && !isAbandoned(run, host, time)) return undefined;
      this.#db.prepare(
        `UPDATE runs SET status = 'running', owner = ?, host = ?, pid = ?, heartbeat = ?,
         started = coalesce(started, ?), error = NULL WHERE id = ?`,
      ).run(owner, host, Deno.pid, time, time, id);
      return { id, owner };
    });
  }

  /** Says that the run is still worked on. @throws {Error} if another process has taken it over. */
  beat(claim: Claim): void {
    const { changes } = this.#db.prepare(
      "UPDATE runs SET heartbeat = ? WHERE id = ? AND owner = ?",
    ).run(now(), claim.id, claim.owner);
    if (Number(changes) === 0) throw lost(claim);
  }

  /** Gives a run back unfinished, or as failed. @param seconds work of this attempt */
  release(claim: Claim, seconds: number, error?: string): void {
    this.#db.prepare(
      `UPDATE runs SET status = ?, error = ?, owner = NULL, seconds = seconds + ?
       WHERE id = ? AND owner = ?`,
    ).run(
      error === undefined ? "planned" : "failed",
      error ?? null,
      seconds,
      claim.id,
      claim.owner,
    );
  }

  /** Records a run's result. @throws {Error} if another process has taken the run over. */
  finish(claim: Claim, result: RunResult): void {
    const { code, versions, adapter, seconds } = result;
    this.#transaction(() => {
      const { changes } = this.#db.prepare(
        `UPDATE runs SET status = 'done', owner = NULL, error = NULL, code = ?, versions = ?,
         adapter = ?, finished = ?, seconds = seconds + ? WHERE id = ? AND owner = ?`,
      ).run(
        code ?? null,
        JSON.stringify(versions ?? {}),
        adapter ?? null,
        now(),
        seconds,
        claim.id,
        claim.owner,
      );
      if (Number(changes) === 0) throw lost(claim);
      this.#write(claim.id, result);
    });
  }

  #write(id: string, { metrics, records = [], routing = [], weights }: RunResult): void {
    for (const table of ["metrics", "records", "routing", "weights"]) {
      this.#db.prepare(`DELETE FROM ${table} WHERE run = ?`).run(id);
    }
    const metric = this.#db.prepare("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?, ?)");
    for (const { name, family, split, value, n, correct } of metrics) {
      metric.run(id, name, family, split, value, n ?? null, correct ?? null);
    }
    const record = this.#db.prepare("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?)");
    for (const { stage, step, loss, auxiliary, gradientNorm, learningRate } of records) {
      record.run(id, stage, step, loss, auxiliary, gradientNorm, learningRate);
    }
    const choice = this.#db.prepare("INSERT INTO routing VALUES (?, ?, ?, ?, ?, ?, ?)");
    for (const { benchmark = "", layers } of routing) {
      for (const { layer, modalities } of layers) {
        for (const { name, tokens, chanceShared, counts } of modalities) {
          choice.run(id, benchmark, layer, name, tokens, chanceShared, JSON.stringify(counts));
        }
      }
    }
    if (weights) {
      this.#db.prepare("INSERT INTO weights VALUES (?, ?)").run(id, Buffer.from(weights));
    }
  }

  /** Measured numbers of a run. */
  metrics(id: string): Metric[] {
    return this.#all<Metric>(
      "SELECT name, family, split, value, n, correct FROM metrics WHERE run = ?",
      id,
    ).map((m) => ({ ...m, n: m.n ?? undefined, correct: m.correct ?? undefined }));
  }

  /** Steps of a run, stage by stage. */
  records(id: string): StagedRecord[] {
    return this.#all<StagedRecord>(
      `SELECT stage, step, loss, auxiliary, gradient_norm AS gradientNorm,
       learning_rate AS learningRate FROM records WHERE run = ? ORDER BY stage, step`,
      id,
    ).map((r) => ({ ...r }));
  }

  /** Chosen experts of a run, a summary for each benchmark. */
  routing(id: string): RoutingSummary[] {
    const experts = this.run(id)?.config.ffn.experts ?? [];
    const rows = this.#all<
      {
        benchmark: string;
        layer: number;
        modality: string;
        tokens: number;
        chance_shared: number;
        counts: string;
      }
    >("SELECT * FROM routing WHERE run = ? ORDER BY benchmark, layer, modality", id);
    const benchmarks = Map.groupBy(rows, (r) => r.benchmark);
    return [...benchmarks].map(([benchmark, ofBenchmark]) => ({
      benchmark,
      experts,
      layers: [...Map.groupBy(ofBenchmark, (r) => r.layer)].map(([layer, entries]) => ({
        layer,
        modalities: entries.map(({ modality, tokens, chance_shared, counts }) => ({
          name: modality,
          tokens,
          chanceShared: chance_shared,
          counts: JSON.parse(counts) as number[],
        })),
      })),
    }));
  }

  /** The weights that a run left, a safetensors file. */
  weights(id: string): Uint8Array | undefined {
    const [row] = this.#all<{ file: Uint8Array }>("SELECT file FROM weights WHERE run = ?", id);
    return row?.file;
  }
}

/** Column values without what is null, JSON read. */
function rowOf(row: Record<string, SQLInputValue>): RunRow {
  const { owner: _, ...rest } = Object.fromEntries(
    Object.entries(row).filter(([, value]) => value !== null),
  );
  return {
    ...rest,
    config: JSON.parse(row.config as string),
    ...(row.versions === null ? {} : { versions: JSON.parse(row.versions as string) }),
  } as unknown as RunRow;
}

const lost = (claim: Claim): Error =>
  new Error(`run ${claim.id} was taken over by another process; this result is dropped`);

function isAbandoned(run: RunRow, host: string, time: number): boolean {
  if (time - (run.heartbeat ?? 0) > STALE_SECONDS) return true;
  return run.host === host && !isAlive(run.pid ?? 0);
}

/** Whether a process of this machine is running. */
function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
