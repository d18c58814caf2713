import { assert, assertEquals, assertGreater, assertRejects } from "@std/assert";
import { chatCell, type Talk } from "../../src/notebook/mod.ts";

/** What the front end was sent, in order. */
interface Sent {
  type: string;
  message: { data: Record<string, string>; transient: { display_id?: string } };
}
const sent: Sent[] = [];

// A kernel, before the notebook module looks for one.
const kernel = {
  broadcast: (type: string, message: Sent["message"]) => {
    sent.push({ type, message });
    return Promise.resolve();
  },
};
Object.defineProperty(globalThis, "Deno", {
  value: Object.create(Deno, { jupyter: { value: kernel } }),
});

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Says pieces with pauses between them. */
function saying(pieces: readonly string[], fails = false): Talk {
  return {
    async *say() {
      for (const piece of pieces) {
        yield piece;
        await wait(120);
      }
      if (fails) throw new RangeError("the context is full");
    },
  };
}

Deno.test("chatCell() shows the answer in one output that grows, and ends with all of it", async () => {
  sent.length = 0;
  assertEquals(await chatCell(saying([" A", " cat", "."]), "What\nis it?"), "A cat.");
  assertGreater(sent.length, 2);
  assertEquals(sent[0].type, "display_data");
  assert(sent.slice(1).every(({ type }) => type === "update_display_data"));
  const ids = new Set(sent.map(({ message }) => message.transient.display_id));
  assertEquals(ids.size, 1);
  assertEquals(sent[0].message.data["text/plain"], "> What\n> is it?\nA ▍");
  assertEquals(sent.at(-1)!.message.data, {
    "text/plain": "> What\n> is it?\nA cat.",
    "text/markdown": "> What\n> is it?\n\nA cat.",
  });
});

Deno.test("chatCell() keeps what was said when the answer fails, and passes the error on", async () => {
  sent.length = 0;
  await assertRejects(
    () => chatCell(saying(["A", " c"], true), "?"),
    RangeError,
    "context is full",
  );
  assertEquals(sent.at(-1)!.message.data["text/plain"], "> ?\nA c … (failed)");
  sent.length = 0;
  await assertRejects(() => chatCell(saying([], true), "?"), RangeError);
  assertEquals(sent, []);
});

Deno.test({
  name: "chatCell() keeps what was said when Stop is pressed, and the program goes on",
  ignore: Deno.build.os === "windows",
  async fn() {
    // A program of its own, because the test runner ends at the first SIGINT.
    const module = new URL("../../src/notebook/mod.ts", import.meta.url).href;
    const code = `
      let last;
      const kernel = { broadcast: (_, message) => Promise.resolve(last = message.data["text/plain"]) };
      Object.defineProperty(globalThis, "Deno", {
        value: Object.create(Deno, { jupyter: { value: kernel } }),
      });
      const { chatCell } = await import("${module}");
      const talk = {
        async *say(_, { signal }) {
          yield "one ";
          yield "two";
          console.log("ready!");
          await new Promise((done) => signal.addEventListener("abort", done));
        },
      };
      console.log(await chatCell(talk, "?"), "|", last);
      Deno.exit();`;
    const child = new Deno.Command(Deno.execPath(), {
      args: ["eval", "--no-lock", code],
      cwd: new URL("../../", import.meta.url),
      stdout: "piped",
      stderr: "null",
    }).spawn();
    let output = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      output += text;
      if (text.endsWith("!\n")) child.kill("SIGINT");
    }
    assertEquals(output, "ready!\none two | > ?\none two … (stopped)\n");
    assertEquals((await child.status).code, 0);
  },
});
