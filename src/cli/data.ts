/**
 * A look at emoji-VQA: `deno task data [SCALE] [SPLIT]`, by default `tiny train`. Makes the data set
 * if need be, says how large it is and what blind guessing reaches, and draws the first samples of a
 * split with their captions, questions and answers to `runs/emoji_vqa_SCALE_SPLIT.png`.
 *
 * @module
 */
import { type EmojiVqa, emojiVqa, type ScaleName, type Split } from "../data/emoji_vqa/mod.ts";

/** Sizes and blind floors, one line a split. */
function describe(data: EmojiVqa): string {
  const lines = Object.entries(data.sizes).map(([split, size]) => `${split}: ${size} samples`);
  for (const split of ["val", "comp", "style"] as const) {
    const { macro, families } = data.blindFloors(split);
    const parts = Object.entries({ macro, ...families })
      .map(([name, share]) => `${name} ${(100 * share).toFixed(1)} %`);
    lines.push(`blind guessing on ${split}: ${parts.join(", ")}`);
  }
  return lines.join("\n");
}

async function main(): Promise<void> {
  const [scale = "tiny", split = "train"] = Deno.args as [ScaleName?, Split?];
  const data = await emojiVqa({ scale });
  console.log(`emoji-VQA, scale ${scale}\n${describe(data)}`);
  const sheet = await data.contactSheet({ split, captions: true });
  const folder = new URL("../../runs/", import.meta.url);
  await Deno.mkdir(folder, { recursive: true });
  const name = `emoji_vqa_${scale}_${split}.png`;
  await Deno.writeFile(new URL(`${name}.part`, folder), sheet);
  await Deno.rename(new URL(`${name}.part`, folder), new URL(name, folder));
  console.log(`drawn: runs/${name}`);
}

if (import.meta.main) await main();
