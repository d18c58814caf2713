import { assertEquals, assertThrows } from "@std/assert";
import {
  blit,
  fit,
  halve,
  recolour,
  resize,
  type Sprite,
  trim,
} from "../../../src/data/emoji_vqa/sprite.ts";

const dot = (width: number, height: number, x: number, y: number): Sprite => {
  const pixels = new Uint8Array(4 * width * height);
  pixels.set([10, 20, 30, 255], 4 * (y * width + x));
  return { width, height, pixels };
};

Deno.test("trim() leaves the visible part and refuses an empty sprite", () => {
  assertEquals(trim(dot(5, 4, 3, 1)), dot(1, 1, 0, 0));
  assertThrows(() => trim({ width: 2, height: 2, pixels: new Uint8Array(16) }), RangeError, "2x2");
});

Deno.test("resize() averages blocks when it shrinks and repeats when it enlarges", () => {
  const sprite: Sprite = {
    width: 2,
    height: 1,
    pixels: Uint8Array.of(0, 0, 0, 0, 100, 200, 50, 255),
  };
  assertEquals([...resize(sprite, 1, 1).pixels], [50, 100, 25, 128]);
  assertEquals([...resize(sprite, 4, 1).pixels].filter((_, i) => i % 4 === 3), [0, 0, 255, 255]);
});

Deno.test("fit() keeps the proportions when the box is of another shape", () => {
  const sprite = { width: 40, height: 10, pixels: new Uint8Array(1600) };
  const sizes = [[20, 20], [80, 5], [1, 1]].map(([w, h]) => fit(sprite, w, h));
  assertEquals(sizes.map(({ width, height }) => [width, height]), [[20, 5], [20, 5], [1, 1]]);
});

Deno.test("recolour() multiplies ink by opacity", () => {
  const sprite = { width: 1, height: 1, pixels: Uint8Array.of(9, 9, 9, 128) };
  assertEquals([...recolour(sprite, [255, 100, 0]).pixels], [128, 50, 0, 128]);
});

Deno.test("blit() blends, flips, brightens and cuts off what sticks out", () => {
  const canvas = () => new Uint8Array(3 * 4).fill(100);
  const sprite: Sprite = {
    width: 2,
    height: 1,
    pixels: Uint8Array.of(200, 0, 0, 255, 0, 0, 0, 0),
  };
  const draw = (placement: Parameters<typeof blit>[3]) => {
    const out = canvas();
    blit(out, 2, sprite, placement);
    return [...out];
  };
  assertEquals(draw({ x: 0, y: 0 }), [200, 0, 0, ...new Array(9).fill(100)]);
  assertEquals(draw({ x: 0, y: 1, flip: true }), [...new Array(9).fill(100), 200, 0, 0]);
  assertEquals(draw({ x: 0, y: 0, gain: 2 })[0], 255);
  assertEquals(draw({ x: -1, y: 0 }), [...canvas()]);
  assertEquals(draw({ x: 1, y: -1 }), [...canvas()]);
  const half = { width: 1, height: 1, pixels: Uint8Array.of(0, 0, 0, 128) };
  const out = canvas();
  blit(out, 2, half, { x: 0, y: 0 });
  assertEquals(out[0], 50);
});

Deno.test("halve() averages blocks of four with rounding", () => {
  const picture = new Uint8Array(3 * 4);
  picture.set([1, 10, 255], 0);
  picture.set([2, 10, 255], 3);
  picture.set([0, 10, 255], 6);
  picture.set([0, 13, 255], 9);
  assertEquals([...halve(picture, 2)], [1, 11, 255]);
});
