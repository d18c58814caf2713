/**
 * Pictures as published vision encoders expect them: resized, cropped, rescaled and normalized as a
 * checkpoint's `preprocessor_config.json` says.
 *
 * Follows `CLIPImageProcessor`, `SiglipImageProcessor` and `image_transforms.py` of
 * https://github.com/huggingface/transformers (v4.45), the ones that resize with Pillow.
 *
 * @module
 */
import { checkImage, isSide, resizeImage, type RgbImage } from "./resize.ts";

/** Height and width in pixels. */
export interface ImageSize {
  /** Rows. */
  readonly height: number;
  /** Pixels per row. */
  readonly width: number;
}

/**
 * The fields of a `preprocessor_config.json`, under the names they have in the file. A step that is
 * not mentioned is done, as in the published processors.
 */
export interface PreprocessorConfig {
  /** Whose steps: `CLIPImageProcessor` or `SiglipImageProcessor`; the latter never crops. */
  readonly image_processor_type: string;
  /** Whether to resize. Default true. */
  readonly do_resize?: boolean;
  /** Size to resize to: of the shorter side, keeping the aspect (CLIP only), or of both sides. */
  readonly size?: ImageSize | { readonly shortest_edge: number };
  /** Filter by its number in Pillow: 2 is bilinear, 3 bicubic. Default 3. */
  readonly resample?: number;
  /** Whether to cut out the centre (CLIP only). Default true. */
  readonly do_center_crop?: boolean;
  /** Size of the centre. Where the picture is smaller, it is padded with black. */
  readonly crop_size?: ImageSize;
  /** Whether to multiply the bytes by `rescale_factor`. Default true. */
  readonly do_rescale?: boolean;
  /** Factor on the bytes. Default 1/255. */
  readonly rescale_factor?: number;
  /** Whether to subtract `image_mean` and divide by `image_std`. Default true. */
  readonly do_normalize?: boolean;
  /** Subtracted from red, green and blue, after the rescaling. */
  readonly image_mean?: readonly number[];
  /** Divisors of red, green and blue. */
  readonly image_std?: readonly number[];
  /** Has no effect: pictures are RGB here. */
  readonly do_convert_rgb?: boolean | null;
}

/** A picture as an encoder's input. */
export interface ProcessedImage {
  /** Channels, rows, columns. */
  readonly shape: [3, number, number];
  /** Values in the order of the shape. */
  readonly data: Float32Array<ArrayBuffer>;
}

/** What the processors differ in. */
const PROCESSORS: ReadonlyMap<string, { readonly clip: boolean }> = new Map([
  ["CLIPImageProcessor", { clip: true }],
  ["SiglipImageProcessor", { clip: false }],
]);

/** A value as it is shown in an error. */
const show = (value: unknown) => JSON.stringify(value) ?? String(value);

function isClip({ image_processor_type: name }: PreprocessorConfig): boolean {
  if (typeof name !== "string") {
    throw new TypeError(`image_processor_type should be a name, it is ${show(name)}`);
  }
  const processor = PROCESSORS.get(name);
  if (processor) return processor.clip;
  const known = [...PROCESSORS.keys()].join(" and ");
  throw new RangeError(`image_processor_type ${show(name)} is not built; there are ${known}`);
}

/** Whether a step is to be done. */
function isDone(
  config: PreprocessorConfig,
  step: "do_resize" | "do_center_crop" | "do_rescale" | "do_normalize",
): boolean {
  const { [step]: value = true } = config;
  if (typeof value === "boolean") return value;
  throw new TypeError(`${step} should be true or false, it is ${show(value)}`);
}

/** A side that a size has to have. */
function side(size: unknown, name: string, where: string): number {
  const value = (size as Record<string, unknown>)[name];
  if (typeof value !== "number") {
    throw new TypeError(`${where} should have a number ${name}, it is ${show(size)}`);
  }
  if (isSide(value)) return value;
  throw new RangeError(`${where}: ${name} should be a positive whole number, it is ${value}`);
}

/** A field with a size, which a step needs. */
function sizeField(config: PreprocessorConfig, name: "size" | "crop_size"): object {
  const value: unknown = config[name];
  if (typeof value === "object" && value !== null) return value;
  const step = name === "size" ? "do_resize" : "do_center_crop";
  throw new TypeError(`${step} needs ${name}, an object with the sides; it is ${show(value)}`);
}

