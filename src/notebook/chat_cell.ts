/**
 * Talking to a model in a notebook: the answer grows in the cell's output as the model writes it.
 *
 * @module
 */

import type { SayOptions } from "../study/mod.ts";
import { type Display, LiveOutput } from "./display.ts";
import { interruptible } from "./interruptible.ts";
import { currentKernel } from "./jupyter.ts";

/** Anything that answers piece by piece: a `Chat`. */
export interface Talk {
  /** Answers. */
  say(text: string, options?: SayOptions): AsyncGenerator<string, unknown>;
}

/**
 * Asks a model something. In a notebook the answer is shown while it is written, and Stop ends it
 * where it is: what was said stays, in the output and in the conversation. In a terminal the answer
 * is printed when it is there.
 *
 * @param talk From `chat()`.
 * @param question What to ask.
 * @param options Pictures that it is about.
 * @returns The answer.
 * @throws {RangeError | TypeError} As `Chat.say()`.
 *
 * @example
 * ```ts ignore
 * import { chat, chatCell, lab, loadPublished } from "@moiie/lab";
 * await lab();
 * const talk = await chat(await loadPublished("llava-1.5-7b-hf"));
 * await chatCell(talk, "What is in the picture?", { images: ["cat.jpg"] });
 * await chatCell(talk, "And where?");
 * ```
 */
export async function chatCell(
  talk: Talk,
  question: string,
  options: Pick<SayOptions, "images"> = {},
): Promise<string> {
  using stop = interruptible();
  const live = new LiveOutput();
  let answer = "";
  try {
    for await (const piece of talk.say(question, { ...options, signal: stop.signal })) {
      answer += piece;
      if (currentKernel()) live.update(() => answerDisplay(question, `${answer.trim()} ▍`));
    }
  } catch (error) {
    if (answer !== "") await finish(live, question, `${answer.trim()} … (failed)`);
    throw error;
  }
  await finish(live, question, answer.trim() + (stop.signal.aborted ? " … (stopped)" : ""));
  return answer.trim();
}

async function finish(live: LiveOutput, question: string, text: string): Promise<void> {
  if (currentKernel()) await live.finish(answerDisplay(question, text));
  else console.log(text);
}

/** Models write Markdown; the question stands above as a quotation. */
function answerDisplay(question: string, answer: string): Display {
  const quoted = question.split("\n").map((line) => `> ${line}`).join("\n");
  return {
    data: { "text/plain": `${quoted}\n${answer}`, "text/markdown": `${quoted}\n\n${answer}` },
  };
}
