/**
 * The record of a study: one SQLite file with every run's configuration, origin, metrics, losses and
 * routing. Several processes may work on one file; each run is done by one of them.
 */
import { Buffer } from "node:buffer";
import process from "node:process";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import {
  ADDED_TABLES,
  type Claim,
  DETAILS,
  type Metric,
  type RunResult,
  type RunRow,
  SCHEMA,
  SCHEMA_VERSION,
  type StagedRecord,
  STALE_SECONDS,
} from "./database_schema.ts";
import type { PlannedRun } from "./grid.ts";
import type { RoutingSummary } from "./routing_summary.ts";

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
      this.#db.exec(ADDED_TABLES);
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

  #write(id: string, result: RunResult): void {
    const { metrics, records = [], routing = [], weights, extras = {} } = result;
    for (const table of DETAILS) {
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
    for (const [name, value] of Object.entries(extras)) this.setExtra(id, name, value);
    if (weights) {
      this.#db.prepare("INSERT INTO weights VALUES (?, ?)").run(id, Buffer.from(weights));
    }
  }

  /**
   * Takes over what another file has and this one has not: runs that are finished there and not here,
   * with all that belongs to them, and the plans of others. What both have finished stays as it is.
   *
   * @returns how many runs came over, and how many finished ones were here already
   * @throws {RangeError} if the other file was written by another version of the library.
   * @throws {Deno.errors.NotFound} if there is no such file.
   */
  merge(path: string): { taken: number; kept: number } {
    Deno.statSync(path);
    new StudyDatabase(path).close(); // checks its version
    this.#db.prepare("ATTACH ? AS other").run(path);
    try {
      return this.#transaction(() => {
        // Replacing a run's row takes the old one away while others still point at it.
        this.#db.exec("PRAGMA defer_foreign_keys = ON");
        const ids = (sql: string) => this.#all<{ id: string }>(sql).map((row) => row.id);
        const finished = "SELECT id FROM other.runs WHERE status = 'done'";
        const here = "SELECT id FROM main.runs WHERE status = 'done'";
        const taken = ids(`${finished} AND id NOT IN (${here})`);
        const kept = ids(`${finished} AND id IN (${here})`).length;
        const columns = this.#all<{ name: string }>("SELECT name FROM pragma_table_info('runs')")
          .map((c) => c.name).join(", ");
        this.#db.exec(
          `INSERT OR IGNORE INTO main.runs (${columns}) SELECT ${columns} FROM other.runs;
           UPDATE main.runs SET status = 'planned', owner = NULL
             WHERE status = 'running' AND owner IN (SELECT owner FROM other.runs);
           INSERT OR IGNORE INTO main.tags SELECT * FROM other.tags;`,
        );
        for (const id of taken) {
          this.#db.prepare(
            `REPLACE INTO main.runs (${columns}) SELECT ${columns} FROM other.runs WHERE id = ?`,
          ).run(id);
          for (const table of DETAILS) {
            this.#db.prepare(`DELETE FROM main.${table} WHERE run = ?`).run(id);
            this.#db.prepare(
              `INSERT INTO main.${table} SELECT * FROM other.${table} WHERE run = ?`,
            ).run(id);
          }
        }
        return { taken: taken.length, kept };
      });
    } finally {
      this.#db.exec("DETACH other");
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

  /** Adds something measured to a run, also to one that is finished; replaces what had its name. */
  setExtra(id: string, name: string, value: unknown): void {
    this.#db.prepare("INSERT OR REPLACE INTO extras VALUES (?, ?, ?)")
      .run(id, name, JSON.stringify(value));
  }

  /** What else was measured of a run, by name. */
  extras(id: string): Record<string, unknown> {
    const rows = this.#all<{ name: string; value: string }>(
      "SELECT name, value FROM extras WHERE run = ?",
      id,
    );
    return Object.fromEntries(rows.map(({ name, value }) => [name, JSON.parse(value)]));
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
