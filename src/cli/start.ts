/**
 * `deno task start`: from nothing to a trained MoIIE and a report. Sets up what is missing, trains the
 * quickstart, prints accuracies beside their blind floors, and writes runs/ID/report.html.
 */
import { emojiVqa } from "../data/mod.ts";
import { lvlm, summarize } from "../models/mod.ts";
import { accuracyTable, curvesOf, duration, Progress, train } from "../notebook/mod.ts";
import { accuracyRows, evaluate, recordRouting, writeReport } from "../study/mod.ts";
import { lab } from "../tensor/mod.ts";
import { twoStage } from "../train/mod.ts";
import { gallery, quickstartReport } from "./quickstart_report.ts";
import { ensureGpu } from "./setup.ts";
import { HELP, resumeCommand, type StartOptions, startOptions } from "./start_options.ts";

/** The options, or an end with an explanation. */
function readOptions(): StartOptions {
  try {
    const options = startOptions(Deno.args);
    if (options) return options;
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${HELP}`);
    Deno.exit(2);
  }
  console.log(HELP);
  Deno.exit(0);
}

const began = performance.now();
const log = (line: string) => console.log(line);
const options = readOptions();
const { seed, variant, ffn, steps, resume, out } = options;
const id = resume ??
  `${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}-${variant}-${seed}`;
const folder = `${out}/${id}`;
const checkpoint = `${folder}/checkpoint.safetensors`;
if (resume !== undefined && !await exists(checkpoint)) {
  console.error(`--resume ${resume}: there is no ${checkpoint}; leave --resume out to begin anew`);
  Deno.exit(2);
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

await ensureGpu(log);
using session = await lab({ seed });
log(`device: ${session}`);
const building = new Progress({ label: "drawing pictures", total: 100 });
const data = await emojiVqa({
  scale: "tiny",
  onProgress: ({ split, done, total }) =>
    building.update(Math.round(100 * done / total), { note: split }),
});
log(`data: emoji-VQA tiny, ${data.sizes.train} training pictures`);

const model = await lvlm("tiny", { ffn });
const numbers = summarize(model.config);
log(`model: ${numbers.title}, ${numbers.total} parameters, ${numbers.active} used by a token`);

const run = await train(model, twoStage(data, { seed, ...steps }), {
  checkpoint,
});
if (!run.complete) {
  log(`stopped; go on with: ${resumeCommand(options, id)}`);
  Deno.exit(130);
}

const asking = new Progress({ label: "asking questions", total: 100 });
const evaluations = await evaluate(model, data, {
  onProgress: (done) => asking.update(Math.round(100 * done)),
});
await asking.done();
const rows = accuracyRows(evaluations, data);
log("");
log(String(accuracyTable(rows)));
const routing = await recordRouting(model, data);
const samples = await gallery(model, data);
const memory = Deno.memoryUsage().rss / 2 ** 20;
await writeReport(
  `${folder}/report.html`,
  await quickstartReport({
    session,
    model,
    data,
    run,
    curves: curvesOf(run),
    evaluations,
    rows,
    routing,
    samples,
    totalSeconds: (performance.now() - began) / 1000,
    memory,
  }),
);
await Deno.writeTextFile(
  `${folder}/result.json.part`,
  JSON.stringify(
    {
      id,
      seed,
      variant,
      device: session.gpu.adapter.name,
      settings: run.recipe.settings,
      seconds: run.seconds,
      rows,
      evaluations,
      routing,
    },
    null,
    1,
  ),
);
await Deno.rename(`${folder}/result.json.part`, `${folder}/result.json`);

// The run has shown that the model looks at the pictures if every family it trains on is answered
// better than blind guessing explains, on held-out pictures.
const val = rows.filter((r) => r.split === "val");
const above = val.filter((r) => r.low > r.floor);
log("");
log(
  `trained in ${duration(run.seconds)}, all in ${
    duration((performance.now() - began) / 1000)
  }, memory ${memory.toFixed(0)} MB`,
);
log(`report: ${folder}/report.html`);
log(`families above their blind floor: ${above.map((r) => r.family).join(", ") || "none"}`);
log(`${above.length} passed, ${val.length - above.length} failed`);
