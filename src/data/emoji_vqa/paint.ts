/**
 * Scenes to pictures.
 *
 * @module
 */

import { type FontName, HELD_FONTS, loadFont } from "./fonts.ts";
import { type PackageName, readPackageFile, readPackageJson } from "./packages.ts";
import { escapeXml, type Font, loadRenderer, type Renderer } from "./renderer.ts";
import { BACKGROUNDS, type Item, type ItemOf, sampleRandom, type Scene } from "./scene.ts";
import { blit, fit, halve, recolour, type Sprite, trim } from "./sprite.ts";
import type { World } from "./world.ts";

/** Side of the canvas that scenes are drawn on, and of a quadrant. */
const CANVAS = 64, CELL = CANVAS / 2;
/** Highest print, so that it stays inside its row. */
const PRINT_HEIGHT = 22;
/** Drawings are rendered this much larger and then averaged down. */
const OVERSAMPLING = 3;
/** Side of a handwritten digit in its file. */
const DIGIT_SIDE = 28;
/** Sprites kept per cache before it starts afresh; bounds memory where texts never repeat. */
const CACHE_LIMIT = 8192;

/** An icon set as Iconify packs it. */
interface IconSet {
  icons: Record<string, Icon>;
  aliases?: Record<string, { parent: string }>;
  width?: number;
  height?: number;
}
interface Icon {
  body: string;
  width?: number;
  height?: number;
  left?: number;
  top?: number;
}

/** Emoji to the names of icons: code points in hexadecimal without the variation selector. */
type IconNames = Record<string, string>;

/** The hexadecimal code points of an emoji, as icon sets index them. */
function codePoints(emoji: string): string {
  return [...emoji].map((char) => char.codePointAt(0)!.toString(16)).filter((hex) => hex !== "fe0f")
    .join("-");
}

/** The two regional indicator letters that make a flag emoji. */
function flagEmoji(code: string): string {
  return String.fromCodePoint(...[...code].map((c) => 0x1f1e6 + c.charCodeAt(0) - 97));
}

/** Draws scenes; made by {@linkcode loadPainter}. */
export class Painter {
  #world: World;
  #renderer: Renderer;
  #sets: Record<string, IconSet>;
  #names: Record<string, IconNames>;
  #fonts: Record<string, Font>;
  #digits: { train: Uint8Array; t10k: Uint8Array };
  #icons = new Map<string, Sprite>();
  #texts = new Map<string, Sprite>();

  /** Used by {@linkcode loadPainter}. */
  constructor(
    world: World,
    parts: {
      renderer: Renderer;
      sets: Record<string, IconSet>;
      names: Record<string, IconNames>;
      fonts: Record<string, Font>;
      digits: { train: Uint8Array; t10k: Uint8Array };
    },
  ) {
    this.#world = world;
    this.#renderer = parts.renderer;
    this.#sets = parts.sets;
    this.#names = parts.names;
    this.#fonts = parts.fonts;
    this.#digits = parts.digits;
  }

  /**
   * Paints a scene: `size * size * 3` RGB bytes, row by row, with the scale's picture size.
   *
   * @throws Error when an icon set lacks a drawing
   */
  paint(scene: Scene): Uint8Array {
    const canvas = this.#background(scene);
    for (const item of scene.items) {
      const sprite = this.#sprite(item);
      const boxWidth = item.type === "print" ? CANVAS : CELL;
      const x = CELL * (item.cell & 1) +
        Math.floor(item.jitter.across * room(boxWidth, sprite.width));
      const y = CELL * (item.cell >> 1) + Math.floor(item.jitter.down * room(CELL, sprite.height));
      const gain = "gain" in item ? item.gain : 1;
      blit(canvas, CANVAS, sprite, { x, y, gain, flip: item.type === "object" && item.flip });
    }
    return this.#world.scale.imageSize === CANVAS ? canvas : halve(canvas, CANVAS);
  }

