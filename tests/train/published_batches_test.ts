import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import {
  type ConversationTemplate,
  encodePng,
  type LlavaBatch,
  llavaBatches,
  LlavaData,
  WordTokenizer,
} from "../../src/data/mod.ts";
import { chatTemplate, conversationTemplate, loadPublished } from "../../src/models/mod.ts";
import { fitPublished, publishedBatches } from "../../src/train/mod.ts";
import { folderOf } from "../models/fixture_models.ts";
import "../nn/shared.ts";

const template: ConversationTemplate = conversationTemplate({
  ...chatTemplate("text"),
  user: "USER ",
  afterUser: " ",
  assistant: "ASSISTANT",
  beforeAnswer: " ",
  end: " END ",
});

const WORDS = "USER ASSISTANT END what colour which is first hello red blue yes".split(" ");

/** Pictures of 4 patches a side, none with the class token: 9 features in a 12 x 12 picture. */
const FEATURES = 9;

const PROCESSOR = {
  image_processor_type: "CLIPImageProcessor",
  size: { shortest_edge: 12 },
  crop_size: { height: 12, width: 12 },
  image_mean: [0.5, 0.5, 0.5],
  image_std: [0.5, 0.5, 0.5],
};

const said = (question: string, answer: string) => [
  { from: "human", value: question },
  { from: "gpt", value: answer },
];

const ROWS = [
  { image: "red.png", conversations: said("<image>\nwhat colour", "red") },
  { image: "blue.png", conversations: said("what colour <image>", "blue") },
  { conversations: said("hello", "yes") },
  {
    image: ["blue.png", "red.png"],
    conversations: said("<image> <image> which is first", "blue"),
  },
];

Deno.test("a published LLaVA model learns LLaVA-format data batch by batch", async () => {
  const folder = await Deno.makeTempDir();
  try {
    for (const [name, channel] of [["red", 0], ["blue", 2]] as const) {
      const bytes = Uint8Array.from({ length: 6 * 4 * 3 }, (_, i) => i % 3 === channel ? 255 : 0);
      await Deno.writeFile(`${folder}/${name}.png`, await encodePng(6, 4, bytes));
    }
    await Deno.writeTextFile(`${folder}/data.json`, JSON.stringify(ROWS));
    await using data = await LlavaData.open(`${folder}/data.json`, { imageFolder: folder });
    const published = await loadPublished(folderOf("models/llava"));
    const imageToken = Number(published.config.image_token_index);
    const batches = llavaBatches(data, {
      tokenizer: new WordTokenizer(WORDS),
      template,
      imageToken,
      config: PROCESSOR,
      features: FEATURES,
      batchSize: 2,
      window: 1,
      epochs: 3,
    });
    const { records } = await fitPublished(published, {
      steps: 6,
      batches: publishedBatches(batches, { imageToken, features: FEATURES, multiple: 32 }),
      learningRate: 0.01,
      schedule: () => 1,
      rate: (path) => path.startsWith("text.") ? 1 : 0,
    });
    const losses = records.map(({ loss }) => loss);
    assertEquals(losses.length, 6);
    // Untrained, every one of the 97 tokens is about as likely.
    assert(Math.abs(losses[0] - Math.log(97)) < 1.5, `first loss ${losses[0]}`);
    assertLess(losses[4], losses[0] - 1);
    assertLess(losses[5], losses[1] - 1);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("publishedBatches() pads to a multiple on either side and leaves out missing pictures", async () => {
  const batch = (tokens: number[], pictures: number): LlavaBatch => ({
    ids: ["a"],
    rows: [{ tokens, labels: tokens.map((token) => token === 9 ? -100 : token) }],
    shape: [pictures, 3, 1, 1],
    pixels: new Float32Array(3 * pictures),
    next: { epoch: 0, position: 1, batch: 0 },
  });
  const stream = async function* () {
    yield await Promise.resolve(batch([9, 5, 6], 1));
    yield batch([5, 6, 7, 8], 0);
  };
  const options = { imageToken: 9, features: 3, padToken: 1, multiple: 4 };
  const [first, second] = await Array.fromAsync(publishedBatches(stream(), options));
  assertEquals(first.shape, [1, 8]);
  assertEquals([...first.tokens], [9, 9, 9, 5, 6, 1, 1, 1]);
  assertEquals([...first.mask], [1, 1, 1, 1, 1, 0, 0, 0]);
  assertEquals([...first.labels], [-100, -100, -100, 5, 6, -100, -100, -100]);
  assertEquals([...first.positions], [0, 1, 2, 3, 4, 0, 0, 0]);
  assertEquals(first.pixels?.shape, [1, 3, 1, 1]);
  assertEquals([second.shape, second.pixels], [[1, 4], undefined]);
  const [left] = await Array.fromAsync(publishedBatches(stream(), { ...options, side: "left" }));
  assertEquals([...left.tokens], [1, 1, 1, 9, 9, 9, 5, 6]);
  assertEquals([...left.positions], [0, 0, 0, 0, 1, 2, 3, 4]);
  await assertRejects(
    () => Array.fromAsync(publishedBatches(stream(), { ...options, multiple: 0 })),
    RangeError,
    "multiple should be a whole number from 1, it is 0",
  );
});
