/**
 * How a conversation is written down for a model. The templates of the paper's models are those of
 * the authors' code (`bunny/conversation.py`, versions `phi3`, `llama` and `plain`), which do not use
 * the language models' own; `bunny` and `bunny-llama` are those of the code that it is a fork of
 * (BAAI-DCAI/Bunny, `bunny/conversation.py`, `conv_bunny` and `conv_llama`); `vicuna` is LLaVA-1.5's
 * (`llava/conversation.py`, `vicuna_v1`).
 */
import { unknownName } from "../tensor/mod.ts";
import { IMAGE_PLACEHOLDER } from "./text_model.ts";

/** What was said. */
export interface ChatTurn {
  /** Who said it. */
  readonly role: "user" | "assistant";
  /** What. */
  readonly text: string;
  /** Number of pictures that go with it. Default 0. */
  readonly images?: number;
}

/** The marks of a conversation: plain text around what is said. */
export interface TextTemplate {
  /** At the beginning, if no other system sentence is given. */
  readonly system: string;
  /** Behind the system sentence, if there is one. */
  readonly afterSystem: string;
  /** Before what the user says. */
  readonly user: string;
  /** Of every picture, in front of the text of its turn. */
  readonly image: string;
  /** Behind what the user says. */
  readonly afterUser: string;
  /** Where the assistant begins. */
  readonly assistant: string;
  /** Between that and an answer that has been given. */
  readonly beforeAnswer: string;
  /** Ends an answer: a token where the tokenizer has it as one, else a stop string. */
  readonly end: string;
  /** Every question stands alone, with its picture: the model has seen no conversations. */
  readonly single?: boolean;
  /** In training nothing but the pictures is taken of what the user says. */
  readonly captions?: boolean;
}

/** A template as checkpoints hold it, in Jinja, which is run by `@huggingface/jinja` (MIT). */
export interface JinjaTemplate {
  /** Its text. */
  readonly jinja: string;
  /** Values of names in it, such as `bos_token`. */
  readonly values?: Readonly<Record<string, string>>;
}

/** How a conversation is written down. */
export type ChatTemplate = TextTemplate | JinjaTemplate;

const SYSTEM =
  "A chat between a curious user and an artificial intelligence assistant. The assistant gives " +
  "helpful, detailed, and polite answers to the user's questions.";

const VICUNA: TextTemplate = {
  system: SYSTEM,
  afterSystem: " ",
  user: "USER: ",
  image: `${IMAGE_PLACEHOLDER}\n`,
  afterUser: " ",
  assistant: "ASSISTANT:",
  beforeAnswer: " ",
  end: "</s>",
};

const NOTHING: TextTemplate = {
  system: "",
  afterSystem: "",
  user: "",
  image: IMAGE_PLACEHOLDER,
  afterUser: "",
  assistant: "",
  beforeAnswer: "",
  end: "",
};

const BUNNY: TextTemplate = { ...VICUNA, end: "<|endoftext|>" };

/** Templates by name. */
export const CHAT_TEMPLATES: Readonly<Record<string, TextTemplate>> = {
  /** The paper's models on Phi-3, second stage. */
  phi3: BUNNY,
  /**
   * The paper's models on LLaMA-3, second stage: without the blanks of Bunny's, as the authors'
   * repository has it at commit c614868. Every other public copy of this file has the blanks.
   */
  llama: { ...VICUNA, afterSystem: "", afterUser: "", end: "<|end_of_text|>" },
  /** Bunny's on Phi-2 and Phi-3. */
  bunny: BUNNY,
  /** Bunny's on LLaMA-3. */
  "bunny-llama": { ...VICUNA, end: "<|end_of_text|>" },
  /** LLaVA-1.5. */
  vicuna: VICUNA,
  /** First stage: a picture and its caption, which ends with the line. */
  plain: { ...NOTHING, end: "\n", captions: true },
  /** The text as it is, for models that complete texts. */
  text: NOTHING,
  /** The library's own miniature: a picture and a question, no conversation. */
  question: { ...NOTHING, single: true },
};

/** A template by its name. @throws {RangeError} if there is none; the nearest name is offered. */
export function chatTemplate(name: string): TextTemplate {
  if (Object.hasOwn(CHAT_TEMPLATES, name)) return CHAT_TEMPLATES[name];
  throw unknownName("chat template", name, Object.keys(CHAT_TEMPLATES));
}

