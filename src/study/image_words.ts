/** What image tokens say in the language model's own words: what a connector has learned. */
import { type EmojiVqa, imagePixels, type Sample } from "../data/mod.ts";
import { applyVision, type Lvlm } from "../models/mod.ts";
import { applyMlp } from "../nn/mod.ts";
import { readAll, reshape, tensor } from "../tensor/mod.ts";

/** A word and how near it is. */
export interface NearWord {
  /** The word. */
  readonly word: string;
  /** Cosine of the angle between its embedding and the image token, -1 to 1. */
  readonly cosine: number;
}

/**
 * For each image token of a picture, the words whose embeddings point most nearly its way, nearest
 * first. The miniature language models were pretrained on scenes of words, where an image token is the
 * sum of the embeddings of what lies there: a connector that has learned its task says such words.
 *
 * @param count words for each token. Default 3.
 * @returns a list of words for each image token, row by row from the top left
 */
export async function imageWords(
  model: Lvlm,
  data: EmojiVqa,
  sample: Sample,
  count = 3,
): Promise<NearWord[][]> {
  const { imageSize: side, tokenizer } = data;
  const pixels = reshape(tensor(imagePixels([sample])), [1, 3, side, side]);
  const image = applyMlp(model.connector, applyVision(model.vision, model.config.vision, pixels));
  const [, tokens, width] = image.shape;
  const [rows, words] = await readAll(
    reshape(image, [tokens, width]),
    model.language.embedding,
  ) as Float32Array[];
  const cosine = (a: Float32Array, b: Float32Array) => {
    let dot = 0, aa = 0, bb = 0;
    for (let i = 0; i < width; i++) {
      dot += a[i] * b[i];
      aa += a[i] ** 2;
      bb += b[i] ** 2;
    }
    return dot / Math.sqrt(aa * bb);
  };
  return Array.from({ length: tokens }, (_, t) => {
    const row = rows.subarray(t * width, (t + 1) * width);
    return Array.from({ length: tokenizer.size }, (_, id) => ({
      word: tokenizer.decode([id]),
      cosine: cosine(row, words.subarray(id * width, (id + 1) * width)),
    })).filter(({ word }) => word !== "").sort((a, b) => b.cosine - a.cosine).slice(0, count);
  });
}
