/** Rows that any published model can be trained on, to see a training run before there is data. */
import {
  type AnyPublished,
  expandImageTokens,
  imageTokens,
  type PublishedLvlm,
} from "../models/mod.ts";
import { ownerOf, publishedPart } from "../models/model_tree.ts";
import { Random, sessionSeed } from "../tensor/mod.ts";
import type { PublishedBatch } from "./fit_published.ts";

/** Options of {@linkcode exampleBatches}. */
export interface ExampleOptions {
  /** Rows of a batch. Default 8. */
  readonly rows?: number;
  /** Default the session's. */
  readonly seed?: number;
}

/** Quarters of a picture, and answers. */
const CHOICES = 4;

/** Token ids spread over the vocabulary, without the image token. */
function wordsOf(vocabulary: number, imageToken: number | undefined): number[] {
  const ids = Array.from({ length: 12 }, (_, i) => Math.floor(vocabulary * (i + 2) / 16));
  return ids.map((id) => id === imageToken ? id - 1 : id);
}

/** Noise in which one quarter is brighter, `[3, size, size]`. */
function picture(random: Random, size: number, quarter: number): Float32Array {
  const pixels = random.normals(3 * size * size, 0, 0.3);
  return pixels.map((v, i) => {
    const x = i % size, y = Math.floor(i / size) % size;
    const here = (y < size / 2 ? 0 : 2) + (x < size / 2 ? 0 : 1);
    return v + (here === quarter ? 1.5 : -0.5);
  });
}

/**
 * Batches without end of a task that a model can learn in few steps: of a LLaVA, which quarter of the
 * picture is brightest, one of four words; of a language model, which of four words stood in front. Words are
 * token numbers, so no tokenizer is needed. It is no data set: it shows that pictures, routing, loss and
 * optimizer work together.
 *
 * @param published the model, or a loaded checkpoint
 */
export function* exampleBatches(
  published: PublishedLvlm | AnyPublished,
  options: ExampleOptions = {},
): Generator<PublishedBatch, never> {
  const { rows = 8, seed = sessionSeed() } = options;
  const model: PublishedLvlm = ownerOf(published), random = new Random(seed, "example batches");
  const { vocabulary } = publishedPart(model).config.language;
  const llava = "text" in model ? model : undefined, imageToken = llava?.imageToken;
  const words = wordsOf(vocabulary, imageToken), begin = 1, end = 2;
  const size = llava?.scales?.at(-1) ?? llava?.vision.config.imageSize ?? 0;
  const features = llava
    ? imageTokens(llava.vision.config) + (llava.vision.tower.classToken ? 1 : 0) -
      llava.features.skip
    : 0;
  for (;;) {
    const answers = Array.from({ length: rows }, () => random.int(CHOICES));
    const texts = answers.map((answer) => {
      const asked = Array.from({ length: 2 }, () => words[CHOICES + random.int(8)]);
      const prompt = imageToken === undefined
        ? [begin, words[answer], ...asked]
        : [begin, imageToken, ...asked];
      const tokens = [...prompt, words[answer], end];
      return { tokens, labels: tokens.map((t, i) => i < prompt.length ? -100 : t) };
    });
    const batch = expandImageTokens(texts, { imageToken: imageToken ?? -1, features });
    if (!llava) yield batch;
    else {
      const data = new Float32Array(rows * 3 * size * size);
      answers.forEach((answer, r) => data.set(picture(random, size, answer), r * 3 * size * size));
      yield { ...batch, pixels: { data, shape: [rows, 3, size, size] } };
    }
  }
}
