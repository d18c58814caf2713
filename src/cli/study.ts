/**
 * `deno task study NAME`: runs a study, or what is left of it, and prints its tables.
 */
import config from "../../deno.json" with { type: "json" };
import { emojiVqa } from "../data/mod.ts";
import { duration, interruptible, Progress, table } from "../notebook/mod.ts";
import { type PlannedRun, planStudy, runStudy, StudyDatabase } from "../study/mod.ts";
import { ensureGpu } from "./setup.ts";
import { HELP, type StudyOptions, studyOptions } from "./study_options.ts";
import { run } from "./system.ts";

const log = (line: string) => console.log(line);

/** The options, or an end with an explanation. */
function readOptions(): StudyOptions {
  try {
    const options = studyOptions(Deno.args);
    if (options) return options;
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
  const head = await run("git", ["-C", root, "rev-parse", "--short=12", "HEAD"]).catch(() => null);
  if (!head?.ok) return undefined;
  const changes = await run("git", ["-C", root, "status", "--porcelain", "--", "src", "kernels"]);
  return head.text.trim() + (changes.ok && changes.text.trim() !== "" ? "+changes" : "");
}

/** This machine's share of the runs, with the connectors they need. */
function share(plans: readonly PlannedRun[], { number, of }: StudyOptions["shard"]): PlannedRun[] {
  const models = plans.filter((p) => p.kind === "model").filter((_, i) => i % of === number - 1);
  const needed = new Set(models.map((p) => p.needs));
  return plans.filter((p) => p.kind === "floor" || needed.has(p.id) || models.includes(p));
}

function states(database: StudyDatabase, study: string): string {
  return String(table(
    ["run", "variant", "seed", "state", "seconds", "device", "note"],
    database.runs(study).map((r) => [
      r.id,
      r.variant,
      r.seed,
      r.status,
      Math.round(r.seconds),
      r.adapter ?? "",
      r.error ?? (r.status === "running" ? `${r.host}, process ${r.pid}` : ""),
    ]),
  ));
}

const options = readOptions();
const { study, scale, seeds, steps, shard, db, keep, list } = options;
const folder = db.replace(/[^/\\]*$/, "") || ".";
await Deno.mkdir(folder, { recursive: true });
using database = new StudyDatabase(db);
const all = planStudy(study, { scale, seeds, steps });
database.plan(study.name, all);
if (list) {
  log(states(database, study.name));
  Deno.exit(0);
}
const plans = share(all, shard);
const done = plans.filter((p) => database.run(p.id)?.status === "done").length;
log(`${study.title}: ${plans.length} runs, ${done} of them done, recorded in ${db}`);
if (done < plans.length) await ensureGpu(log);
const data = await emojiVqa({ scale });
using stop = interruptible();
const terminate = () => Deno.kill(Deno.pid, "SIGINT");
Deno.addSignalListener("SIGTERM", terminate);

let progress: Progress | undefined;
const outcome = await runStudy(plans, {
  database,
  data,
  folder: `${db}.runs`,
  keep,
  signal: stop.signal,
  log,
  origin: {
    code: await codeVersion(),
    versions: {
      deno: Deno.version.deno,
      lab: config.version,
      dawn: config.imports.webgpu.replace(/.*@/, ""),
    },
  },
  onProgress: ({ plan, done, total, step }) => {
    progress ??= new Progress({ label: study.name, total });
    progress.update(done, {
      loss: step?.record.loss,
      tokensPerSecond: step?.tokensPerSecond,
      note: `${plan.label}, seed ${plan.config.seed}, ${step ? step.stage.name : "evaluation"}`,
    });
  },
});
Deno.removeSignalListener("SIGTERM", terminate);
await progress?.done("");
if (stop.signal.aborted) {
  const args = Deno.args.map((a) => /[^\w\-./,=]/.test(a) ? `'${a}'` : a).join(" ");
  log(`stopped; what was learned is saved. Go on with: deno task study ${args}`);
  Deno.exit(130);
}
const rows = database.runs(study.name).filter((r) => plans.some((p) => p.id === r.id));
log(`${duration(rows.reduce((n, r) => n + r.seconds, 0))} of work in all runs`);
for (const { plan, error } of outcome.failed) log(`FAILED ${plan.variant}: ${error}`);
Deno.exit(outcome.complete ? 0 : 1);
