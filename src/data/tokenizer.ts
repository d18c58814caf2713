/**
 * A tokenizer of whole words with a closed vocabulary.
 *
 * @module
 */

/** The special tokens; a token's place in the list is its id. */
export const SPECIAL_TOKENS = ["<pad>", "<bos>", "<eos>", "<image>", "<unk>"] as const;

/** What {@linkcode WordTokenizer.toJSON} gives. */
export interface WordTokenizerJson {
  /** Marks the format. */
  type: "words";
  /** All tokens in the order of their ids, the special ones first. */
  tokens: string[];
}

/**
 * Splits text at white space; each word of the vocabulary is one token.
 *
 * The ids depend on the set of words only, not on their order: words are sorted by code units.
 *
 * @example
 * ```ts
 * import { WordTokenizer } from "@moiie/lab/data";
 * const tokenizer = new WordTokenizer(["dog", "a"]);
 * tokenizer.decode(tokenizer.encode("a dog")); // "a dog"
 * ```
 */
export class WordTokenizer {
  /** Id of the padding token, 0. */
  readonly pad = 0;
  /** Id of the token that begins a text. */
  readonly bos = 1;
  /** Id of the token that ends an answer. */
  readonly eos = 2;
  /** Id of the tokens that image features take the place of. */
  readonly image = 3;
  /** Id of the token for words that are not in the vocabulary. */
  readonly unk = 4;
  /** All tokens in the order of their ids. */
  readonly tokens: readonly string[];
  #ids: Map<string, number>;

  /**
   * Makes a tokenizer.
   *
   * @param words the vocabulary, in any order; repeated words count once
   * @throws RangeError when a word is empty, holds white space or is a special token
   */
  constructor(words: Iterable<string>) {
    const unique = [...new Set(words)].sort();
    for (const word of unique) {
      if (!/^\S+$/.test(word) || (SPECIAL_TOKENS as readonly string[]).includes(word)) {
        throw new RangeError(
          `${
            JSON.stringify(word)
          } cannot be a word: words are not empty, hold no white space and ` +
            `are none of ${SPECIAL_TOKENS.join(" ")}`,
        );
      }
    }
    this.tokens = [...SPECIAL_TOKENS, ...unique];
    this.#ids = new Map(this.tokens.map((token, id) => [token, id]));
  }

  /** How many ids there are; the size of an embedding table. */
  get size(): number {
    return this.tokens.length;
  }

  /** The ids of a text's words; an unknown word becomes {@linkcode WordTokenizer.unk}. */
  encode(text: string): number[] {
    const ids: number[] = [];
    for (const word of text.split(/\s+/)) {
      if (word !== "") ids.push(this.#ids.get(word) ?? this.unk);
    }
    return ids;
  }

  /**
   * The words of a list of ids, parted by single spaces; padding is left out.
   *
   * @throws RangeError when an id is not in the vocabulary
   */
  decode(ids: Iterable<number>): string {
    const words: string[] = [];
    for (const id of ids) {
      const word = this.tokens[id];
      if (word === undefined) {
        throw new RangeError(`no token has the id ${id}; ids run from 0 to ${this.size - 1}`);
      }
      if (id !== this.pad) words.push(word);
    }
    return words.join(" ");
  }

  /** The vocabulary as plain data, for checkpoints. */
  toJSON(): WordTokenizerJson {
    return { type: "words", tokens: [...this.tokens] };
  }

  /**
   * A tokenizer from what {@linkcode WordTokenizer.toJSON} gave.
   *
   * @throws TypeError when the value is nothing of the kind
   * @throws RangeError when its tokens are not in the order that ids are given in
   */
  static fromJSON(json: unknown): WordTokenizer {
    const { type, tokens } = (json ?? {}) as Partial<WordTokenizerJson>;
    if (type !== "words" || !Array.isArray(tokens) || tokens.some((t) => typeof t !== "string")) {
      throw new TypeError('a word tokenizer is stored as { type: "words", tokens: [...] }');
    }
    const tokenizer = new WordTokenizer(tokens.slice(SPECIAL_TOKENS.length));
    const moved = tokens.findIndex((token, id) => token !== tokenizer.tokens[id]);
    if (moved >= 0 || tokens.length !== tokenizer.size) {
      const at = moved < 0 ? tokens.length : moved;
      throw new RangeError(
        `token ${at} is ${JSON.stringify(tokens[at])}, expected ` +
          `${JSON.stringify(tokenizer.tokens[at])}: special tokens come first, then sorted words`,
      );
    }
    return tokenizer;
  }
}
