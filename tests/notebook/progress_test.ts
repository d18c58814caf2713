import { assert, assertEquals, assertMatch } from "@std/assert";
import { lossSketch } from "../../src/notebook/live_loss.ts";
import { duration, Progress, type Terminal } from "../../src/notebook/mod.ts";

/** A clock that stands still until it is moved, and a terminal that remembers. */
function harness(interactive: boolean): {
  time: number;
  readonly written: string[];
  readonly now: () => number;
  readonly terminal: Terminal;
} {
  const written: string[] = [];
  const state = {
    time: 0,
    written,
    now: (): number => state.time,
    terminal: { interactive, write: (text: string): void => void written.push(text) },
  };
  return state;
}

Deno.test("Progress rewrites one line ten times a second when the terminal can", async () => {
  const fake = harness(true);
  const progress = new Progress({ label: "Training", total: 1000, ...fake });
  for (let step = 1; step <= 1000; step++) {
    fake.time += 10;
    progress.update(step, { loss: 2, tokensPerSecond: 12_345 });
  }
  await progress.done();
  assertEquals(fake.written.length, 101);
  assert(fake.written.every((text) => text.startsWith("\r")));
  assertEquals(
    fake.written.at(-1),
    "\rTraining 100 % · 1000/1000 · 10 s in all · loss 2.000 · 12.3k tokens/s\x1b[K\n",
  );
});

Deno.test("Progress prints a line every five seconds or five percent in a log", () => {
  const slow = harness(false);
  const progress = new Progress({ label: "Slow", total: 10_000, ...slow });
  for (let step = 1; step <= 20; step++) {
    slow.time = step * 1000;
    progress.update(step);
  }
  assertEquals(slow.written.map((line) => line.match(/(\d+)\//)![1]), ["1", "6", "11", "16"]);

  const fast = harness(false);
  const quick = new Progress({ label: "Fast", total: 20, ...fast });
  for (let step = 1; step <= 6; step++) {
    fast.time = step * 600;
    quick.update(step);
  }
  assertEquals(fast.written.map((line) => line.match(/(\d+)\//)![1]), ["1", "3", "5"]);
});

Deno.test("Progress estimates the time left from the time taken", () => {
  const fake = harness(false);
  const progress = new Progress({ label: "Work", total: 400, ...fake });
  fake.time = 30_000;
  progress.update(100);
  assertMatch(fake.written[0], /25 % · 100\/400 · 1 min 30 s left/);
});

Deno.test("duration() is short for people", () => {
  assertEquals([0.4, 59.6, 200, 7500, Infinity].map(duration), [
    "0 s",
    "1 min 00 s",
    "3 min 20 s",
    "2 h 05 min",
    "unknown time",
  ]);
});

Deno.test("lossSketch() stays small when the run is long", () => {
  const records = Array.from(
    { length: 100_000 },
    (_, step) => ({ step, loss: 1 + 1 / (step + 1) }),
  );
  const { data } = lossSketch(records);
  const svg = String(data["text/html"]);
  assert(svg.length < 12_000, `${svg.length} bytes`);
  assertMatch(svg, /^<svg.*<\/svg>$/s);
  assertEquals(svg.includes("NaN"), false);
});

Deno.test("lossSketch() draws a run of one record and one without finite losses", () => {
  for (const loss of [3, NaN]) {
    const { data } = lossSketch([{ step: 1, loss }]);
    assertMatch(String(data["text/html"]), /^<svg/);
    assertEquals(/(points|x|y)="[^"]*NaN/.test(String(data["text/html"])), false);
  }
});

/**
 * Runs a program that listens with interruptible() and presses Ctrl-C whenever it prints a line that
 * ends in "!". A program of its own, because the test runner ends at the first SIGINT.
 */
async function pressing(code: string): Promise<{ output: string; code: number }> {
  const module = new URL("../../src/notebook/mod.ts", import.meta.url).href;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-lock", `import { interruptible } from "${module}"; ${code}`],
    cwd: new URL("../../", import.meta.url),
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let output = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    output += text;
    if (text.endsWith("!\n")) child.kill("SIGINT");
  }
  return { output, code: (await child.status).code };
}

const ignore = Deno.build.os === "windows";

Deno.test({
  name: "interruptible() aborts its signal when SIGINT arrives, and the program goes on",
  ignore,
  async fn() {
    const { output, code } = await pressing(`
      const state = 42;
      using outer = interruptible();
      {
        using inner = interruptible();
        console.log("ready!");
        await new Promise((done) => inner.signal.addEventListener("abort", done));
        console.log(inner.signal.reason.name);
      }
      console.log(outer.signal.aborted, state);`);
    assertEquals(output, "ready!\nAbortError\ntrue 42\n");
    assertEquals(code, 0);
  },
});

Deno.test({
  name: "interruptible() ends a program when SIGINT arrives twice in a terminal",
  ignore,
  async fn() {
    const { output, code } = await pressing(`
      const stop = interruptible();
      stop.signal.addEventListener("abort", () => console.log("stopping!"));
      console.log("ready!");
      await new Promise((done) => setTimeout(done, 60_000));`);
    assertEquals(output, "ready!\nstopping!\n");
    assertEquals(code, 130);
  },
});
