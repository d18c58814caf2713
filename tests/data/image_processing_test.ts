import { assert, assertEquals, assertThrows } from "@std/assert";
import { runCase } from "../../src/cli/conformance.ts";
import { allCases } from "../../src/cli/conformance/cases.ts";
import { openFolder } from "../../src/cli/conformance/folder.ts";
import {
  type PreprocessorConfig,
  processImage,
  resizeImage,
  type RgbImage,
} from "../../src/data/mod.ts";

/** A grey picture of the given rows. */
function grey(...rows: number[][]): RgbImage {
  const data = Uint8Array.from(rows.flat().flatMap((v) => [v, v, v]));
  return { height: rows.length, width: rows[0].length, data };
}

/** The red bytes of a picture. */
const red = ({ data }: RgbImage) => Array.from(data).filter((_, i) => i % 3 === 0);

/** Cuts out the centre and does nothing else. */
const crop = (height: number, width: number): PreprocessorConfig => ({
  image_processor_type: "CLIPImageProcessor",
  do_resize: false,
  crop_size: { height, width },
  do_rescale: false,
  do_normalize: false,
});

/** A complete configuration, as `change` has it. */
const clip = (change: Record<string, unknown> = {}): PreprocessorConfig => ({
  image_processor_type: "CLIPImageProcessor",
  size: { shortest_edge: 2 },
  crop_size: { height: 2, width: 2 },
  image_mean: [0.5, 0.25, 0],
  image_std: [0.5, 0.25, 2],
  ...change,
});

Deno.test("processImage() equals the published processors on the reference pictures", async () => {
  const folder = openFolder(new URL("../../fixtures/torch", import.meta.url).pathname);
  const cases = allCases(folder).filter(({ group }) => group === "image_processing");
  assertEquals(cases.length, 7);
  for (const it of cases) {
    const { status, reason, comparisons } = await runCase(it);
    assertEquals([it.name, status, reason], [it.name, "passed", undefined]);
    assertEquals(comparisons.map(({ allowance }) => allowance), [false]);
  }
});

Deno.test("resizeImage() gives the bytes computed by hand along rows and columns", () => {
  // Bicubic weights 0.8672 and -0.0703, then 0.8672 and 0.2266, divided by their sums.
  const bicubic = [0, 53, 202, 255];
  assertEquals(red(resizeImage(grey([0, 255]), { height: 1, width: 4 }, 3)), bicubic);
  assertEquals(red(resizeImage(grey([0], [255]), { height: 4, width: 1 }, 3)), bicubic);
  assertEquals(red(resizeImage(grey([0, 100]), { height: 1, width: 4 }, 2)), [0, 25, 75, 100]);
});

Deno.test("resizeImage() averages when it shrinks, and rounds halves up", () => {
  const wide = grey([0, 0, 0, 0, 255, 0, 0, 0]);
  // The weights are 9/16, 11/16, 13/16, 15/16 and back, 6 together; the bright pixel has 15/16.
  assertEquals(red(resizeImage(wide, { height: 1, width: 1 }, 2)), [Math.round(255 * 15 / 96)]);
  assertEquals(red(resizeImage(grey([10, 11]), { height: 1, width: 1 }, 2)), [11]);
  assertEquals(red(resizeImage(grey([10, 11]), { height: 1, width: 1 }, 3)), [11]);
});

Deno.test("resizeImage() resizes the channels apart and keeps flat areas flat", () => {
  const data = Uint8Array.from({ length: 5 * 7 * 3 }, (_, i) => [3, 128, 254][i % 3]);
  const { data: result } = resizeImage({ width: 5, height: 7, data }, { height: 3, width: 11 }, 3);
  assertEquals(
    result,
    Uint8Array.from({ length: 3 * 11 * 3 }, (_, i) => [3, 128, 254][i % 3]),
  );
});

Deno.test("resizeImage() copies the picture when the size stays", () => {
  const image = grey([1, 250], [3, 77]);
  const copy = resizeImage(image, { height: 2, width: 2 }, 3);
  assertEquals(copy, image);
  assert(copy.data.buffer !== image.data.buffer);
});

Deno.test("processImage() keeps the aspect, rounding the long side down, for shortest_edge", () => {
  const config = clip({ size: { shortest_edge: 14 }, do_center_crop: false });
  const blank = (height: number, width: number) => ({
    height,
    width,
    data: new Uint8Array(3 * height * width),
  });
  assertEquals(processImage(blank(31, 45), config).shape, [3, 14, 20]); // 20.3
  assertEquals(processImage(blank(47, 31), config).shape, [3, 21, 14]); // 21.2
  assertEquals(processImage(blank(9, 9), config).shape, [3, 14, 14]);
});

Deno.test("processImage() cuts out the centre, nearer to the first row and column", () => {
  const image = grey([1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]);
  const { shape, data } = processImage(image, crop(2, 1));
  assertEquals(shape, [3, 2, 1]);
  assertEquals(Array.from(data), [2, 6, 2, 6, 2, 6]);
});

