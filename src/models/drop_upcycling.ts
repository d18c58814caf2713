/** Drop-Upcycling: part of every expert starts anew (Nakamura et al., arXiv 2502.19261, section 3). */
import type { FeedForward } from "../moe/mod.ts";
import { type Random, setValues } from "../tensor/mod.ts";

/** Mean and standard deviation. */
function moments(values: readonly number[]): [number, number] {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const square = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
  return [mean, Math.sqrt(square)];
}

/**
 * Draws a share of each expert's inner units anew, in place: the same units of gate, up and down
 * projection, others for every expert. New weights are normal with the mean and the standard deviation
 * of those that they replace, for each of the three projections.
 *
 * @param share of the inner units, rounded to whole units
 */
export async function reinitialise(
  { gateUp, down }: Pick<FeedForward, "gateUp" | "down">,
  share: number,
  random: Random,
): Promise<void> {
  const [experts, width, hidden] = down.shape;
  const wide = (await gateUp.data()).slice(), narrow = (await down.data()).slice();
  const count = Math.round(share * hidden);
  for (let e = 0; e < experts; e++) {
    const mine = random.fork(`expert ${e}`);
    const order = mine.shuffle(Array.from({ length: hidden }, (_, i) => i));
    const units = order.slice(0, count);
    const rows = (from: number) =>
      units.flatMap((u) =>
        Array.from({ length: width }, (_, i) => ((e * 2 + from) * hidden + u) * width + i)
      );
    const columns = units.flatMap((u) =>
      Array.from({ length: width }, (_, i) => (e * width + i) * hidden + u)
    );
    for (const [values, places] of [[wide, rows(0)], [wide, rows(1)], [narrow, columns]] as const) {
      const [mean, std] = moments(places.map((at) => values[at]));
      const drawn = mine.normals(places.length, mean, std);
      places.forEach((at, i) => values[at] = drawn[i]);
    }
  }
  setValues(gateUp, wide);
  setValues(down, narrow);
}
