/**
 * Conversations as token rows with labels on the answers.
 *
 * @module
 */

import { NO_LABEL } from "./pack.ts";
import { IMAGE_TAG, type LlavaTurn } from "./llava_data.ts";

/** A stretch of a conversation, written out. */
export interface ConversationPiece {
  /** The text, with {@linkcode IMAGE_TAG} where a picture goes. */
  readonly text: string;
  /** Whether the model learns to say it. */
  readonly learned: boolean;
}

/** Writes a conversation out: names of the sides, blanks and ends included. */
export type ConversationTemplate = (
  turns: readonly LlavaTurn[],
) => readonly ConversationPiece[];

/** What is asked of a tokenizer; that of `loadPublished()` does it. */
export interface ConversationTokenizer {
  /** The ids of a text; special tokens that it spells out are recognised, none are added. */
  encode(text: string, options: { special: false }): ArrayLike<number>;
}

/** Options of {@linkcode conversationTokens}. */
export interface ConversationTokensOptions {
  /** Turns texts into ids. */
  tokenizer: ConversationTokenizer;
  /** Writes conversations out. */
  template: ConversationTemplate;
  /** Id that stands for a picture. */
  imageToken: number;
  /** Id put in front of every row where the model wants one, as Llama's `<s>`. */
  bos?: number;
}

/** Tokens, one for each picture, and what is to be said at their places. */
export interface ConversationTokens {
  /** Token ids. */
  readonly tokens: number[];
  /** The token itself where it is learned, else -100; the loss shifts by one. */
  readonly labels: number[];
}

/**
 * The turns with a lone picture moved to the front of its turn, as in LLaVA and Bunny; several
 * pictures of a turn stay where they are.
 */
export function imagesFirst(turns: readonly LlavaTurn[]): LlavaTurn[] {
  return turns.map(({ role, text }) => {
    const parts = text.split(IMAGE_TAG);
    if (parts.length !== 2) return { role, text };
    return { role, text: `${IMAGE_TAG}\n${parts.join("").trim()}`.trim() };
  });
}

/**
 * Tokens of a conversation. Texts between pictures are encoded whole, as the model sees them, and a
 * token is learned from the first place where the text without the answer would be encoded
 * otherwise: so a blank before an answer that melts into its first token is learned with it, as in
 * Bunny (`bunny/util/data_utils.py`, `preprocess_bunny`).
 *
 * @param turns a conversation
 */
export function conversationTokens(
  turns: readonly LlavaTurn[],
  { tokenizer, template, imageToken, bos }: ConversationTokensOptions,
): ConversationTokens {
  const tokens: number[] = [], labels: number[] = [];
  const put = (token: number, learned: boolean) => {
    tokens.push(token);
    labels.push(learned ? token : NO_LABEL);
  };
  if (bos !== undefined) put(bos, false);
  for (const stretch of stretches(template(turns))) {
    if (stretch === undefined) {
      put(imageToken, false);
      continue;
    }
    const ids = tokenizer.encode(stretch.map(({ text }) => text).join(""), { special: false });
    const learned = learnedTokens(stretch, ids, tokenizer);
    for (let i = 0; i < ids.length; i++) put(ids[i], learned[i]);
  }
  return { tokens, labels };
}

/** The pieces between pictures; undefined for each picture. */
function stretches(pieces: readonly ConversationPiece[]): (ConversationPiece[] | undefined)[] {
  const result: (ConversationPiece[] | undefined)[] = [[]];
  for (const { text, learned } of pieces) {
    for (const [i, part] of text.split(IMAGE_TAG).entries()) {
      if (i > 0) result.push(undefined, []);
      if (part !== "") result.at(-1)!.push({ text: part, learned });
    }
  }
  return result.filter((stretch) => stretch === undefined || stretch.length > 0);
}

function learnedTokens(
  pieces: readonly ConversationPiece[],
  ids: ArrayLike<number>,
  tokenizer: ConversationTokenizer,
): boolean[] {
  const learned: boolean[] = new Array(ids.length).fill(false);
  let before = "", start = 0;
  for (const [i, piece] of pieces.entries()) {
    before += piece.text;
    const end = i + 1 === pieces.length
      ? ids.length
      : commonLength(tokenizer.encode(before, { special: false }), ids);
    if (piece.learned) learned.fill(true, start, end);
    start = Math.max(start, end);
  }
  return learned;
}

/** How many first elements are the same. */
function commonLength(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}
