import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { emojiVqa, type EmojiVqaOptions } from "../../../src/data/emoji_vqa/build.ts";
import {
  decodeCache,
  defaultCacheDir,
  encodeCache,
  readCache,
  writeCache,
} from "../../../src/data/emoji_vqa/cache.ts";

const content = { metadata: { a: [1, "é"] }, pixels: Uint8Array.of(1, 2, 3, 255) };

Deno.test("decodeCache() gives back what encodeCache() was given", async () => {
  assertEquals(await decodeCache(await encodeCache(content)), content);
  const nothing = { metadata: null, pixels: new Uint8Array(0) };
  assertEquals(await decodeCache(await encodeCache(nothing)), nothing);
});

Deno.test("decodeCache() throws SyntaxError when any byte of the file is changed", async () => {
  const file = await encodeCache(content);
  for (let at = 0; at < file.length; at++) {
    const damaged = file.slice();
    damaged[at] ^= 1;
    await assertRejects(() => decodeCache(damaged), SyntaxError);
  }
});

Deno.test("decodeCache() throws SyntaxError when the file is cut short, longer or foreign", async () => {
  const file = await encodeCache(content);
  for (const length of [0, 10, 55, 56, file.length - 1]) {
    await assertRejects(() => decodeCache(file.slice(0, length)), SyntaxError);
  }
  const longer = new Uint8Array(file.length + 1);
  longer.set(file);
  await assertRejects(() => decodeCache(longer), SyntaxError, "its header says");
  const foreign = new TextEncoder().encode("PNG".repeat(40));
  await assertRejects(() => decodeCache(foreign), SyntaxError, "does not begin with");
});

Deno.test("writeCache() leaves no temporary file when it succeeds or fails", async () => {
  const dir = await Deno.makeTempDir();
  try {
    await writeCache(`${dir}/a.bin`, content);
    assertEquals(await readCache(`${dir}/a.bin`), content);
    assertEquals(await readCache(`${dir}/b.bin`), undefined);
    await Deno.mkdir(`${dir}/folder`);
    await Deno.writeTextFile(`${dir}/folder/x`, "");
    await assertRejects(() => writeCache(`${dir}/folder`, content));
    assertEquals([...Deno.readDirSync(dir)].map(({ name }) => name).sort(), ["a.bin", "folder"]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("defaultCacheDir() prefers MOIIE_CACHE, then the user's cache folder", () => {
  const names = ["MOIIE_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA", "HOME", "USERPROFILE"];
  const before = names.map((name) => [name, Deno.env.get(name)] as const);
  const dirWith = (environment: Record<string, string>) => {
    for (const name of names) Deno.env.delete(name);
    for (const [name, value] of Object.entries(environment)) Deno.env.set(name, value);
    return defaultCacheDir();
  };
  try {
    assertEquals(dirWith({ MOIIE_CACHE: "/a", XDG_CACHE_HOME: "/b" }), "/a");
    assertEquals(dirWith({ XDG_CACHE_HOME: "/b", HOME: "/c" }), "/b/moiie-lab");
    assertEquals(dirWith({ HOME: "/c" }), "/c/.cache/moiie-lab");
    assertEquals(dirWith({}), undefined);
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) Deno.env.delete(name);
      else Deno.env.set(name, value);
    }
  }
});

Deno.test("emojiVqa() rebuilds with a warning when its cache file cannot be trusted", async () => {
  const cacheDir = await Deno.makeTempDir(), warnings: string[] = [];
  let progress = 0;
  const options: EmojiVqaOptions = {
    cacheDir: `${cacheDir}/new/folder`,
    ...{ train: 5, val: 2, comp: 2, style: 2, text: 3 },
    onWarning: (message) => warnings.push(message),
    onProgress: () => progress++,
  };
  const generated = () => {
    const made = progress > 0;
    progress = 0;
    return made;
  };
  try {
    const first = await emojiVqa(options);
    assert(generated(), "made at first");
    const dir = options.cacheDir!, [{ name }, ...others] = [...Deno.readDirSync(dir)];
    assertEquals(others, []);
    const path = `${dir}/${name}`, good = await Deno.readFile(path);

    const second = await emojiVqa(options);
    assert(!generated(), "read the second time");
    assertEquals(warnings, []);
    for (const split of ["train", "val", "comp", "style", "text"] as const) {
      assertEquals(second.sizes[split], first.sizes[split]);
      for (let i = 0; i < first.sizes[split]; i++) {
        assertEquals(second.sample(split, i), first.sample(split, i));
      }
    }
    assertEquals(second.tokenizer.tokens, first.tokenizer.tokens);
    assertEquals(second.facts, first.facts);

    const flipped = good.slice();
    flipped[flipped.length - 7] ^= 64;
    const decoded = await decodeCache(good.slice());
    const metadata = decoded.metadata as Record<string, unknown>;
    const otherRecipe = await encodeCache({ ...decoded, metadata: { ...metadata, recipe: "x" } });
    const fewerPixels = await encodeCache({ ...decoded, pixels: decoded.pixels.slice(3) });
    const damaged: [Uint8Array, string][] = [
      [good.slice(0, 1000), "its header says"],
      [flipped, "SHA-256"],
      [new TextEncoder().encode("something else"), "fewer than a header"],
      [otherRecipe, "another recipe"],
      [fewerPixels, "bytes of pixels"],
    ];
    for (const [bytes, reason] of damaged) {
      await Deno.writeFile(path, bytes);
      const rebuilt = await emojiVqa(options);
      assert(generated(), reason);
      assertEquals(rebuilt.sample("train", 4), first.sample("train", 4));
      assertEquals(warnings.length, 1);
      assertStringIncludes(warnings[0], path);
      assertStringIncludes(warnings.pop()!, reason);
      assertEquals(await Deno.readFile(path), good);
    }
  } finally {
    await Deno.remove(cacheDir, { recursive: true });
  }
});

Deno.test("emojiVqa() works with a warning when the cache folder cannot be written", async () => {
  const file = await Deno.makeTempFile(), warnings: string[] = [];
  try {
    const data = await emojiVqa({
      cacheDir: `${file}/not-a-folder`,
      ...{ train: 1, val: 0, comp: 0, style: 0, text: 0 },
      onWarning: (message) => warnings.push(message),
    });
    assertEquals(data.sizes.train, 1);
    assertStringIncludes(warnings.join(), "could not be kept");
  } finally {
    await Deno.remove(file);
  }
});
