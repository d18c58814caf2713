/** `deno task study analyse`: what the experts of finished runs do. */
import { type EmojiVqa, emojiVqa } from "../data/mod.ts";
import { table } from "../notebook/mod.ts";
import {
  analyseRun,
  expertScoresTable,
  keptWeights,
  type RunAnalysis,
  type RunRow,
  storeAnalysis,
  storedAnalyses,
  StudyDatabase,
  writeAnalyses,
} from "../study/mod.ts";
import { ensureGpu } from "./setup.ts";
import type { AnalyseOptions } from "./study_options.ts";

/** Analyses the runs that have not been analysed. @returns exit code */
export async function analyse(
  options: AnalyseOptions,
  log: (line: string) => void,
): Promise<number> {
  const { db, limit } = options;
  await Deno.stat(db);
  using database = new StudyDatabase(db);
  const known = new Set(storedAnalyses(database).map((a) => a.run));
  const runs = mixtures(database, options.only);
  const open: { run: RunRow; checkpoint: string }[] = [];
  let lost = 0;
  for (const run of runs) {
    if (known.has(run.id)) continue;
    const checkpoint = keptWeights(database, run.id);
    if (await exists(checkpoint)) open.push({ run, checkpoint });
    else lost++;
  }
  log(`${db}: ${runs.length} finished models with experts, ${open.length} to analyse`);
  if (lost > 0) log(`${lost} have no weights any more: train them with --keep`);
  if (open.length > 0) await ensureGpu(log);
  const sets = new Map<string, EmojiVqa>();
  for (const { run, checkpoint } of open) {
    const { id, config, label, seed } = run, { scale } = config;
    const data = sets.get(scale) ?? await emojiVqa({ scale });
    sets.set(scale, data);
    log(`${label}, seed ${seed}`);
    const found = await analyseRun(config, checkpoint, data, { limit: limit ?? config.limit, log });
    storeAnalysis(database, id, found);
  }
  const all = storedAnalyses(database);
  for (const name of new Set(all.map((a) => a.variant))) log(scoresText(all, name));
  if (options.export !== undefined) {
    await writeAnalyses(options.export, all);
    log(`written: ${options.export}`);
  }
  return 0;
}

/** Finished runs of models with several experts. */
function mixtures(database: StudyDatabase, only: readonly string[] | undefined): RunRow[] {
  return database.runs().filter((r) =>
    r.kind === "model" && r.status === "done" && r.config.ffn.experts.length > 1 &&
    (!only || only.includes(r.variant))
  );
}

/** Accuracies of the changed models of a variant, a row each. */
function scoresText(analyses: readonly RunAnalysis[], variant: string): string {
  const found = expertScoresTable(analyses, variant);
  return `\n${found.title}\n\n${table(found.head, found.rows)}\n\n${found.caption}`;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
