/**
 * Sprites: small pictures with transparency, and how they get onto a canvas.
 *
 * @module
 */

/** A small picture: premultiplied RGBA bytes, row by row. */
export interface Sprite {
  /** Pixels per row. */
  width: number;
  /** Rows. */
  height: number;
  /** `width * height * 4` bytes; the colours are already multiplied by the opacity. */
  pixels: Uint8Array;
}

/** Opacity (of 255) up to which a pixel counts as empty border. */
const EMPTY = 8;

/**
 * Cuts the transparent border off, so that drawing styles with wide margins come out as large as
 * the others.
 *
 * @throws RangeError when the sprite is empty
 */
export function trim(sprite: Sprite): Sprite {
  let left = sprite.width, top = sprite.height, right = -1, bottom = -1;
  for (let y = 0; y < sprite.height; y++) {
    for (let x = 0; x < sprite.width; x++) {
      if (sprite.pixels[4 * (y * sprite.width + x) + 3] <= EMPTY) continue;
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y);
    }
  }
  if (right < 0) {
    throw new RangeError(`nothing to see in a sprite of ${sprite.width}x${sprite.height} pixels`);
  }
  const width = right - left + 1, height = bottom - top + 1;
  const pixels = new Uint8Array(4 * width * height);
  for (let y = 0; y < height; y++) {
    const start = 4 * ((top + y) * sprite.width + left);
    pixels.set(sprite.pixels.subarray(start, start + 4 * width), 4 * y * width);
  }
  return { width, height, pixels };
}

/** Scales by averaging the pixels under each new one (whole pixels, hence exact everywhere). */
export function resize(sprite: Sprite, width: number, height: number): Sprite {
  const pixels = new Uint8Array(4 * width * height);
  for (let y = 0; y < height; y++) {
    const top = Math.floor((y * sprite.height) / height);
    const bottom = Math.max(top + 1, Math.ceil(((y + 1) * sprite.height) / height));
    for (let x = 0; x < width; x++) {
      const left = Math.floor((x * sprite.width) / width);
      const right = Math.max(left + 1, Math.ceil(((x + 1) * sprite.width) / width));
      let r = 0, g = 0, b = 0, a = 0;
      for (let v = top; v < bottom; v++) {
        for (let at = 4 * (v * sprite.width + left), u = left; u < right; u++, at += 4) {
          r += sprite.pixels[at];
          g += sprite.pixels[at + 1];
          b += sprite.pixels[at + 2];
          a += sprite.pixels[at + 3];
        }
      }
      const count = (right - left) * (bottom - top), to = 4 * (y * width + x);
      pixels[to] = Math.round(r / count);
      pixels[to + 1] = Math.round(g / count);
      pixels[to + 2] = Math.round(b / count);
      pixels[to + 3] = Math.round(a / count);
    }
  }
  return { width, height, pixels };
}

/** Scales to the largest size that fits into a box, keeping the proportions. */
export function fit(sprite: Sprite, maxWidth: number, maxHeight: number): Sprite {
  const scale = Math.min(maxWidth / sprite.width, maxHeight / sprite.height);
  return resize(
    sprite,
    Math.max(1, Math.round(sprite.width * scale)),
    Math.max(1, Math.round(sprite.height * scale)),
  );
}

/** Replaces the colour by ink and keeps the opacity. */
export function recolour(sprite: Sprite, [r, g, b]: readonly [number, number, number]): Sprite {
  const { width, height } = sprite, pixels = new Uint8Array(sprite.pixels.length);
  for (let i = 0; i < pixels.length; i += 4) {
    const alpha = sprite.pixels[i + 3];
    pixels[i] = Math.round((r * alpha) / 255);
    pixels[i + 1] = Math.round((g * alpha) / 255);
    pixels[i + 2] = Math.round((b * alpha) / 255);
    pixels[i + 3] = alpha;
  }
  return { width, height, pixels };
}

/** How a sprite lands on the canvas. */
export interface Placement {
  /** Left edge, in pixels. */
  x: number;
  /** Upper edge, in pixels. */
  y: number;
  /** Mirror left and right. */
  flip?: boolean;
  /** Brightness factor. */
  gain?: number;
}

/** Draws a sprite over an RGB canvas of size x size pixels; what sticks out is cut off. */
export function blit(
  canvas: Uint8Array,
  size: number,
  sprite: Sprite,
  { x, y, flip = false, gain = 1 }: Placement,
): void {
  const { width, height, pixels } = sprite;
  const firstRow = Math.max(0, -y), lastRow = Math.min(height, size - y);
  const firstColumn = Math.max(0, -x), lastColumn = Math.min(width, size - x);
  for (let row = firstRow; row < lastRow; row++) {
    for (let column = firstColumn; column < lastColumn; column++) {
      const from = 4 * (row * width + (flip ? width - 1 - column : column));
      const alpha = pixels[from + 3];
      if (alpha === 0) continue;
      const to = 3 * ((y + row) * size + x + column), under = 1 - alpha / 255;
      for (let c = 0; c < 3; c++) {
        // Uint8Array wraps around, so the sum is clamped here; + 0.5 and truncation round it.
        const value = pixels[from + c] * gain + canvas[to + c] * under + 0.5;
        canvas[to + c] = value > 255 ? 255 : value;
      }
    }
  }
}

/** Halves an RGB picture of size x size pixels by averaging blocks of 2 x 2. */
export function halve(picture: Uint8Array, size: number): Uint8Array {
  const half = size / 2, out = new Uint8Array(3 * half * half), row = 3 * size;
  for (let y = 0; y < half; y++) {
    for (let x = 0; x < half; x++) {
      for (let c = 0; c < 3; c++) {
        const at = 2 * y * row + 6 * x + c;
        const sum = picture[at] + picture[at + 3] + picture[at + row] + picture[at + row + 3];
        out[3 * (y * half + x) + c] = (sum + 2) >> 2;
      }
    }
  }
  return out;
}
