/** Pictures to count in: white squares on a coloured ground. */
import type { Random } from "../../tensor/random.ts";

/** Side of a picture in pixels. */
export const PICTURE_SIDE = 32;

/** Colours of the ground. */
export const GROUNDS: Readonly<Record<string, readonly [number, number, number]>> = {
  red: [200, 40, 40],
  green: [40, 150, 60],
  blue: [40, 70, 200],
  purple: [130, 50, 160],
  orange: [230, 130, 30],
  gray: [110, 110, 110],
};

/** Cells along a side: a square lies in one of them, not across. */
const CELLS = 4, CELL = PICTURE_SIDE / CELLS, SQUARE = 5;

/**
 * A picture of white squares, each in a cell of its own out of 4 × 4, anywhere within it.
 *
 * @returns RGB bytes, row by row
 * @throws {RangeError} if there are more squares than cells, or no such ground.
 */
export function countingPicture(count: number, ground: string, random: Random): Uint8Array {
  const color = Object.hasOwn(GROUNDS, ground) ? GROUNDS[ground] : undefined;
  if (!color || !(count >= 0 && count <= CELLS ** 2)) {
    throw new RangeError(`countingPicture: no picture of ${count} squares on "${ground}"`);
  }
  const picture = new Uint8Array(3 * PICTURE_SIDE ** 2);
  const tint = color.map((c) => Math.max(0, Math.min(255, Math.round(c + 12 * random.normal()))));
  for (let i = 0; i < PICTURE_SIDE ** 2; i++) picture.set(tint, 3 * i);
  const cells = random.shuffle(Array.from({ length: CELLS ** 2 }, (_, i) => i));
  for (const cell of cells.slice(0, count)) {
    const left = CELL * (cell % CELLS) + random.int(CELL - SQUARE + 1);
    const top = CELL * Math.floor(cell / CELLS) + random.int(CELL - SQUARE + 1);
    for (let y = top; y < top + SQUARE; y++) {
      picture.fill(245, 3 * (y * PICTURE_SIDE + left), 3 * (y * PICTURE_SIDE + left + SQUARE));
    }
  }
  return picture;
}