  /** Which emoji and flags of a world some icon set does not draw; none, unless a package changed. */
  missingDrawings(
    world: World,
    emojiStyles: readonly string[],
    flagStyles: readonly string[],
  ): string[] {
    const missing: string[] = [];
    const check = (what: string, style: string, name: () => string) => {
      try {
        if (this.#find(style, name()) === undefined) missing.push(`${what} in ${style}`);
      } catch {
        missing.push(`${what} in ${style}`);
      }
    };
    for (const { emoji } of world.concepts) {
      for (const one of emoji) {
        for (const style of emojiStyles) check(one, style, () => this.#emojiName(style, one));
      }
    }
    for (const { code } of world.countries) {
      for (const style of flagStyles) check(code, style, () => this.#flagName(style, code));
    }
    return missing;
  }

  /** The background colour with a noise of ±4, four pixels from each 32 random bits. */
  #background(scene: Scene): Uint8Array {
    const [r, g, b] = BACKGROUNDS[scene.background];
    const random = sampleRandom(this.#world, scene.split, scene.index, "noise");
    const canvas = new Uint8Array(3 * CANVAS * CANVAS);
    for (let bits = 0, pixel = 0; pixel < CANVAS * CANVAS; pixel++) {
      bits = pixel % 4 === 0 ? random.uint32() : bits >>> 8;
      const noise = (((bits & 255) * 9) >> 8) - 4;
      canvas[3 * pixel] = r + noise;
      canvas[3 * pixel + 1] = g + noise;
      canvas[3 * pixel + 2] = b + noise;
    }
    return canvas;
  }

  #sprite(item: Item): Sprite {
    switch (item.type) {
      case "object":
        return this.#icon(item.style, this.#emojiName(item.style, item.emoji), item.size);
      case "flag":
        return this.#icon(
          item.style,
          this.#flagName(item.style, this.#world.countries[item.country].code),
          item.size,
        );
      case "digit":
        return this.#digit(item);
      case "print":
        return recolour(fit(this.#text(item.font, item.text), item.width, PRINT_HEIGHT), item.ink);
    }
  }

  /** EmojiOne has no table of code points: its icons are named like those of the other sets. */
  #emojiName(style: string, emoji: string): string {
    const hex = codePoints(emoji);
    const tables = style in this.#names ? [this.#names[style]] : Object.values(this.#names);
    const names = tables.flatMap((table) => table[hex] ?? []);
    const name = names.find((name) => this.#find(style, name) !== undefined);
    if (name === undefined) throw new Error(`the icon set ${style} has no drawing of ${emoji}`);
    return name;
  }

  #flagName(style: string, code: string): string {
    if (style === "flag") return `${code}-4x3`;
    return style === "circle" ? code : this.#emojiName(style, flagEmoji(code));
  }

  #find(style: string, name: string): Icon | undefined {
    const { icons, aliases } = this.#sets[style];
    return icons[name] ?? icons[aliases?.[name]?.parent ?? ""];
  }

  #icon(style: string, name: string, size: number): Sprite {
    const key = `${style} ${name} ${size}`;
    return remember(this.#icons, key, () => {
      const icon = this.#find(style, name), set = this.#sets[style];
      if (!icon) throw new Error(`the icon set ${style} has no drawing named ${name}`);
      const width = icon.width ?? set.width ?? 16, height = icon.height ?? set.height ?? 16;
      const svg = `<svg xmlns="http://www.w3.org/2000/svg" ` +
        `xmlns:xlink="http://www.w3.org/1999/xlink" ` +
        `viewBox="${icon.left ?? 0} ${icon.top ?? 0} ${width} ${height}">${icon.body}</svg>`;
      const large = this.#renderer.render(svg, {
        [width >= height ? "width" : "height"]: OVERSAMPLING * size,
      });
      return fit(trim(large), size, size);
    });
  }

  /** Black text, large; ink and size come later, so that each text is rendered once. */
  #text(font: FontName, text: string): Sprite {
    return remember(this.#texts, `${font} ${text}`, () => {
      const { family, weight } = this.#fonts[font];
      const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${60 * text.length + 60}" ` +
        `height="120"><text x="20" y="80" font-family="${family}" font-weight="${weight}" ` +
        `font-size="64">${escapeXml(text)}</text></svg>`;
      return trim(this.#renderer.render(svg, { fonts: [this.#fonts[font]] }));
    });
  }

  #digit({ writers, index, ink, size }: ItemOf<"digit">): Sprite {
    const area = DIGIT_SIDE * DIGIT_SIDE;
    const strokes = this.#digits[writers].subarray(index * area, (index + 1) * area);
    const pixels = new Uint8Array(4 * area);
    for (let i = 0; i < area; i++) pixels[4 * i + 3] = strokes[i];
    const mask = trim({ width: DIGIT_SIDE, height: DIGIT_SIDE, pixels });
    return recolour(fit(mask, size, size), ink);
  }
}

/** How many positions a sprite has inside a box. */
function room(box: number, sprite: number): number {
  return Math.max(0, box - sprite) + 1;
}

function remember(cache: Map<string, Sprite>, key: string, make: () => Sprite): Sprite {
  let sprite = cache.get(key);
  if (!sprite) {
    if (cache.size >= CACHE_LIMIT) cache.clear();
    cache.set(key, sprite = make());
  }
  return sprite;
}

/** IDX files of pictures have a header of 16 bytes. */
async function loadDigits(name: "train" | "t10k"): Promise<Uint8Array> {
  return (await readPackageFile("mnist", `data/${name}-images-idx3-ubyte`)).subarray(16);
}

async function loadAll<T>(
  names: readonly PackageName[],
  load: (name: PackageName) => Promise<T>,
): Promise<Record<string, T>> {
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await load(name)] as const)),
  );
}

/**
 * Loads drawings, fonts and handwriting (about 130 MB of memory, a second or two).
 *
 * @throws Error when a package cannot be read
 */
export async function loadPainter(world: World): Promise<Painter> {
  const withNames = ["twemoji", "openmoji", "fluent", "noto"] as const;
  const renderer = await loadRenderer();
  const sets = await loadAll(
    [...withNames, "emojione", "flag", "circle"],
    (name) => readPackageJson<IconSet>(name, "icons.json"),
  );
  const names = await loadAll(withNames, (name) => readPackageJson<IconNames>(name, "chars.json"));
  const fonts: Record<string, Font> = {};
  for (const name of [...world.scale.fonts, ...HELD_FONTS]) fonts[name] = await loadFont(name);
  const digits = { train: await loadDigits("train"), t10k: await loadDigits("t10k") };
  return new Painter(world, { renderer, sets, names, fonts, digits });
}
