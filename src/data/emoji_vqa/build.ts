/**
 * Making the data set, or finding it on disk.
 *
 * @module
 */

import { defaultCacheDir, hashText, readCache, writeCache } from "./cache.ts";
import { EmojiVqa, type Metadata } from "./dataset.ts";
import { caption, describeCells } from "./describe.ts";
import { textFacts, vocabulary } from "./language.ts";
import { SOURCES } from "./packages.ts";
import { loadPainter } from "./paint.ts";
import { askAbout } from "./questions.ts";
import { type Scale, type ScaleName, scaleNamed, type Split, SPLITS } from "./scales.ts";
import { makeScene, type Scene } from "./scene.ts";
import { type Annotation, AnnotationTable, TextTable } from "./table.ts";
import { loadWorld, type World } from "./world.ts";

/** Raise it with every change that alters a sample: it keeps old cache files from being used. */
export const RECIPE_VERSION = 1;

/** How far the generation is. */
export interface BuildProgress {
  /** The split in the making. */
  split: Split;
  /** Samples made, of all splits together. */
  done: number;
  /** Samples to make. */
  total: number;
}

/** Options of {@linkcode emojiVqa}. */
export interface EmojiVqaOptions extends Partial<Record<Split, number>> {
  /** Which scale: "tiny", "small" or "full". Default "tiny". */
  scale?: ScaleName;
  /**
   * Folder of the cache file. Default: the environment variable `MOIIE_CACHE`, else `moiie-lab` in
   * the user's cache folder. `null`: no file is read or written.
   */
  cacheDir?: string | null;
  /** Called now and then while samples are made. */
  onProgress?: (progress: BuildProgress) => void;
  /** Told when a cache file cannot be used or written. Default: `console.warn`. */
  onWarning?: (message: string) => void;
}

/**
 * The emoji-VQA data set at a scale: generated on first use (seconds to a minute), then read from a
 * cache file. The options `train`, `val`, `comp`, `style` and `text` replace the scale's numbers of
 * samples; a sample does not depend on how many others there are.
 *
 * @throws RangeError when the scale is unknown or a number of samples is not a whole one
 * @throws Error when a package that the pictures are made of cannot be read
 *
 * @example
 * ```ts
 * import { emojiVqa } from "@moiie/lab/data";
 * // A look at a few samples; without sizes and cacheDir, the whole scale is made once and kept.
 * const few = { train: 100, val: 20, comp: 20, style: 20, text: 0, cacheDir: null };
 * const data = await emojiVqa({ scale: "tiny", ...few });
 * console.log(data.sample("train", 0).caption, data.blindFloors("val").macro);
 * ```
 */
export async function emojiVqa(options: EmojiVqaOptions = {}): Promise<EmojiVqa> {
  const { cacheDir = defaultCacheDir(), onWarning = (message) => console.warn(message) } = options;
  const scale = withSizes(scaleNamed(options.scale ?? "tiny"), options);
  const recipe = await hashText(JSON.stringify([RECIPE_VERSION, scale, SOURCES]));
  const path = cacheDir && `${cacheDir}/emoji-vqa-${scale.name}-${recipe.slice(0, 16)}.bin`;
  const stored = path ? await load(path, recipe, onWarning) : undefined;
  if (stored) return stored;
  const { metadata, pixels } = await generate(scale, recipe, options.onProgress);
  if (path) {
    try {
      await Deno.mkdir(cacheDir, { recursive: true });
      await writeCache(path, { metadata, pixels });
    } catch (error) {
      onWarning(`emoji-VQA could not be kept in ${path} and will be made again: ${error}`);
    }
  }
  return new EmojiVqa(metadata, pixels);
}

function withSizes(scale: Scale, options: EmojiVqaOptions): Scale {
  const sizes = { ...scale.sizes };
  for (const split of SPLITS) {
    const size = options[split] ?? sizes[split];
    if (!Number.isSafeInteger(size) || size < 0) {
      throw new RangeError(`the number of samples of "${split}" must be whole, got ${size}`);
    }
    sizes[split] = size;
  }
  return { ...scale, sizes };
}

/** The data set in a cache file, or nothing when there is none that can be trusted. */
async function load(
  path: string,
  recipe: string,
  onWarning: (message: string) => void,
): Promise<EmojiVqa | undefined> {
  try {
    const content = await readCache(path);
    if (!content) return undefined;
    const metadata = content.metadata as Metadata;
    if (metadata?.recipe !== recipe) throw new SyntaxError("it was made by another recipe");
    return new EmojiVqa(metadata, content.pixels);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    onWarning(`emoji-VQA is made again, for ${path} cannot be used: ${reason}`);
    return undefined;
  }
}

/** A scene in words: all of a sample but its pixels. */
export function annotate(world: World, scene: Scene): Annotation {
  return {
    kind: scene.kind,
    background: scene.background,
    caption: caption(world, scene),
    cells: describeCells(world, scene),
    questions: askAbout(world, scene),
  };
}

async function generate(
  scale: Scale,
  recipe: string,
  onProgress: (progress: BuildProgress) => void = () => {},
): Promise<{ metadata: Metadata; pixels: Uint8Array<ArrayBuffer> }> {
  const world = await loadWorld(scale);
  const painter = await loadPainter(world);
  const { sizes, imageSize } = scale, imageBytes = 3 * imageSize * imageSize;
  const total = SPLITS.reduce((sum, split) => sum + sizes[split], 0);
  const pixels = new Uint8Array((total - sizes.text) * imageBytes);
  const texts = new TextTable();
  const splits: Partial<Metadata["splits"]> = {};
  let done = 0, pixelsDone = 0;
  for (const split of SPLITS) {
    const annotations: Annotation[] = [];
    for (let index = 0; index < sizes[split]; index++) {
      const scene = makeScene(world, split, index);
      annotations.push(annotate(world, scene));
      if (split !== "text") {
        pixels.set(painter.paint(scene), pixelsDone);
        pixelsDone += imageBytes;
      }
      if (++done % 256 === 0) {
        onProgress({ split, done, total });
        // A notebook stays responsive: timers and messages get their turn.
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
    }
    splits[split] = AnnotationTable.pack(annotations, texts);
  }
  onProgress({ split: "text", done, total });
  const metadata: Metadata = {
    recipe,
    scale: scale.name,
    imageSize,
    words: vocabulary(world),
    facts: textFacts(world),
    texts: texts.texts,
    splits: splits as Metadata["splits"],
  };
  return { metadata, pixels };
}