/**
 * Writes a conversation down, up to where the assistant is to begin.
 *
 * @param turns what was said, the user's question last
 * @param system in place of the template's system sentence
 * @throws {SyntaxError} if a Jinja template cannot be run on it.
 *
 * @example
 * ```ts
 * import { chatTemplate, renderChat } from "@moiie/lab/models";
 * const turn = { role: "user", text: "What is it?", images: 1 } as const;
 * const prompt = await renderChat(chatTemplate("phi3"), [turn]);
 * console.log(prompt.slice(-41)); // USER: <image>\nWhat is it? ASSISTANT:
 * ```
 */
export async function renderChat(
  template: ChatTemplate,
  turns: readonly ChatTurn[],
  system?: string,
): Promise<string> {
  if ("jinja" in template) return await renderJinja(template, turns, system);
  const { single, afterSystem, user, image, afterUser, assistant, beforeAnswer, end } = template;
  const heading = system ?? template.system;
  const parts = [heading === "" ? "" : heading + afterSystem];
  for (const { role, text, images = 0 } of single ? turns.slice(-1) : turns) {
    parts.push(
      role === "user"
        ? user + image.repeat(images) + text + afterUser
        : assistant + beforeAnswer + text + end,
    );
  }
  return parts.join("") + assistant;
}

/** A turn of a row of training data, as `LlavaTurn`. */
export interface TrainingTurn {
  /** Who. */
  readonly role: "human" | "gpt";
  /** What, with `<image>` where pictures go. */
  readonly text: string;
}

/**
 * A template for training, as `conversationTokens()` and `llavaBatches()` take it: what the model learns
 * to say is each answer with its end. Put the tokens that the tokenizer begins a text with, if any, in
 * front: `bos: tokenizer.encode("")[0]`.
 *
 * Follows BAAI-DCAI/Bunny, `bunny/util/data_utils.py`: `preprocess_bunny` (with `_with_bos`, which is for
 * tokenizers that begin texts with a token) and `preprocess_plain`, which takes the picture alone of what
 * the user says.
 *
 * @param template a template or its name @param system in place of its system sentence
 * @throws {RangeError} if there is no template of this name; the nearest is offered.
 *
 * @example
 * ```ts
 * import { conversationTemplate } from "@moiie/lab/models";
 * const pieces = conversationTemplate("bunny")([
 *   { role: "human", text: "<image>\nWhat is it?" },
 *   { role: "gpt", text: "A cat." },
 * ]);
 * console.log(pieces.at(-1)); // { text: "A cat.<|endoftext|>", learned: true }
 * ```
 */
export function conversationTemplate(
  template: string | TextTemplate,
  system?: string,
): (turns: readonly TrainingTurn[]) => { text: string; learned: boolean }[] {
  const marks = typeof template === "string" ? chatTemplate(template) : template;
  const heading = system ?? marks.system;
  const beginning = heading === "" ? "" : heading + marks.afterSystem;
  return (turns) =>
    turns.map(({ role, text }, i) => {
      const first = i === 0 ? beginning : "";
      if (role === "gpt") return { text: first + text + marks.end, learned: true };
      const said = marks.captions ? imagesOf(text) : text;
      const asked = marks.user + said + marks.afterUser + marks.assistant + marks.beforeAnswer;
      return { text: first + asked, learned: false };
    });
}

/** Nothing but the pictures of a text. */
function imagesOf(text: string): string {
  return IMAGE_PLACEHOLDER.repeat(text.split(IMAGE_PLACEHOLDER).length - 1);
}

async function renderJinja(
  { jinja, values }: JinjaTemplate,
  turns: readonly ChatTurn[],
  system: string | undefined,
): Promise<string> {
  const { Template } = await import("@huggingface/jinja");
  // Templates of models that see go through a list of parts; others expect a text.
  const parts = /\[["']type["']\]|\.type\b/.test(jinja);
  const contentOf = ({ text, images = 0 }: ChatTurn) =>
    parts
      ? [...Array.from({ length: images }, () => ({ type: "image" })), { type: "text", text }]
      : `${IMAGE_PLACEHOLDER}\n`.repeat(images) + text;
  const messages = turns.map((turn) => ({ role: turn.role, content: contentOf(turn) }));
  const first = system === undefined
    ? []
    : [{ role: "system", content: parts ? [{ type: "text", text: system }] : system }];
  try {
    return new Template(jinja).render({
      messages: [...first, ...messages],
      add_generation_prompt: true,
      ...values,
    });
  } catch (cause) {
    throw new SyntaxError(`the chat template of the checkpoint: ${(cause as Error).message}`, {
      cause,
    });
  }
}
