/** Which part of a row a token is: told on the device, from the arrays that every batch has. */
import { SPECIAL_TOKENS } from "../data/mod.ts";
import { TEXT } from "../moe/mod.ts";
import {
  equal,
  full,
  greaterEqual,
  iota,
  less,
  logicalAnd,
  narrow,
  notEqual,
  pad,
  reshape,
  type Tensor,
  where,
} from "../tensor/mod.ts";

/**
 * Classes of tokens for routing records: image patches (and whatever else is no text), words of what is
 * given, words of what is to be said, and special tokens such as `<bos>`. Padding is of no class.
 */
export const TOKEN_CLASSES: readonly string[] = ["patch", "question", "answer", "special"];

const PATCH = 0, QUESTION = 1, ANSWER = 2, SPECIAL = 3, NONE = -1;

/** Arrays of a batch, each `[B, T]` i32: see `TokenBatch` of the data module. */
export interface ClassInputs {
  /** Token ids. */
  tokens: Tensor;
  /** Texts of a row, by number. */
  segments: Tensor;
  /** The next token where it is to be predicted, else negative. */
  labels: Tensor;
  /** 0 of text. */
  modality: Tensor;
  /** 0 of padding. */
  valid: Tensor;
}

/**
 * The class of every token, `[B × T]` i32, a position in {@linkcode TOKEN_CLASSES}, or -1 for padding.
 * A word belongs to an answer if the token before it in the same text is to predict it.
 */
export function tokenClasses(inputs: ClassInputs): Tensor {
  const { tokens, segments, labels, modality, valid } = inputs;
  const [b, t] = tokens.shape;
  const before = (x: Tensor): Tensor => t > 1 ? pad(narrow(x, 1, 0, t - 1), [0, 1], [0, 0]) : x;
  const follows = logicalAnd(
    greaterEqual(iota([b, t], 1), 1),
    equal(before(segments), segments),
  );
  const said = logicalAnd(follows, greaterEqual(before(labels), 0));
  const text = where(
    less(tokens, SPECIAL_TOKENS.length),
    SPECIAL,
    where(said, full([], ANSWER, "i32"), QUESTION),
  );
  const all = where(notEqual(modality, TEXT), PATCH, text);
  return reshape(where(greaterEqual(valid, 1), all, NONE), [b * t]);
}
