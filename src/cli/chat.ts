/**
 * `deno task chat CHECKPOINT [IMAGE]`: talks with a model, on a terminal or for one question. What is
 * said goes to the standard output, everything else to the standard error.
 *
 * @module
 */
import { interruptible } from "../notebook/mod.ts";
import { type Chat, chat } from "../study/mod.ts";
import { lab } from "../tensor/mod.ts";
import { openModel } from "./chat_model.ts";
import { type ChatCommand, chatOptions, HELP } from "./chat_options.ts";

/** Lines of the standard input as they come. */
async function* lines(): AsyncGenerator<string> {
  let rest = "";
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + text).split("\n");
    rest = parts.pop()!;
    yield* parts;
  }
  if (rest !== "") yield rest;
}

/** Prints at once, without a line's end. */
async function print(text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
}

/** Prints an answer as it comes, until it ends or Ctrl-C ends it. */
async function answer(talk: Chat, text: string, images: readonly string[]): Promise<void> {
  using stop = interruptible();
  const pieces = talk.say(text, { images, signal: stop.signal });
  let started = false;
  for await (const piece of pieces) {
    await print(started ? piece : piece.trimStart());
    started ||= piece.trim() !== "";
  }
  await print(stop.signal.aborted ? " …\n" : "\n");
}

/** Questions and answers until the input ends. */
async function converse(talk: Chat, first: readonly string[]): Promise<void> {
  const asks = Deno.stdin.isTerminal();
  let images = [...first];
  console.error("ask, or /image FILE, /reset, /quit");
  if (asks) await print("> ");
  for await (const line of lines()) {
    const text = line.trim(), [command, rest] = split(text);
    if (command === "/quit") return;
    if (command === "/image") images.push(rest);
    else if (command === "/reset") talk.reset();
    else if (text.startsWith("/")) console.error(`${command}? There are /image, /reset, /quit.`);
    else if (text !== "") {
      try {
        await answer(talk, text, images);
      } catch (error) {
        console.error(messageOf(error));
      }
      images = [];
    }
    if (asks) await print("> ");
  }
}

function split(text: string): [string, string] {
  const [, command, rest] = /^(\S*)\s*(.*)$/.exec(text)!;
  return [command, rest];
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function main(): Promise<number> {
  let command: ChatCommand | undefined;
  try {
    command = chatOptions(Deno.args);
  } catch (error) {
    console.error(`${messageOf(error)}\n\n${HELP}`);
    return 2;
  }
  if (!command) {
    console.log(HELP);
    return 0;
  }
  const { checkpoint, images, prompt, options } = command;
  using session = await lab();
  console.error(`device: ${session}`);
  try {
    using talk = await chat(await openModel(checkpoint), options);
    if (prompt === undefined) await converse(talk, images);
    else await answer(talk, prompt, images);
    return 0;
  } catch (error) {
    console.error(`${checkpoint}: ${messageOf(error)}`);
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main());
