/** Which template a checkpoint's conversations are written down with. */
import { bunnyTemplate } from "./bunny_layout.ts";
import type { Published } from "./load_published.ts";
import { type ChatTemplate, chatTemplate } from "./templates.ts";

/**
 * The template that a checkpoint's model was trained with, as far as one can tell: for models as the
 * paper's authors and Bunny save them theirs, which are not the language model's own; else the one in
 * `tokenizer_config.json`; else LLaVA's for LLaVA, and the text as it is for language models.
 *
 * @example
 * ```ts ignore
 * import { checkpointTemplate, conversationTemplate, loadPublished } from "@moiie/lab/models";
 * const template = checkpointTemplate(await loadPublished("bunny-phi3"));
 * if (!("jinja" in template)) console.log(conversationTemplate(template)); // for training
 * ```
 */
export function checkpointTemplate(loaded: Published): ChatTemplate {
  const { tokenizer, config } = loaded, isMixture = hasAuthorsExperts(loaded);
  const bunny = bunnyTemplate(config, isMixture);
  if (bunny !== undefined) return chatTemplate(bunny);
  if (loaded.kind === "language" && isMixture) {
    return chatTemplate(config.model_type === "phi3" ? "phi3" : "llama");
  }
  if (tokenizer?.chatTemplate) return ownTemplate(loaded);
  return chatTemplate(loaded.kind === "llava" ? "vicuna" : "text");
}

/** Whether layers have a router for each modality. */
function hasAuthorsExperts(loaded: Published): boolean {
  if (loaded.kind === "vision") return false;
  const { language } = loaded.kind === "llava" ? loaded.model.text : loaded.model;
  return language.blocks.some(({ ffn }) => ffn.routers.length > 1);
}

/** The template that lies beside the weights. @throws {RangeError} if there is none. */
export function ownTemplate({ tokenizer, path }: Published): ChatTemplate {
  if (!tokenizer?.chatTemplate) {
    throw new RangeError(`${path} has no chat_template in tokenizer_config.json; name another one`);
  }
  const named = { bos_token: tokenizer.beginId, eos_token: tokenizer.endId };
  const values = Object.entries(named).map(([name, id]) =>
    [name, id === undefined ? "" : tokenizer.token(id) ?? ""] as const
  );
  return { jinja: tokenizer.chatTemplate, values: Object.fromEntries(values) };
}
