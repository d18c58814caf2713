import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { SAMPLE_RATE } from "../../src/data/mod.ts";
import { sound } from "../../src/notebook/mod.ts";
import { toConsoleText, toDisplay } from "../../src/notebook/bundle.ts";

const TONE = Float32Array.from({ length: 4000 }, (_, i) => Math.sin(i / 5));

Deno.test("sound() is a player with the sound inside, and its name in a terminal", async () => {
  const { data } = await toDisplay(sound(TONE, "three <b>"));
  const html = String(data["text/html"]);
  assertStringIncludes(html, "<figcaption>three &lt;b&gt;</figcaption>");
  const [, base64] = html.match(/<audio controls[^>]* src="data:audio\/wav;base64,([^"]+)">/)!;
  const wav = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const view = new DataView(wav.buffer);
  assertEquals([wav.length, view.getUint32(24, true)], [44 + 2 * 4000, SAMPLE_RATE]);
  assertEquals(view.getInt16(44 + 2 * 7, true), Math.round(32767 * TONE[7]));
  assertEquals(data["text/plain"], "Sound: three <b>, 0.5 s");
  assertEquals(await toConsoleText(sound(TONE, "a")), "Sound: a, 0.5 s");
  // Nothing that a viewer must not run or fetch.
  assert(!/<script|https?:|on\w+=/.test(html));
  assertMatch(String(sound(TONE, "a", 16000)), /0\.3 s$/);
  assertThrows(() => sound([], "nothing"), RangeError, `"nothing" has no samples`);
});
