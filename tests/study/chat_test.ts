import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { encodePng } from "../../src/data/mod.ts";
import {
  chatTemplate,
  generate,
  loadPublished,
  lvlmTextModel,
  renderChat,
  seeImages,
  textModel,
} from "../../src/models/mod.ts";
import { processImage, type RgbImage } from "../../src/data/mod.ts";
import { chat, type ChatOptions } from "../../src/study/mod.ts";
import { Random, tensor } from "../../src/tensor/mod.ts";
import { writeTalkingLlava } from "../models/chat_shared.ts";
import { inFolder } from "../models/checkpoint_shared.ts";
import { mixture, SLOTS, thimble, TOKENIZER } from "../models/shared.ts";
import { session } from "../nn/shared.ts";
import { moiie } from "../../src/moe/mod.ts";

/** A picture of random pixels. */
function picture(seed: number, width: number, height = width): RgbImage {
  const random = new Random(seed, "picture");
  return {
    width,
    height,
    data: Uint8Array.from({ length: 3 * width * height }, () => random.int(256)),
  };
}

const OPTIONS: ChatOptions = { maxTokens: 6, system: "Hi.", template: "vicuna" };

Deno.test("chat() answers as if each conversation were read from its beginning", async () => {
  await inFolder(async (folder) => {
    await writeTalkingLlava(folder);
    const loaded = await loadPublished(folder), model = textModel(loaded);
    using talk = await chat(loaded, OPTIONS);
    const image = picture(1, 14, 20);
    const pixels = processImage(image, loaded.processor!);
    const asked = [{ text: "What?", images: [image] }, { text: "Why?" }];
    for (const { text, images } of asked) {
      const turns = [...talk.turns, { role: "user", text, images: images?.length ?? 0 } as const];
      const [wanted] = await generate(model, [{
        text: await renderChat(chatTemplate("vicuna"), turns, "Hi."),
        images: [tensor(pixels.data, { shape: pixels.shape })],
      }], { maxTokens: 6, stop: ["</s>"] });
      assertEquals(await talk.ask(text, { images }), wanted.text.trim());
    }
    assertEquals(talk.turns.map(({ role, images = 0 }) => [role, images]), [
      ["user", 1],
      ["assistant", 0],
      ["user", 0],
      ["assistant", 0],
    ]);
    // What has been read is not read again.
    const before = session.gpu.counters.submits;
    await talk.ask("So?");
    assert(session.gpu.counters.submits - before < 40);
  });
});

Deno.test("chat() keeps an answer that was stopped, and forgets a question that was refused", async () => {
  await inFolder(async (folder) => {
    await writeTalkingLlava(folder);
    const loaded = await loadPublished(folder);
    using talk = await chat(loaded, { ...OPTIONS, maxTokens: 20, capacity: 120 });
    const controller = new AbortController();
    let said = "";
    for await (const piece of talk.say("One?", { signal: controller.signal })) {
      said += piece;
      controller.abort();
    }
    assertEquals(talk.turns.map(({ text }) => text), ["One?", said.trim()]);
    for await (const _ of talk.say("Two?")) break;
    assertEquals(talk.turns.length, 4);
    const { turns: [...before] } = talk;
    await assertRejects(() => talk.ask("x".repeat(200)), RangeError, "more than the 120");
    await assertRejects(() => talk.ask("?", { images: ["none.png"] }), Deno.errors.NotFound);
    assertEquals(talk.turns, before);
    const first = talk.say("Three?");
    await first.next();
    await assertRejects(() => talk.ask("Four?"), Error, "still answering");
    await first.return({ tokens: [], text: "", reason: "aborted" });
    talk.reset();
    assertEquals(talk.turns, []);
    assertEquals(
      await talk.ask("One?"),
      await (await chat(loaded, {
        ...OPTIONS,
        maxTokens: 20,
        capacity: 120,
      })).ask("One?"),
    );
  });
});

Deno.test("chat() takes files, chooses a template, and says what a checkpoint lacks", async () => {
  await inFolder(async (folder) => {
    await writeTalkingLlava(folder);
    const png = `${folder}/picture.png`;
    await Deno.writeFile(png, await encodePng(16, 16, picture(3, 16).data as Uint8Array));
    const loaded = await loadPublished(folder);
    {
      using talk = await chat(loaded, { system: "", maxTokens: 4 });
      assertEquals(talk.template, chatTemplate("vicuna")); // LLaVA's
      await talk.ask("?", { images: [png] });
      assertEquals(talk.turns[0].images, 1);
    }
    const refuses = async (part: string, options: ChatOptions, from = loaded) =>
      await assertRejects(() => chat(from, options), Error, part);
    await refuses('unknown chat template "vicunna"', { template: "vicunna" });
    await refuses("has no chat_template", { template: "own" });
    await refuses("capacity = 300 must be", { capacity: 300 });
    await refuses('unknown option "tempature"', { tempature: 1 } as ChatOptions);
    const { tokenizer: _tokenizer, ...wordless } = loaded;
    await refuses("no tokenizer.json", {}, wordless as typeof loaded);
    const { processor: _processor, ...blind } = loaded;
    using talk = await chat(blind as typeof loaded, { system: "" });
    await assertRejects(() => talk.ask("?", { images: [png] }), TypeError, "preprocessor_config");
  });
});

Deno.test("chat() pads pictures where a checkpoint of the authors' layout says so", async () => {
  await inFolder(async (folder) => {
    await writeTalkingLlava(folder);
    const loaded = await loadPublished(folder), image = picture(2, 14, 30);
    const { text_config: text } = loaded.config as { text_config: object };
    const saying = async (aspect: string, options: ChatOptions): Promise<string> => {
      const config = {
        ...loaded.config,
        source_model_type: "bunny-llama",
        text_config: { ...text, image_aspect_ratio: aspect },
      };
      using talk = await chat({ ...loaded, config }, { ...OPTIONS, maxTokens: 12, ...options });
      return await talk.ask("What?", { images: [image] });
    };
    const padded = await saying("square", { aspect: "pad" });
    assertEquals(await saying("pad", {}), padded);
    const plain = await saying("pad", { aspect: "square" });
    assertEquals(await saying("square", {}), plain);
    assertNotEquals(plain, padded);
  });
});

Deno.test("chat() asks the miniature about a picture, each question alone", async () => {
  const model = await mixture(thimble({ ffn: moiie() })), tokenizer = TOKENIZER;
  using talk = await chat({ model, tokenizer }, { maxTokens: 4 });
  await assertRejects(() => talk.ask("a b"), RangeError, "looks at a picture");
  const image = picture(5, 16), other = picture(6, 16);
  const first = await talk.ask("a b c", { images: [image] });
  const again = await talk.ask("a b c"); // the same picture
  assertEquals(again, first);
  // As its own evaluation prepares pictures: (byte / 255 - 0.5) / 0.5.
  const text = lvlmTextModel(model, tokenizer), shape = [3, 16, 16];
  const [r, g, b] = [0, 1, 2].map((c) =>
    Array.from({ length: 256 }, (_, i) => image.data[3 * i + c] / 127.5 - 1)
  );
  const pixels = tensor(Float32Array.from([...r, ...g, ...b]), { shape });
  assertEquals((await seeImages(text, [pixels]))[0].shape[0], SLOTS);
  const tokens = [tokenizer.image, ...tokenizer.encode("a b c")];
  const [wanted] = await generate(text, [{ tokens, images: [pixels] }], { maxTokens: 4 });
  assertEquals(first, wanted.text);
  assertNotEquals(await talk.ask("a b c", { images: [other] }), first);
});