/** Sizes after the resizing (`get_resize_output_image_size`). */
function resizedSize(image: RgbImage, config: PreprocessorConfig): ImageSize {
  const size = sizeField(config, "size");
  if (!("shortest_edge" in size) || !isClip(config)) {
    return { height: side(size, "height", "size"), width: side(size, "width", "size") };
  }
  const short = side(size, "shortest_edge", "size"), { width, height } = image;
  const long = Math.trunc((short * Math.max(width, height)) / Math.min(width, height));
  return width <= height ? { height: long, width: short } : { height: short, width: long };
}

/** The centre of a picture, with black around it where the picture is smaller (`center_crop`). */
function cropCentre(image: RgbImage, { height, width }: ImageSize): RgbImage {
  // Below zero where the picture is smaller: then the odd row or column of padding comes first.
  const top = Math.floor((image.height - height) / 2);
  const left = Math.floor((image.width - width) / 2);
  const data = new Uint8Array(3 * height * width);
  const first = Math.max(left, 0), last = Math.min(left + width, image.width);
  for (let y = Math.max(top, 0); y < Math.min(top + height, image.height); y++) {
    const row = image.data.subarray(3 * (y * image.width + first), 3 * (y * image.width + last));
    data.set(row, 3 * ((y - top) * width + first - left));
  }
  return { width, height, data };
}

/** Three numbers, which the normalization needs. */
function channels(config: PreprocessorConfig, name: "image_mean" | "image_std"): readonly number[] {
  const value: unknown = config[name];
  if (!Array.isArray(value) || !value.every((v) => Number.isFinite(v))) {
    throw new TypeError(`do_normalize needs ${name}, a list of numbers; it is ${show(value)}`);
  }
  if (value.length === 3 && !(name === "image_std" && value.includes(0))) return value;
  const what = name === "image_std" ? "three numbers other than 0" : "three numbers";
  throw new RangeError(`${name} should be ${what}, for RGB; it is ${show(value)}`);
}

/** What each byte becomes, for the three channels, rounded where the processors round to float32. */
function byteValues(config: PreprocessorConfig): Float32Array[] {
  const { rescale_factor: factor = 1 / 255 } = config;
  const rescale = isDone(config, "do_rescale"), normalize = isDone(config, "do_normalize");
  if (rescale && !Number.isFinite(factor)) {
    throw new TypeError(`rescale_factor should be a number, it is ${show(factor)}`);
  }
  const mean = normalize ? channels(config, "image_mean") : [0, 0, 0];
  const std = normalize ? channels(config, "image_std") : [1, 1, 1];
  const f32 = Math.fround;
  return mean.map((m, channel) =>
    Float32Array.from({ length: 256 }, (_, byte) => {
      const value = rescale ? f32(byte * factor) : byte;
      return f32(value - f32(m)) / f32(std[channel]);
    })
  );
}

/**
 * Makes an encoder's input of a picture: resizes it, cuts out the centre, rescales and normalizes
 * it, as far as the configuration asks for it.
 *
 * Equal to `CLIPImageProcessor` and `SiglipImageProcessor` of transformers v4.45 with Pillow. The
 * `Fast` processors resize with torchvision and differ by a grey level here and there.
 *
 * @param image the picture, RGB
 * @param config the contents of a `preprocessor_config.json`
 * @returns values `[3, height, width]`
 * @throws {RangeError} if the picture's data do not match its sides, or a value of the configuration
 * is out of range: an unknown processor or filter, a side that is not a positive whole number, other
 * than three channels.
 * @throws {TypeError} if a field that a step needs is missing or of another type.
 */
export function processImage(image: RgbImage, config: PreprocessorConfig): ProcessedImage {
  checkImage(image);
  const values = byteValues(config), clip = isClip(config);
  let picture = image;
  if (isDone(config, "do_resize")) {
    picture = resizeImage(picture, resizedSize(picture, config), config.resample ?? 3);
  }
  if (clip && isDone(config, "do_center_crop")) {
    const size = sizeField(config, "crop_size");
    const height = side(size, "height", "crop_size"), width = side(size, "width", "crop_size");
    picture = cropCentre(picture, { height, width });
  }
  const { height, width, data } = picture, pixels = height * width;
  const result = new Float32Array(3 * pixels);
  for (let channel = 0; channel < 3; channel++) {
    for (let i = 0; i < pixels; i++) {
      result[channel * pixels + i] = values[channel][data[3 * i + channel]];
    }
  }
  return { shape: [3, height, width], data: result };
}
