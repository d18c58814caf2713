import { assertEquals, assertThrows } from "@std/assert";
import { multiscaleFeatures } from "../../src/models/mod.ts";
import { permute, reshape, type Tensor } from "../../src/tensor/mod.ts";
import { assertClose, read } from "../nn/shared.ts";
import { pictures } from "./published_shared.ts";

/** Every pixel is a token of three numbers. */
const pixelsAsTokens = (x: Tensor): Tensor =>
  permute(reshape(x, [x.shape[0], 3, x.shape[2] * x.shape[3]]), [0, 2, 1]);

Deno.test("multiscaleFeatures() joins a size with the averages of a larger one, pieces in place", async () => {
  const size = 12, split = 4, batch = 2, pixels = pictures(batch, size);
  const features = multiscaleFeatures(pixels, { sizes: [12, 12], split }, pixelsAsTokens);
  assertEquals(features.shape, [batch, size * size, 6]);
  const [got, want] = await read(features, pixelsAsTokens(pixels));
  // Nine pieces put together again are the picture.
  const doubled = Array.from({ length: want.length / 3 }, (_, i) => want.slice(3 * i, 3 * i + 3))
    .flatMap((token) => [...token, ...token]);
  assertClose(got, doubled, 1e-6);
});

Deno.test("multiscaleFeatures() shrinks larger sizes to the tokens of the first", async () => {
  const pixels = pictures(1, 8), [x] = await read(pixels);
  const features = multiscaleFeatures(pixels, { sizes: [4, 8], split: 4 }, pixelsAsTokens);
  assertEquals(features.shape, [1, 16, 6]);
  const [got] = await read(features),
    at = (c: number, y: number, x_: number) => x[c * 64 + y * 8 + x_];
  const want = Array.from({ length: 16 * 3 }, (_, i) => {
    const c = i % 3, y = 2 * Math.floor(i / 12), left = 2 * (Math.floor(i / 3) % 4);
    return (at(c, y, left) + at(c, y, left + 1) + at(c, y + 1, left) + at(c, y + 1, left + 1)) / 4;
  });
  const larger = Array.from({ length: 16 }, (_, t) => got.slice(6 * t + 3, 6 * t + 6)).flat();
  assertClose(larger, want, 1e-6);
});

Deno.test("multiscaleFeatures() throws RangeError when pieces do not fit", () => {
  const features = (sizes: number[], split: number) => () =>
    multiscaleFeatures(pictures(1, 9), { sizes, split }, pixelsAsTokens);
  assertThrows(features([], 4), RangeError, "at least one size");
  assertThrows(features([9], 6), RangeError, "2 pieces do not tile 9 pixels");
  assertThrows(
    () =>
      multiscaleFeatures(pictures(1, 4), { sizes: [4], split: 4 }, (x) => reshape(x, [1, 6, 8])),
    RangeError,
    "6 tokens of a piece are no square",
  );
});
