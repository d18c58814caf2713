/**
 * Picture files as an encoder's input.
 *
 * @module
 */

import { readFile } from "node:fs/promises";
import { decodeImage } from "./decode_image.ts";
import { type PreprocessorConfig, type ProcessedImage, processImage } from "./image_processing.ts";
import { checkImage, type RgbImage } from "./resize.ts";

/** A picture: the path of a PNG or JPEG file, its bytes, or the picture itself. */
export type PictureSource = string | Uint8Array | RgbImage;

/** How a picture becomes an encoder's input. */
export interface PictureInputOptions {
  /** The contents of a `preprocessor_config.json`. */
  config: PreprocessorConfig;
  /**
   * What happens to pictures that are not square: `square` resizes them as the processor does,
   * `pad` puts bars of the mean colour beside them first. Default `pad`, as in stage 2.
   */
  aspect?: "square" | "pad";
}

/**
 * Puts a picture in the middle of a square of one colour (`expand2square` of LLaVA,
 * `llava/mm_utils.py`).
 *
 * @param colour red, green and blue, from 0 to 255
 * @throws {RangeError} if the picture's data do not match its sides.
 */
export function padToSquare(image: RgbImage, colour: readonly number[]): RgbImage {
  checkImage(image);
  const { width, height } = image, side = Math.max(width, height);
  if (width === height) return image;
  const left = Math.floor((side - width) / 2), top = Math.floor((side - height) / 2);
  const data = new Uint8Array(3 * side * side);
  for (let i = 0; i < data.length; i++) data[i] = colour[i % 3];
  for (let y = 0; y < height; y++) {
    const row = image.data.subarray(3 * y * width, 3 * (y + 1) * width);
    data.set(row, 3 * ((y + top) * side + left));
  }
  return { width: side, height: side, data };
}

/**
 * Reads a picture.
 *
 * @throws {Deno.errors.NotFound} if there is no such file. @throws {SyntaxError} if it is broken.
 * @throws {TypeError} if it is neither PNG nor JPEG. @throws {RangeError} if it is too large.
 */
export async function readPicture(source: PictureSource): Promise<RgbImage> {
  if (source instanceof Uint8Array) return await decodeImage(source);
  if (typeof source !== "string") return source;
  const bytes = await readFile(source).catch((cause) => {
    if (cause.code !== "ENOENT") throw cause;
    throw new Deno.errors.NotFound(`there is no picture ${source}`, { cause });
  });
  return await decodeImage(bytes);
}

/**
 * An encoder's input made of a picture, equal to the published processors.
 *
 * @returns values `[3, height, width]`
 * @throws {TypeError | RangeError} as `processImage()`.
 */
export function pictureInput(
  image: RgbImage,
  { config, aspect = "pad" }: PictureInputOptions,
): ProcessedImage {
  // Truncated as in LLaVA, not rounded.
  const mean = (config.image_mean ?? [0.5, 0.5, 0.5]).map((value) => Math.trunc(value * 255));
  return processImage(aspect === "pad" ? padToSquare(image, mean) : image, config);
}
