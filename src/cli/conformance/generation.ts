/**
 * Greedy generation with a published model.
 *
 * @module
 */
import { compile, type HostTensor, type Tensor } from "../../tensor/mod.ts";
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
