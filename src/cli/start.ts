/**
 * `deno task start`: from nothing to a trained MoIIE and a report. Sets up what is missing, trains the
 * quickstart, prints accuracies beside their blind floors, and writes runs/ID/report.html.
 */
import { parseArgs } from "node:util";
import { emojiVqa } from "../data/mod.ts";
import { lvlm, summarize } from "../models/mod.ts";
import { dense, modalityMoe, moiie, type PoolTable, vanillaMoe } from "../moe/mod.ts";
import { accuracyTable, curvesOf, duration, Progress, train } from "../notebook/mod.ts";
import { accuracyRows, evaluate, recordRouting, writeReport } from "../study/mod.ts";
import { lab, unknownName } from "../tensor/mod.ts";
import { twoStage } from "../train/mod.ts";
import { gallery, quickstartReport } from "./quickstart_report.ts";
import { ensureGpu } from "./setup.ts";

const VARIANTS: Readonly<Record<string, () => PoolTable>> = {
  moiie: () => moiie(),
  vanilla: () => vanillaMoe(),
  modality: () => modalityMoe(),
  dense: () => dense(),
};

const HELP = `deno task start [--seed N] [--variant ${Object.keys(VARIANTS).join("|")}]
                [--steps STAGE1,STAGE2] [--resume ID] [--out FOLDER]

Trains a small vision-language model on pictures of emojis, flags, words and digits, and writes
FOLDER/ID/report.html (FOLDER: runs). --resume goes on with a run that was stopped or killed.`;

const { values } = parseArgs({
  args: Deno.args,
  options: {
    seed: { type: "string", default: "7" },
    variant: { type: "string", default: "moiie" },
    steps: { type: "string" },
    resume: { type: "string" },
    out: { type: "string", default: "runs" },
    help: { type: "boolean", short: "h", default: false },
  },
});

if (values.help) {
  console.log(HELP);
  Deno.exit(0);
}

/** Steps of the two stages, from `--steps 250,430`. */
function stepsOption(
  text: string | undefined,
): { connectorSteps?: number; instructionSteps?: number } {
  if (text === undefined) return {};
  const [connectorSteps, instructionSteps, ...rest] = text.split(",").map(Number);
  if (rest.length > 0 || ![connectorSteps, instructionSteps].every(Number.isSafeInteger)) {
    throw new RangeError(`--steps ${text}: want two whole numbers, such as 250,430`);
  }
  return { connectorSteps, instructionSteps };
}

const began = performance.now();
const log = (line: string) => console.log(line);
const seed = Number(values.seed);
const makeTable = VARIANTS[values.variant!];
if (!makeTable) throw unknownName("variant", values.variant, Object.keys(VARIANTS));
const id = values.resume ??
  `${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}-${values.variant}-${seed}`;
const folder = `${values.out}/${id}`;

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

const model = await lvlm("tiny", { ffn: makeTable() });
const numbers = summarize(model.config);
log(`model: ${numbers.title}, ${numbers.total} parameters, ${numbers.active} used by a token`);

const checkpoint = `${folder}/checkpoint.safetensors`;
const run = await train(model, twoStage(data, { seed, ...stepsOption(values.steps) }), {
  checkpoint,
});
if (!run.complete) {
  log(
    `stopped; go on with: deno task start --seed ${seed} --variant ${values.variant} --resume ${id}`,
  );
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
      variant: values.variant,
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
