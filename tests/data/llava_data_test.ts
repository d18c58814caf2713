import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { assertStringIncludes, assertThrows } from "@std/assert";
import {
  BadRows,
  type ConversationTemplate,
  conversationTokens,
  encodePng,
  imagesFirst,
  llavaBatches,
  type LlavaBatchesOptions,
  type LlavaCursor,
  LlavaData,
  type LlavaTurn,
  padToSquare,
  processImage,
} from "../../src/data/mod.ts";

const SYSTEM = "A chat. ", END = "<|end|>";

/** The prompts of Bunny: names before turns, an end after answers. */
const bunny: ConversationTemplate = (turns) => [
  { text: SYSTEM, learned: false },
  ...turns.map(({ role, text }) =>
    role === "human"
      ? { text: `USER: ${text} ASSISTANT: `, learned: false }
      : { text: `${text}${END}`, learned: true }
  ),
];

/** Words with the blank before them, as in common tokenizers; a blank at the end stands alone. */
class Words {
  readonly texts: string[] = [];

  encode(text: string): number[] {
    return (text.match(/<\|\w+\|>|\s?[^\s<]+|\s|</g) ?? []).map((word) => {
      if (!this.texts.includes(word)) this.texts.push(word);
      return this.texts.indexOf(word);
    });
  }
}

const IMAGE = 999;

/** A row whose picture is red.png. */
const about = (id: string, ...said: string[]) => ({
  id,
  image: "red.png",
  conversations: said.map((value, i) => ({ from: i % 2 === 0 ? "human" : "gpt", value })),
});

const GOOD = about("good", "<image>\nWhat colour?", "Red.");

