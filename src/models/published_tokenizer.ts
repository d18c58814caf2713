/**
 * Tokenizers of published models: `tokenizer.json` through `@huggingface/tokenizers` (Apache 2.0), the
 * JavaScript port of the library that the published files come from.
 *
 * @module
 */
import { Tokenizer } from "@huggingface/tokenizers";
import type { TokenizerFiles } from "./checkpoint_files.ts";
import type { PublishedConfig } from "./published_config.ts";

/** How {@linkcode PublishedTokenizer.encode} and `decode` treat special tokens. */
export interface SpecialTokens {
  /**
   * Encoding: add the tokens that the model expects around a text, such as one at its beginning.
   * Default true; for chat templates, which name them, false. Decoding: leave them out. Default true.
   */
  readonly special?: boolean;
}

/** A tokenizer of a published model. */
export interface PublishedTokenizer {
  /** Number of tokens, added ones among them; a model's vocabulary may be larger. */
  readonly size: number;
  /** Token that a text begins with. */
  readonly beginId?: number;
  /** Token that ends a text. */
  readonly endId?: number;
  /** Token that fills rows up. */
  readonly padId?: number;
  /** Token for what no token fits. */
  readonly unknownId?: number;
  /** All tokens that stand for no text, such as `<|end|>`. */
  readonly specialIds: ReadonlySet<number>;
  /** The Jinja template of a chat, from `tokenizer_config.json`. */
  readonly chatTemplate?: string;
  /** The tokens of a text. Special tokens that it spells out are recognised. */
  encode(text: string, options?: SpecialTokens): number[];
  /** The text of tokens. @throws {RangeError} if a number is no token's. */
  decode(ids: ArrayLike<number>, options?: SpecialTokens): string;
  /** A token's number; undefined if there is no such token. */
  id(token: string): number | undefined;
  /** A token by its number; undefined if there is none. */
  token(id: number): string | undefined;
}

/** A special token of `tokenizer_config.json`: a text, or an object with one. */
function tokenText(config: PublishedConfig, name: string): string | undefined {
  const value = config[name];
  const text = value !== null && typeof value === "object"
    ? (value as PublishedConfig).content
    : value;
  return typeof text === "string" ? text : undefined;
}

/** The chat template: one, or the one called "default" of several. */
function chatTemplate({ chat_template: template }: PublishedConfig): string | undefined {
  if (typeof template === "string") return template;
  if (!Array.isArray(template)) return undefined;
  const named: PublishedConfig[] = template.filter((t) => t !== null && typeof t === "object");
  const found = (named.find(({ name }) => name === "default") ?? named[0])?.template;
  return typeof found === "string" ? found : undefined;
}

/**
 * A tokenizer from the contents of its files.
 *
 * @throws {SyntaxError} if `tokenizer.json` describes no tokenizer, or a kind that the package lacks.
 *
 * @example
 * ```ts ignore
 * import { openCheckpoint, publishedTokenizer } from "@moiie/lab/models";
 * using checkpoint = openCheckpoint("Phi-3-mini-4k-instruct");
 * const tokenizer = publishedTokenizer(checkpoint.tokenizerFiles()!);
 * console.log(tokenizer.encode("<|user|>What is it?<|end|>"));
 * ```
 */
export function publishedTokenizer(files: TokenizerFiles): PublishedTokenizer {
  const { tokenizer: json, config } = files;
  let inner: Tokenizer;
  let vocabulary: Map<string, number>;
  try {
    inner = new Tokenizer(json, config);
    vocabulary = inner.get_vocab(true);
  } catch (cause) {
    throw new SyntaxError(`tokenizer.json: ${(cause as Error).message}`, { cause });
  }
  const added = inner.get_added_tokens_decoder();
  const specialIds = new Set([...added].filter(([, token]) => token.special).map(([id]) => id));
  const idOf = (name: string): number | undefined => {
    const text = tokenText(config, name);
    return text === undefined ? undefined : inner.token_to_id(text);
  };
  const named = Object.entries({
    beginId: idOf("bos_token"),
    endId: idOf("eos_token"),
    padId: idOf("pad_token"),
    unknownId: idOf("unk_token"),
    chatTemplate: chatTemplate(config),
  }).filter(([, value]) => value !== undefined);
  return {
    ...Object.fromEntries(named),
    size: vocabulary.size,
    specialIds,
    encode: (text, { special = true } = {}) =>
      inner.encode(text, { add_special_tokens: special }).ids,
    decode: (ids, { special = true } = {}) => {
      const list = Array.from(ids);
      const unknown = list.find((id) => inner.id_to_token(id) === undefined);
      if (unknown !== undefined) {
        throw new RangeError(`decode: ${unknown} is no token; there are ${vocabulary.size}`);
      }
      return list.length === 0 ? "" : inner.decode(list, { skip_special_tokens: special });
    },
    id: (token) => inner.token_to_id(token),
    token: (id) => inner.id_to_token(id),
  };
}
