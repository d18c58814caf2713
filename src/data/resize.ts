/**
 * Resizing pictures as Pillow does: antialiased, in 8 bit, to the last grey level.
 *
 * Follows `src/libImaging/Resample.c` of Pillow (https://github.com/python-pillow/Pillow), which is
 * what the published image processors call: a horizontal and a vertical pass, each rounded to bytes.
 *
 * @module
 */

/** A picture of three 8-bit channels. */
export interface RgbImage {
  /** Pixels per row. */
  readonly width: number;
  /** Rows. */
  readonly height: number;
  /** Red, green and blue of every pixel, row by row: `height * width * 3` bytes. */
  readonly data: Uint8Array | Uint8ClampedArray;
}

/** A resampling filter: the weight of a pixel by its distance from the centre. */
interface Filter {
  /** Distance from which the weight is zero. */
  readonly support: number;
  /** Weight at a distance of 0 or more. */
  readonly weight: (distance: number) => number;
}

/** The parameter of the cubic convolution kernel; OpenCV and PyTorch take -0.75 instead. */
const A = -0.5;

/** Filters by their numbers in Pillow (`PIL.Image.Resampling`). */
const FILTERS: ReadonlyMap<number, Filter> = new Map([
  [2, { support: 1, weight: (x) => x < 1 ? 1 - x : 0 }],
  [3, {
    support: 2,
    weight: (x) => {
      if (x < 1) return ((A + 2) * x - (A + 3)) * x * x + 1;
      if (x < 2) return (((x - 5) * x + 8) * x - 4) * A;
      return 0;
    },
  }],
]);

/** Fraction bits of a weight: of 32, 8 are the byte's and 2 are for sums below 0 or above 255. */
const PRECISION_BITS = 32 - 8 - 2;

/** The input pixels that make up one output pixel. */
interface Window {
  /** The first one. */
  readonly start: number;
  /** Their weights as fixed-point numbers of {@linkcode PRECISION_BITS} fraction bits. */
  readonly weights: Int32Array;
}

/** The windows of all output pixels along one axis (`precompute_coeffs`). */
function windows(inputs: number, outputs: number, filter: Filter): Window[] {
  const scale = inputs / outputs;
  // When it shrinks the picture the filter widens to cover all pixels: that is the antialiasing.
  const stretch = Math.max(scale, 1), support = filter.support * stretch;
  return Array.from({ length: outputs }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const start = Math.max(Math.trunc(centre - support + 0.5), 0);
    const end = Math.min(Math.trunc(centre + support + 0.5), inputs);
    // Products with the reciprocal, as in the source: a quotient can differ in the last bit.
    const weights = Array.from(
      { length: end - start },
      (_, j) => filter.weight(Math.abs((j + start - centre + 0.5) * (1 / stretch))),
    );
    const total = weights.reduce((sum, w) => sum + w, 0);
    return { start, weights: Int32Array.from(weights, (w) => fixedPoint(w / total)) };
  });
}

/** Rounds to the nearest fixed-point number, halves away from zero (`normalize_coeffs_8bpc`). */
function fixedPoint(weight: number): number {
  return Math.trunc((weight < 0 ? -0.5 : 0.5) + weight * (1 << PRECISION_BITS));
}

/** Sizes of a picture as an array `[outer, axis, inner]`, of which a pass resizes the axis. */
interface Layout {
  readonly outer: number;
  readonly axis: number;
  readonly inner: number;
}

/** One pass: the rounded and clipped weighted sums along one axis. */
function resizeAxis(
  data: RgbImage["data"],
  { outer, axis, inner }: Layout,
  outputs: number,
  filter: Filter,
): Uint8ClampedArray {
  const result = new Uint8ClampedArray(outer * outputs * inner); // clips what is stored
  windows(axis, outputs, filter).forEach(({ start, weights }, i) => {
    for (let o = 0; o < outer; o++) {
      const from = (o * axis + start) * inner, to = (o * outputs + i) * inner;
      for (let k = 0; k < inner; k++) {
        let sum = 1 << (PRECISION_BITS - 1); // a half, so that the shift rounds
        for (let j = 0; j < weights.length; j++) sum += data[from + j * inner + k] * weights[j];
        result[to + k] = sum >> PRECISION_BITS;
      }
    }
  });
  return result;
}

/** Whether it can be the side of a picture. */
export function isSide(side: unknown): side is number {
  return Number.isInteger(side) && (side as number) > 0;
}

/**
 * Checks that a picture has as many bytes as its sides need.
 *
 * @throws {RangeError} if a side is not a positive whole number or the data have another length.
 */
export function checkImage({ width, height, data }: RgbImage): void {
  if (!isSide(width) || !isSide(height) || data.length !== 3 * width * height) {
    throw new RangeError(
      `a picture of ${width} x ${height} pixels with ${data.length} bytes: the sides should be ` +
        `positive whole numbers and the data width * height * 3 bytes of RGB` +
        (isSide(width) && isSide(height) ? `, here ${3 * width * height}` : ""),
    );
  }
}

/**
 * Resizes a picture, equal byte for byte to Pillow's `Image.resize((width, height), resample)`:
 * first along the rows, then along the columns, leaving out a pass that would change no size.
 *
 * @param image the picture
 * @param size height and width of the result, pixels
 * @param resample the filter by its number in Pillow: 2 is bilinear, 3 bicubic
 * @returns a new picture
 * @throws {RangeError} if the picture's data do not match its sides, a side of the result is not a
 * positive whole number, or the filter is another one.
 */
export function resizeImage(
  image: RgbImage,
  { height, width }: { readonly height: number; readonly width: number },
  resample: number,
): RgbImage {
  checkImage(image);
  if (!isSide(height) || !isSide(width)) {
    throw new RangeError(
      `cannot resize to ${width} x ${height} pixels: both should be positive whole numbers`,
    );
  }
  const filter = FILTERS.get(resample);
  if (!filter) {
    throw new RangeError(
      `resample ${resample} is not built; there are 2 (bilinear) and 3 (bicubic), as in Pillow`,
    );
  }
  let data = image.data;
  if (width !== image.width) {
    data = resizeAxis(data, { outer: image.height, axis: image.width, inner: 3 }, width, filter);
  }
  if (height !== image.height) {
    data = resizeAxis(data, { outer: 1, axis: image.height, inner: 3 * width }, height, filter);
  }
  return { width, height, data: Uint8Array.from(data) };
}
