/** The options of `deno task chat`. */
import { parseArgs } from "node:util";
import type { ChatOptions } from "../study/mod.ts";

/** What `--help` prints. */
export const HELP =
  `deno task chat CHECKPOINT [IMAGE …] [--prompt TEXT] [--max-tokens N] [--temperature T]
               [--top-p P] [--top-k K] [--seed N] [--stop TEXT] [--template NAME]
               [--system TEXT] [--context N] [--pad]

Talks with a model. CHECKPOINT is a folder with config.json and safetensors files as on the hub, or
a run of \`deno task start\` (runs/ID). IMAGE is a PNG or JPEG file that the first question is about.
With --prompt one question is answered and the program ends. Without --temperature the likeliest
token is always taken. Templates: phi3, llama (the paper's models), bunny, bunny-llama (Bunny's),
vicuna (LLaVA-1.5), plain, text, own (the checkpoint's). --pad puts bars beside pictures that are not
square, as the paper does.

While talking: /image FILE adds a picture to the next question, /reset forgets what was said, /quit
ends. Ctrl-C stops an answer; a second one ends the program.`;

/** A conversation as asked for. */
export interface ChatCommand {
  /** Folder of the model. */
  readonly checkpoint: string;
  /** Pictures of the first question. */
  readonly images: readonly string[];
  /** The only question; a conversation if missing. */
  readonly prompt: string | undefined;
  /** How to answer. */
  readonly options: ChatOptions;
}

/**
 * Reads the command line.
 *
 * @returns undefined if help is wanted
 * @throws {TypeError} on unknown options. @throws {RangeError} on values that make no sense.
 */
export function chatOptions(args: readonly string[]): ChatCommand | undefined {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      prompt: { type: "string" },
      "max-tokens": { type: "string" },
      temperature: { type: "string" },
      "top-p": { type: "string" },
      "top-k": { type: "string" },
      seed: { type: "string" },
      stop: { type: "string", multiple: true },
      template: { type: "string" },
      system: { type: "string" },
      context: { type: "string" },
      pad: { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) return undefined;
  const [checkpoint, ...images] = positionals;
  if (checkpoint === undefined) throw new RangeError("which checkpoint? Name its folder.");
  const number = (name: keyof typeof values): number | undefined => {
    const text = values[name];
    if (text === undefined) return undefined;
    const value = Number(text);
    if (text !== "" && Number.isFinite(value)) return value;
    throw new RangeError(`--${name} ${text}: want a number`);
  };
  const given = {
    maxTokens: number("max-tokens"),
    temperature: number("temperature"),
    topP: number("top-p"),
    topK: number("top-k"),
    seed: number("seed"),
    capacity: number("context"),
    stop: values.stop,
    template: values.template,
    system: values.system,
    aspect: values.pad ? "pad" : undefined,
  };
  const options = Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  ) as ChatOptions;
  return { checkpoint, images, prompt: values.prompt, options };
}
