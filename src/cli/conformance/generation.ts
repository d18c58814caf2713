/**
 * Greedy generation with a published model.
 *
 * @module
 */
import { type AnyPublished, CachedLanguage, imageFeatures } from "../../models/mod.ts";
import { largestAt } from "../../models/sampling.ts";
import {
  compile,
  evaluate,
  type HostTensor,
  narrow,
  squeeze,
  type Tensor,
} from "../../tensor/mod.ts";
import type { FileEntry } from "./folder.ts";
import type { Given, Model } from "./model_results.ts";

/**
 * The tokens that a model adds to texts `[B, T]`, the likeliest one each time. The tokens to come are
 * padding meanwhile; positions count the tokens that are none.
 *
 * @param given inputs; `input_ids` and perhaps `attention_mask` are lengthened, others stay
 * @returns `[B, count]` row by row
 */
export async function generateGreedily(
  model: Model,
  given: Given,
  file: FileEntry,
  count: number,
): Promise<number[]> {
  const [batch, start] = given.input_ids.shape, length = start + count, shape = [batch, length];
  const prompt = await given.input_ids.data();
  const mask = given.attention_mask ? await given.attention_mask.data() : undefined;
  const logitsOf = compile((it: { tokens: Tensor; mask: Tensor; positions: Tensor }) => ({
    logits: model.results({
      ...given,
      input_ids: it.tokens,
      attention_mask: it.mask,
      position_ids: it.positions,
    }, file).tensors.get("logits")!,
  }));
  const host = (values: readonly (readonly number[])[]): HostTensor => ({
    data: Int32Array.from(values.flat()),
    shape,
  });
  const over = <T>(f: (row: number) => T): T[] => Array.from({ length: batch }, (_, b) => f(b));
  const texts = over((b) => Array.from(prompt.slice(b * start, (b + 1) * start), Number));
  const lengthened = (f: (i: number) => number) => Array.from({ length }, (_, i) => f(i));
  for (let at = start; at < length; at++) {
    const masks = over((b) =>
      lengthened((i) => i < start ? Number(mask?.[b * start + i] ?? 1) : i < at ? 1 : 0)
    );
    const positions = masks.map((row) => {
      let seen = 0;
      return row.map((m, i) => (m || i >= start) ? seen++ : 1);
    });
    const { logits } = await logitsOf({
      tokens: host(texts.map((text) => lengthened((i) => text[i] ?? 0))),
      mask: host(masks),
      positions: host(positions),
    });
    const classes = logits.shape[2], values = await logits.data();
    texts.forEach((text, b) => {
      const from = (b * length + at - 1) * classes;
      const last = values.subarray(from, from + classes);
      text.push(last.indexOf(Math.max(...last)));
    });
  }
  logitsOf.dispose();
  return texts.flatMap((text) => text.slice(start));
}

/**
 * The same with a cache: the texts are read once, then one token at a time.
 *
 * @param given inputs of texts, perhaps with pictures, whose tokens are there already
 * @returns `[B, count]` row by row
 */
export async function generateCached(
  { kind, model }: AnyPublished,
  given: Given,
  count: number,
): Promise<number[]> {
  if (kind === "vision") throw new TypeError("a vision tower writes no text");
  const [batch, length] = given.input_ids.shape;
  const ids = await given.input_ids.data(), mask = await given.attention_mask?.data();
  const texts = Array.from(
    { length: batch },
    (_, b) =>
      Array.from({ length }, (_, i) => b * length + i)
        .filter((at) => mask?.[at] !== 0).map((at) => Number(ids[at])),
  );
  const images = kind === "llava" && given.pixel_values
    ? imageFeatures(model, given.pixel_values)
    : undefined;
  const each = Array.from(
    { length: images?.shape[0] ?? 0 },
    (_, i) => squeeze(narrow(images!, 0, i, 1), 0),
  );
  await evaluate(...each);
  using cached = await CachedLanguage.open(kind === "llava" ? model.text : model, {
    batch,
    capacity: Math.max(...texts.map((text) => text.length)) + count,
    imageToken: kind === "llava" ? model.imageToken : undefined,
  });
  const written: number[][] = texts.map(() => []);
  for (let logits = await cached.read(texts, each, count);;) {
    const next = logits.map(largestAt);
    next.forEach((token, b) => written[b].push(token));
    if (written[0].length === count) return written.flat();
    logits = await cached.step(next);
  }
}
