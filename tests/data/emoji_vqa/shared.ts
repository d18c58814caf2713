/** What the tests of emoji-VQA share; made once per test file. */
import { annotate, emojiVqa } from "../../../src/data/emoji_vqa/build.ts";
import type { EmojiVqa } from "../../../src/data/emoji_vqa/dataset.ts";
import { loadPainter, type Painter } from "../../../src/data/emoji_vqa/paint.ts";
import { scaleNamed, type Split } from "../../../src/data/emoji_vqa/scales.ts";
import { makeScene, type Scene } from "../../../src/data/emoji_vqa/scene.ts";
import { loadWorld, type World } from "../../../src/data/emoji_vqa/world.ts";

/** Few samples, never cached. */
export const FEW = {
  scale: "tiny",
  cacheDir: null,
  train: 200,
  val: 40,
  comp: 40,
  style: 40,
  text: 40,
} as const;

const once = <T>(make: () => T) => {
  let made: { value: T } | undefined;
  return (): T => (made ??= { value: make() }).value;
};

export const tinyWorld: () => Promise<World> = once(() => loadWorld(scaleNamed("tiny")));
export const smallWorld: () => Promise<World> = once(() => loadWorld(scaleNamed("small")));
export const tinyPainter: () => Promise<Painter> = once(async () => loadPainter(await tinyWorld()));
export const tinyData: () => Promise<EmojiVqa> = once(() => emojiVqa(FEW));

/** The first scenes of a split. */
export function scenes(world: World, split: Split, count: number): Scene[] {
  return Array.from({ length: count }, (_, index) => makeScene(world, split, index));
}

export { annotate };

/** SHA-256 in hexadecimal. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}
