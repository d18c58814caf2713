/**
 * How a conversation is written down for a model. The templates of the paper's models are those of
 * the authors' code (`bunny/conversation.py`, versions `phi3`, `llama` and `plain`), which do not use
 * the language models' own; `vicuna` is LLaVA-1.5's (`llava/conversation.py`, `vicuna_v1`).
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

/** Templates by name. */
export const CHAT_TEMPLATES: Readonly<Record<string, TextTemplate>> = {
  /** The paper's models on Phi-3, second stage. */
  phi3: { ...VICUNA, end: "<|endoftext|>" },
  /** The paper's models on LLaMA-3, second stage. */
  llama: { ...VICUNA, afterSystem: "", afterUser: "", end: "<|end_of_text|>" },
  /** LLaVA-1.5. */
  vicuna: VICUNA,
  /** First stage: a picture and its caption, which ends with the line. */
  plain: { ...NOTHING, end: "\n" },
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
