/**
 * `deno task study NAME`: runs a study, or what is left of it, and prints its tables.
 */
import { emojiVqa } from "../data/mod.ts";
import { duration, interruptible, StudyProgressLine, studyVersions } from "../notebook/mod.ts";
import {
  analysesFrom,
  gatherResults,
  mergeAnalyses,
  planStudy,
  resultsFrom,
  runStudy,
  shareOf,
  storedAnalyses,
  StudyDatabase,
} from "../study/mod.ts";
import { analyse } from "./study_analyse.ts";
import { ensureGpu } from "./setup.ts";
import { HELP, type StudyCommand, studyCommand, type StudyOptions } from "./study_options.ts";
import {
  exportResults,
  pagePath,
  runsText,
  statusText,
  tablesText,
  writePage,
} from "./study_print.ts";
import { run } from "./system.ts";

const log = (line: string) => console.log(line);

/** What is to be done, or an end with an explanation. */
function readCommand(): StudyCommand {
  try {
    const command = studyCommand(Deno.args);
    if (command) return command;
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${HELP}`);
    Deno.exit(2);
  }
  console.log(HELP);
  Deno.exit(Deno.args.length === 0 ? 2 : 0);
}

/** The git commit of the code that runs, with a mark if files have changed since. */
async function codeVersion(): Promise<string | undefined> {
  const root = new URL("../../", import.meta.url).pathname;
  const head = await run("git", ["-C", root, "rev-parse", "--short=12", "HEAD"]);
  if (!head.ok) return undefined;
  const changes = await run("git", ["-C", root, "status", "--porcelain", "--", "src", "kernels"]);
  return head.stdout.trim() + (changes.stdout.trim() === "" ? "" : "+changes");
}

/** Opens a file of results and makes its folder; the file too, if it may. */
async function openDatabase(path: string, make: boolean): Promise<StudyDatabase> {
  const folder = path.replace(/[^/\\]*$/, "") || ".";
  if (make) await Deno.mkdir(folder, { recursive: true });
  else await Deno.stat(path);
  return new StudyDatabase(path);
}

/** Does the runs that are left. @returns whether every run is done */
async function train(
  database: StudyDatabase,
  plans: ReturnType<typeof planStudy>,
  { study, scale, db, keep }: StudyOptions,
): Promise<boolean> {
  await ensureGpu(log);
  const data = await emojiVqa({ scale });
  using stop = interruptible();
  const ended = new AbortController(), end = () => ended.abort();
  if (Deno.build.os !== "windows") Deno.addSignalListener("SIGTERM", end);
  const signal = AbortSignal.any([stop.signal, ended.signal]);
  const progress = new StudyProgressLine(study.name);
  const outcome = await runStudy(plans, {
    database,
    data,
    folder: `${db}.runs`,
    keep,
    signal,
    log,
    origin: { code: await codeVersion(), versions: studyVersions() },
    onProgress: progress.update,
  });
  if (Deno.build.os !== "windows") Deno.removeSignalListener("SIGTERM", end);
  await progress.done(signal.aborted ? "stopped" : "");
  if (signal.aborted) {
    const args = Deno.args.map((a) => /[^\w\-./,=]/.test(a) ? `'${a}'` : a).join(" ");
    log(`stopped; what was learned is saved. Go on with: deno task study ${args}`);
    Deno.exit(130);
  }
  for (const { plan, error } of outcome.failed) {
    log(`FAILED ${plan.label}, seed ${plan.config.seed}: ${error}`);
  }
  return outcome.complete;
}

/** Prints the tables of results that lie somewhere, and writes their pages. */
async function show({ study, scale, report }: StudyOptions, from: string): Promise<number> {
  const found = await resultsFrom(from, scale);
  if (report !== undefined && found.length > 1) {
    throw new RangeError(
      `--report ${report}: ${from} has results of ${found.length} devices, and a page is about one; ` +
        "name one of its files: --from FILE",
    );
  }
  for (const results of found) log(tablesText(study, results));
  if (study.name !== "paper" && report === undefined) return 0;
  const analyses = await analysesFrom(from);
  log("");
  for (const results of found) {
    const path = report ?? pagePath(study, results);
    log(`page: ${await writePage(path, study, results, analyses)}`);
  }
  return 0;
}

async function runOptions(options: StudyOptions): Promise<number> {
  const { study, scale, seeds, steps, shard, db, list } = options;
  if (options.from !== undefined) return await show(options, options.from);
  using database = await openDatabase(db, true);
  const all = planStudy(study, { scale, seeds, steps });
  database.plan(study.name, all);
  const isDone = (id: string) => database.run(id)?.status === "done";
  if (list) {
    log(runsText(all.map(({ id }) => database.run(id)!)));
    return 0;
  }
  const plans = shareOf(all, shard);
  const done = plans.filter((p) => isDone(p.id)).length;
  log(`${study.title}: ${plans.length} runs, ${done} of them done, recorded in ${db}`);
  if (steps !== undefined) {
    log(
      `SMOKE RUN: ${steps} steps a stage and few questions, to see that everything works. Its ` +
        "numbers mean nothing; they are kept apart from those of real runs.",
    );
  }
  const complete = done === plans.length || await train(database, plans, options);
  const finished = all.filter((p) => p.kind === "model" && isDone(p.id)).map((p) => p.id);
  const results = finished.length > 0 ? gatherResults(database, { ids: finished }) : undefined;
  if (results) log(`\n${tablesText(study, results)}\n`);
  const seconds = all.reduce((n, { id }) => n + database.run(id)!.seconds, 0);
  log(`${finished.length} models, ${duration(seconds)} of work`);
  if (steps !== undefined) log("for numbers that mean something, leave out --steps");
  if (options.export !== undefined) {
    for (const path of await exportResults(database, options.export)) log(`written: ${path}`);
  }
  if (results && (study.name === "paper" || options.report !== undefined)) {
    const path = options.report ?? pagePath(study, results);
    log(`page: ${await writePage(path, study, results, storedAnalyses(database))}`);
  }
  return complete ? 0 : 1;
}

async function main(command: StudyCommand): Promise<number> {
  switch (command.command) {
    case "study":
      return await runOptions(command.options);
    case "status": {
      using database = await openDatabase(command.db, false);
      log(statusText(database));
      return 0;
    }
    case "analyse":
      return await analyse(command.options, log);
    case "merge": {
      using database = await openDatabase(command.into, true);
      for (const path of command.from) {
        const { taken, kept } = database.merge(path);
        log(`${path}: ${taken} runs taken, ${kept} were here already`);
        using other = new StudyDatabase(path);
        mergeAnalyses(other, database);
      }
      return 0;
    }
  }
}

try {
  Deno.exit(await main(readCommand()));
} catch (error) {
  const told = [RangeError, SyntaxError, Deno.errors.NotFound];
  if (!(error instanceof Error && told.some((kind) => error instanceof kind))) throw error;
  console.error(error.message);
  Deno.exit(1);
}
