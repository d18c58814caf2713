/** The options of `deno task start`. */
import { parseArgs } from "node:util";
import { dense, modalityMoe, moiie, type PoolTable, vanillaMoe } from "../moe/mod.ts";
import { unknownName } from "../tensor/mod.ts";

const VARIANTS: Readonly<Record<string, () => PoolTable>> = {
  moiie: () => moiie(),
  vanilla: () => vanillaMoe(),
  modality: () => modalityMoe(),
  dense: () => dense(),
};

/** What `--help` prints. */
export const HELP = `deno task start [--seed N] [--variant ${Object.keys(VARIANTS).join("|")}]
                [--steps STAGE1,STAGE2] [--resume ID] [--out FOLDER]

Trains a small vision-language model on pictures of emojis, flags, words and digits, and writes
FOLDER/ID/report.html (FOLDER: runs). --resume goes on with a run that was stopped or killed.`;

/** A quickstart as asked for. */
export interface StartOptions {
  /** Seed of everything random. */
  seed: number;
  /** Name of the variant. */
  variant: string;
  /** Its pool table. */
  ffn: PoolTable;
  /** Steps of the two stages; the recipe's if missing. */
  steps: { connectorSteps?: number; instructionSteps?: number };
  /** The run to go on with. */
  resume: string | undefined;
  /** Folder of all runs. */
  out: string;
}

/**
 * Reads the command line.
 *
 * @returns undefined if help is wanted
 * @throws {TypeError} on unknown options. @throws {RangeError} on values that make no sense.
 */
export function startOptions(args: readonly string[]): StartOptions | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: "string", default: "7" },
      variant: { type: "string", default: "moiie" },
      steps: { type: "string" },
      resume: { type: "string" },
      out: { type: "string", default: "runs" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return undefined;
  const { variant, resume, out } = values;
  if (!Object.hasOwn(VARIANTS, variant)) {
    throw unknownName("variant", variant, Object.keys(VARIANTS));
  }
  const seed = wholeNumber(values.seed);
  if (seed === undefined) {
    throw new RangeError(`--seed ${values.seed}: want a whole number of at least 0`);
  }
  return { seed, variant, ffn: VARIANTS[variant](), steps: stepsOption(values.steps), resume, out };
}

function wholeNumber(text: string): number | undefined {
  const n = Number(text);
  return /^\d+$/.test(text) && Number.isSafeInteger(n) ? n : undefined;
}

/** Steps of the two stages, from `250,430`. */
function stepsOption(text: string | undefined): StartOptions["steps"] {
  if (text === undefined) return {};
  const [connectorSteps, instructionSteps, ...rest] = text.split(",").map(wholeNumber);
  if (connectorSteps === undefined || instructionSteps === undefined || rest.length > 0) {
    throw new RangeError(`--steps ${text}: want two whole numbers, such as 250,430`);
  }
  return { connectorSteps, instructionSteps };
}

/** The command that goes on with a stopped run: a checkpoint belongs to the options it was made with. */
export function resumeCommand(options: StartOptions, id: string): string {
  const { seed, variant, steps, out } = options;
  const { connectorSteps, instructionSteps } = steps;
  return [
    `deno task start --seed ${seed} --variant ${variant}`,
    ...connectorSteps === undefined ? [] : [`--steps ${connectorSteps},${instructionSteps}`],
    ...out === "runs" ? [] : [`--out ${out}`],
    `--resume ${id}`,
  ].join(" ");
}
