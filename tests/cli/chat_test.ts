import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { chatOptions, HELP } from "../../src/cli/chat_options.ts";
import { encodePng } from "../../src/data/mod.ts";
import { writeTalkingLlava } from "../models/chat_shared.ts";
import { inFolder } from "../models/checkpoint_shared.ts";
import { offlineFlags } from "../offline/flags.ts";
import { runCommand } from "./command.ts";

Deno.test("chatOptions() reads checkpoint, pictures, question and how to answer", () => {
  const { checkpoint, images, prompt, options } = chatOptions([
    ..."model one.png two.jpg --max-tokens 5 --temperature 0.7 --top-p 0.9 --seed 3".split(" "),
    ...["--prompt", "What is it?", "--stop", "\n", "--template", "phi3", "--system", "", "--pad"],
  ])!;
  assertEquals([checkpoint, images, prompt], ["model", ["one.png", "two.jpg"], "What is it?"]);
  assertEquals(options, {
    maxTokens: 5,
    temperature: 0.7,
    topP: 0.9,
    seed: 3,
    stop: ["\n"],
    template: "phi3",
    system: "",
    aspect: "pad",
  });
  assertEquals(chatOptions(["model"]), {
    checkpoint: "model",
    images: [],
    prompt: undefined,
    options: {},
  });
  assertEquals(chatOptions(["--help"]), undefined);
});

Deno.test("chatOptions() throws when something is missing or makes no sense", () => {
  assertThrows(() => chatOptions([]), RangeError, "which checkpoint");
  assertThrows(() => chatOptions(["m", "--temperature", "hot"]), RangeError, "--temperature hot");
  assertThrows(() => chatOptions(["m", "--tokens", "3"]), TypeError, "--tokens");
});

Deno.test("chat answers one question about a picture, the same every time", async () => {
  await inFolder(async (folder) => {
    await writeTalkingLlava(folder);
    const pixels = Uint8Array.from({ length: 3 * 20 * 14 }, (_, i) => i % 251);
    await Deno.writeFile(`${folder}/picture.png`, await encodePng(20, 14, pixels));
    const args = [folder, `${folder}/picture.png`, "--prompt", "What?", "--system", ""];
    const ask = () => runCommand("chat", ...args, "--max-tokens", "5");
    const { code, stdout, stderr } = await ask();
    assertEquals([code, stdout.endsWith("\n")], [0, true], stderr);
    assert(stdout.trim().length >= 1 && stdout.trim().length <= 5, stdout);
    assertEquals((await ask()).stdout, stdout);
    const missing = await runCommand("chat", folder, "none.png", "--prompt", "What?");
    assertEquals([missing.code, missing.stdout], [1, ""]);
    assertStringIncludes(missing.stderr, "there is no picture none.png");
    await Deno.remove(`${folder}/tokenizer.json`);
    const wordless = await runCommand("chat", ...args);
    assertEquals(wordless.code, 1);
    assertStringIncludes(wordless.stderr, "no tokenizer.json");
  });
});

Deno.test({
  name: "chat goes on after Ctrl-C has stopped an answer, until its input ends",
  ignore: Deno.build.os === "windows",
  async fn() {
    await inFolder(async (folder) => {
      await writeTalkingLlava(folder);
      const program = new URL("../../src/cli/chat.ts", import.meta.url).href;
      const args = [folder, "--system", "", "--max-tokens", "200", "--stop", "never"];
      const child = new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--quiet", "--no-lock", ...await offlineFlags(), program, ...args],
        stdin: "piped",
        stdout: "piped",
        stderr: "null",
      }).spawn();
      const input = child.stdin.getWriter(),
        type = (text: string) => input.write(new TextEncoder().encode(text));
      await type("What?\n");
      let output = "", pressed = false, closed = false;
      for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
        output += text;
        if (!pressed) {
          pressed = true;
          child.kill("SIGINT");
        } else if (!closed && output.endsWith("\n")) { // no token holds a line's end
          closed = true;
          await type("/reset\n/nonsense\n");
          await input.close();
        }
      }
      assertEquals((await child.status).code, 0);
      assertStringIncludes(output, " …\n");
      assert(output.length < 200, "stopped before its end");
    });
  },
});

Deno.test("chat says what is wrong, without a stack trace, and fails when it cannot begin", async () => {
  const help = await runCommand("chat", "--help");
  assertEquals([help.code, help.stdout.trim()], [0, HELP]);
  const none = await runCommand("chat");
  assertEquals([none.code, none.stdout], [2, ""]);
  assertStringIncludes(none.stderr, "which checkpoint");
});