/** Runs a test with a folder of two pictures and a file of rows. */
async function withData(
  text: string | readonly unknown[],
  test: (data: LlavaData, folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const red = Uint8Array.from({ length: 2 * 4 * 3 }, (_, i) => i % 3 === 0 ? 255 : 0);
    const blue = Uint8Array.from({ length: 3 * 3 * 3 }, (_, i) => i % 3 === 2 ? 255 : 0);
    await Deno.mkdir(`${folder}/images/sub`, { recursive: true });
    await Deno.writeFile(`${folder}/images/red.png`, await encodePng(4, 2, red));
    await Deno.writeFile(`${folder}/images/sub/blue.png`, await encodePng(3, 3, blue));
    await Deno.writeTextFile(`${folder}/images/broken.png`, "no picture");
    await Deno.writeTextFile(`${folder}/secret.png`, "outside");
    const content = typeof text === "string" ? text : JSON.stringify(text);
    await Deno.writeTextFile(`${folder}/data.json`, content);
    await using data = await LlavaData.open(`${folder}/data.json`, {
      imageFolder: `${folder}/images`,
    });
    await test(data, folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("LlavaData reads conversations, several pictures and texts from lists and lines", async () => {
  const rows = [
    { ...about("two", "<image> or <image>?", "The first."), image: ["red.png", "sub/blue.png"] },
    { id: 7, conversations: [{ from: "user", value: "Hi" }, { from: "assistant", value: "Yes?" }] },
    about("long", "<image>\nWhat?", "Red.", "Sure?", "Yes."),
    { conversations: [{ from: "gpt", value: "I begin." }, ...about("", "Go", "Ok").conversations] },
  ];
  for (const text of [JSON.stringify(rows), rows.map((row) => JSON.stringify(row)).join("\n")]) {
    await withData(text, async (data, folder) => {
      assertEquals(data.length, 4);
      const read = [];
      for await (const { row } of data.rows()) read.push(row);
      assertEquals(read.map(({ id }) => id), ["two", "7", "long", "3"]);
      assertEquals(read[0].images, [
        `${folder}/images/red.png`,
        `${folder}/images/sub/blue.png`,
      ]);
      assertEquals(read[1].images, []);
      assertEquals(read[1].turns, [
        { role: "human", text: "Hi" },
        { role: "gpt", text: "Yes?" },
      ]);
      assertEquals(read[2].turns.length, 4);
      // What the model says unasked is dropped, as in LLaVA.
      assertEquals(read[3].turns[0], { role: "human", text: "Go" });
    });
  }
});

Deno.test("LlavaData reports each kind of bad row with its number and goes on", async () => {
  const rows = [
    JSON.stringify(GOOD),
    '{"id": "broken", "conversations": [}',
    JSON.stringify({ id: "none", conversations: [] }),
    JSON.stringify({ id: "unanswered", conversations: [{ from: "human", value: "Hello?" }] }),
    JSON.stringify({ id: "who", conversations: [{ from: "narrator", value: "Once" }] }),
    JSON.stringify(about("count", "<image><image> Same?", "No.")),
    JSON.stringify({ ...about("text", "<image> What?", "Red."), image: undefined }),
    JSON.stringify(about("said", "<image> Say it", "<image>")),
    JSON.stringify({ ...GOOD, id: "up", image: "../secret.png" }),
    JSON.stringify({ ...GOOD, id: "up2", image: "sub/../../secret.png" }),
    JSON.stringify({ ...GOOD, id: "up3", image: "sub\\..\\..\\secret.png" }),
    JSON.stringify({ ...GOOD, id: "root", image: "/etc/passwd" }),
    JSON.stringify({ ...GOOD, id: "web", image: "https://example.org/a.png" }),
    JSON.stringify({ ...GOOD, id: "gone", image: "green.png" }),
    JSON.stringify({ ...GOOD, id: "folder", image: "sub" }),
    JSON.stringify({ ...GOOD, id: "number", image: 5 }),
    JSON.stringify({
      id: "twice",
      conversations: [{ from: "human", value: "a" }, { from: "human", value: "b" }, {
        from: "gpt",
        value: "c",
      }],
    }),
    "null",
    JSON.stringify({ ...GOOD, id: "last" }),
  ];
  await withData(rows.join("\n"), async (data) => {
    const bad = new BadRows(), ids = [];
    for await (const { row } of data.rows({ bad })) ids.push(row.id);
    assertEquals(ids, ["good", "last"]);
    assertEquals(Object.fromEntries(bad.counts), {
      "broken JSON": 1,
      "empty conversation": 3,
      "unknown role": 1,
      "image count": 3,
      "path outside of the folder": 5,
      "missing picture": 3,
      "turns out of order": 1,
    });
    assertEquals(bad.count, 17);
    const text = bad.summary();
    assertStringIncludes(text, "17 bad rows skipped");
    assertStringIncludes(text, "row 5 (count): 2 x <image> for 1 pictures");
    assertStringIncludes(text, 'row 4 (who): "narrator" is neither human nor gpt');
    assertStringIncludes(text, "row 1: row 1 of");
    // Met again in the next pass, they count once.
    for await (const _ of data.rows({ bad })) { /* read only */ }
    assertEquals(bad.count, 17);
    await assertRejects(
      async () => {
        for await (const _ of data.rows({ bad: new BadRows(4) })) { /* read only */ }
      },
      RangeError,
      "more than 4 bad rows",
    );
  });
});

Deno.test("LlavaData.rows() shuffles by seed and goes on from any cursor", async () => {
  const all = Array.from({ length: 40 }, (_, i) => about(`${i}`, "<image> What?", "Red."));
  await withData([...all.slice(0, 20), { id: "bad" }, ...all.slice(20)], async (data) => {
    const ids = async (seed?: number, cursor?: LlavaCursor, epochs = 1) => {
      const read: string[] = [], cursors: LlavaCursor[] = [];
      for await (const { row, next } of data.rows({ seed, cursor, epochs })) {
        read.push(row.id);
        cursors.push(next);
      }
      return { read, cursors };
    };
    assertEquals((await ids()).read, all.map(({ id }) => id));
    const { read, cursors } = await ids(5, undefined, 2);
    assertEquals(read.length, 80);
    for (const pass of [read.slice(0, 40), read.slice(40)]) {
      assertEquals([...pass].sort((a, b) => +a - +b), all.map(({ id }) => id));
    }
    assertNotEquals(read.slice(0, 40), read.slice(40));
    assertEquals((await ids(5, undefined, 2)).read, read);
    assertNotEquals((await ids(6, undefined, 2)).read, read);
    for (const at of [0, 17, 39, 40, 79]) {
      const resumed = await ids(5, JSON.parse(JSON.stringify(cursors[at])), 2);
      assertEquals(resumed.read, read.slice(at + 1));
    }
    await assertRejects(() => ids(5, { epoch: 0, position: 42 }), RangeError, "other data");
    await assertRejects(() => ids(5, { epoch: -1, position: 0 }), RangeError, "epoch");
  });
});

const turnsOf = (...texts: string[]): LlavaTurn[] =>
  texts.map((text, i) => ({ role: i % 2 === 0 ? "human" : "gpt", text }));

Deno.test("imagesFirst() moves a lone picture to the front of its turn", () => {
  const moved = (text: string) => imagesFirst(turnsOf(text))[0].text;
  assertEquals(moved("What is it? <image>"), "<image>\nWhat is it?");
  assertEquals(moved("<image>"), "<image>");
  assertEquals(moved("<image> or <image>?"), "<image> or <image>?");
  assertEquals(moved("No picture"), "No picture");
});

Deno.test("conversationTokens() learns answers and their ends, with blanks that melt into them", () => {
  const tokenizer = new Words();
  const options = { tokenizer, template: bunny, imageToken: IMAGE, bos: 777 };
  const turns = turnsOf("<image>\nWhat colour?", "Bright red.", "Sure?", "Yes.");
  const { tokens, labels } = conversationTokens(turns, options);
  const texts = tokens.map((id) => tokenizer.texts[id] ?? `#${id}`);
  const text = texts.slice(1).join("").replace("#999", "<image>");
  assertEquals(
    text,
    "A chat. USER: <image>\nWhat colour? ASSISTANT: Bright red.<|end|>USER: Sure? ASSISTANT: " +
      "Yes.<|end|>",
  );
  assertEquals([texts[0], labels[0]], ["#777", -100]);
  assertEquals(texts.filter((_, i) => labels[i] !== -100), [
    " Bright",
    " red.",
    "<|end|>",
    " Yes.",
    "<|end|>",
  ]);
  for (const [i, label] of labels.entries()) if (label !== -100) assertEquals(label, tokens[i]);
  assertEquals(tokens.filter((id) => id === IMAGE).length, 1);
});

Deno.test("conversationTokens() follows other templates: a caption alone is learned", () => {
  const tokenizer = new Words();
  const plain: ConversationTemplate = (turns) => [
    { text: "<image>", learned: false },
    { text: `${turns[1].text}\n`, learned: true },
  ];
  const { tokens, labels } = conversationTokens(turnsOf("<image>", "a red wall"), {
    tokenizer,
    template: plain,
    imageToken: IMAGE,
  });
  assertEquals(tokens[0], IMAGE);
  assertEquals(labels.map((label) => tokenizer.texts[label] ?? ""), [
    "",
    "a",
    " red",
    " wall",
    "\n",
  ]);
});

Deno.test("padToSquare() puts a picture in the middle of the mean colour", () => {
  const wide = { width: 3, height: 1, data: Uint8Array.from([1, 1, 1, 2, 2, 2, 3, 3, 3]) };
  const red = (data: Uint8Array | Uint8ClampedArray) => [...data].filter((_, i) => i % 3 === 0);
  const square = padToSquare(wide, [9, 8, 7]);
  assertEquals([square.width, square.height], [3, 3]);
  assertEquals(red(square.data), [9, 9, 9, 1, 2, 3, 9, 9, 9]);
  assertEquals([...square.data.slice(0, 3)], [9, 8, 7]);
  const tall = padToSquare({ ...wide, width: 1, height: 3 }, [9, 8, 7]);
  assertEquals(red(tall.data), [9, 1, 9, 9, 2, 9, 9, 3, 9]);
  // An odd bar is wider below and on the right.
  const even = padToSquare({ width: 2, height: 1, data: wide.data.slice(0, 6) }, [0, 0, 0]);
  assertEquals(red(even.data), [1, 2, 0, 0]);
});

const SIGLIP = {
  image_processor_type: "SiglipImageProcessor",
  size: { height: 2, width: 2 },
  image_mean: [0.5, 0.5, 0.5],
  image_std: [0.5, 0.5, 0.5],
};

const batchOptions = (change: Partial<LlavaBatchesOptions> = {}): LlavaBatchesOptions => ({
  tokenizer: new Words(),
  template: bunny,
  imageToken: IMAGE,
  config: SIGLIP,
  batchSize: 3,
  features: 4,
  ...change,
});

/** Conversations of all lengths, every third without a picture. */
const MIXED = Array.from({ length: 30 }, (_, i) => {
  const answer = "word ".repeat(1 + (i * 7) % 11).trim();
  if (i % 3 === 0) {
    return { id: `${i}`, conversations: about("", "Talk", answer).conversations };
  }
  return about(`${i}`, "<image>\nWhat?", answer);
});

Deno.test("llavaBatches() groups rows by pictures and length, and resumes from every batch", async () => {
  await withData(MIXED, async (data) => {
    const options = batchOptions({ seed: 3, window: 4, epochs: 2 });
    const batches = await Array.fromAsync(llavaBatches(data, options));
    const ids = batches.map((batch) => batch.ids);
    for (const pass of [0, 1]) {
      // A pass is 2 windows of 12 rows and one of 6; each gives 4 or 5 batches of up to 3 rows.
      const own = batches.filter((_, i) => (batches[i - 1]?.next.epoch ?? 0) === pass);
      const seen = own.flatMap((batch) => batch.ids).sort((a, b) => +a - +b);
      assertEquals(seen, MIXED.map(({ id }) => id));
    }
    for (const { rows, shape, pixels } of batches) {
      const pictures = rows.map(({ tokens }) => tokens.filter((id) => id === IMAGE).length);
      assert(new Set(pictures).size === 1, "rows with and without pictures are mixed");
      assertEquals(shape[0], pictures.reduce((sum, n) => sum + n, 0));
      assertEquals(pixels.length, shape[0] * 12);
      assert(rows.length <= 3);
    }
    const spread = (list: readonly (readonly string[])[]) =>
      list.reduce((sum, group) => {
        const lengths = group.map((id) => (1 + (Number(id) * 7) % 11));
        return sum + Math.max(...lengths) - Math.min(...lengths);
      }, 0);
    const unsorted = await Array.fromAsync(llavaBatches(data, { ...options, window: 1 }));
    assert(spread(ids) < spread(unsorted.map((batch) => batch.ids)), "windows should save padding");
    for (const [at, { next }] of batches.entries()) {
      const cursor = JSON.parse(JSON.stringify(next));
      const rest = await Array.fromAsync(llavaBatches(data, { ...options, cursor }));
      assertEquals(rest.map((batch) => batch.ids), ids.slice(at + 1));
    }
  });
});

Deno.test("llavaBatches() gives pictures as the processor does, padded to a square first", async () => {
  await withData([GOOD], async (data) => {
    const image = {
      width: 4,
      height: 2,
      data: Uint8Array.from({ length: 24 }, (_, i) => i % 3 === 0 ? 255 : 0),
    };
    const [pad] = await Array.fromAsync(llavaBatches(data, batchOptions()));
    assertEquals(pad.shape, [1, 3, 2, 2]);
    assertEquals(pad.pixels, processImage(padToSquare(image, [127, 127, 127]), SIGLIP).data);
    const [square] = await Array.fromAsync(llavaBatches(data, batchOptions({ aspect: "square" })));
    assertEquals(square.pixels, processImage(image, SIGLIP).data);
    assertNotEquals(pad.pixels, square.pixels);
  });
});

Deno.test("llavaBatches() skips what is too long or has a broken picture, and says so", async () => {
  const rows = [
    GOOD,
    { ...GOOD, id: "broken", image: "broken.png" },
    about("far", `<image>\n${"word ".repeat(30)}`, "Red."),
    about("cut", "<image>\nTalk", "word ".repeat(60).trim()),
  ];
  await withData(rows, async (data) => {
    const bad = new BadRows();
    const options = batchOptions({ bad, maxLength: 24, window: 1, batchSize: 4 });
    const [batch, ...more] = await Array.fromAsync(llavaBatches(data, options));
    assertEquals(more, []);
    assertEquals(batch.ids, ["good", "cut"]);
    assertEquals(Object.fromEntries(bad.counts), { "broken picture": 1, "too long": 1 });
    assertStringIncludes(bad.summary(), "the answer lies beyond 24 tokens");
    // 24 places: 21 tokens, one of them a picture of 4.
    assertEquals(batch.rows[1].tokens.length, 21);
    assertThrows(() => new BadRows(0).add(bad.first[0]), RangeError, "more than 0 bad rows");
    await assertRejects(
      () => Array.fromAsync(llavaBatches(data, batchOptions({ batchSize: 0 }))),
      RangeError,
      "batchSize should be a whole number from 1, it is 0",
    );
  });
});