Deno.test("processImage() pads with black when the crop is larger, the odd line first", () => {
  const image = grey([1, 2, 3, 4], [5, 6, 7, 8]);
  const { shape, data } = processImage(image, crop(5, 2));
  assertEquals(shape, [3, 5, 2]);
  assertEquals(Array.from(data.subarray(0, 10)), [0, 0, 0, 0, 2, 3, 6, 7, 0, 0]);
  const both = processImage(grey([9]), crop(2, 4));
  assertEquals(Array.from(both.data.subarray(0, 8)), [0, 0, 0, 0, 0, 0, 9, 0]);
});

Deno.test("processImage() normalizes the padding as a black picture", () => {
  const { data } = processImage(grey([255]), clip({ do_resize: false }));
  assertEquals(Array.from(data), [-1, -1, -1, 1, -1, -1, -1, 3, 0, 0, 0, 0.5]);
});

Deno.test("processImage() rescales and normalizes apart from each other", () => {
  const image = { width: 1, height: 1, data: Uint8Array.of(255, 51, 0) };
  const values = (change: Record<string, unknown>) =>
    Array.from(
      processImage(image, clip({ do_resize: false, do_center_crop: false, ...change })).data,
    );
  assertEquals(values({ do_normalize: false }), [1, Math.fround(0.2), 0]);
  assertEquals(values({ do_rescale: false }), [509, 203, 0]);
  assertEquals(values({ do_normalize: false, rescale_factor: 2 }), [510, 102, 0]);
});

Deno.test("processImage() does every step of its processor when the file does not mention it", () => {
  const image = grey([1, 200, 30], [90, 5, 77], [0, 255, 13], [8, 8, 100]);
  const flags = { do_resize: true, do_center_crop: true, do_rescale: true, do_normalize: true };
  const full = clip({ ...flags, resample: 3, rescale_factor: 1 / 255, do_convert_rgb: true });
  assertEquals(processImage(image, clip()), processImage(image, full));
  const siglip = { image_processor_type: "SiglipImageProcessor", size: { height: 3, width: 5 } };
  assertEquals(processImage(image, clip(siglip)).shape, [3, 3, 5]); // no crop
});

Deno.test("processImage() refuses a picture whose data do not match its sides", () => {
  for (const [width, height, bytes] of [[2, 2, 11], [2, 2, 16], [0, 2, 0], [1.5, 2, 9]]) {
    const image = { width, height, data: new Uint8Array(bytes) };
    assertThrows(() => processImage(image, clip()), RangeError, `${bytes} bytes`);
    assertThrows(() => resizeImage(image, { height: 1, width: 1 }, 3), RangeError);
  }
  assertThrows(
    () => resizeImage(grey([1]), { height: 0, width: 1 }, 3),
    RangeError,
    "cannot resize to 1 x 0",
  );
});

Deno.test("processImage() refuses a configuration that lacks what a step needs", () => {
  const refused: [Record<string, unknown>, string][] = [
    [{ image_processor_type: undefined }, "image_processor_type should be a name"],
    [{ size: undefined }, "do_resize needs size"],
    [{ size: { height: 2 } }, "size should have a number width"],
    [{ size: 2 }, "do_resize needs size"],
    [{ crop_size: undefined }, "do_center_crop needs crop_size"],
    [{ crop_size: { width: 2 } }, "crop_size should have a number height"],
    [{ image_mean: undefined }, "do_normalize needs image_mean"],
    [{ image_std: ["1", "1", "1"] }, "do_normalize needs image_std"],
    [{ do_resize: "yes" }, "do_resize should be true or false"],
    [{ do_rescale: null }, "do_rescale should be true or false"],
    [{ rescale_factor: "1/255" }, "rescale_factor should be a number"],
    [
      { image_processor_type: "SiglipImageProcessor" },
      "size should have a number height",
    ],
  ];
  for (const [change, message] of refused) {
    assertThrows(() => processImage(grey([1, 2]), clip(change)), TypeError, message);
  }
});

Deno.test("processImage() refuses values that are out of range", () => {
  const refused: [Record<string, unknown>, string][] = [
    [{ image_processor_type: "ViTImageProcessor" }, `"ViTImageProcessor" is not built`],
    [{ resample: 1 }, "resample 1 is not built"],
    [{ size: { shortest_edge: 0 } }, "shortest_edge should be a positive whole number"],
    [{ crop_size: { height: 2.5, width: 2 } }, "height should be a positive whole number"],
    [{ image_mean: [0.5] }, "image_mean should be three numbers"],
    [{ image_std: [1, 0, 1] }, "image_std should be three numbers other than 0"],
  ];
  for (const [change, message] of refused) {
    assertThrows(() => processImage(grey([1, 2]), clip(change)), RangeError, message);
  }
});
