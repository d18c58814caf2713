import { assertEquals, assertGreaterOrEqual, assertLess } from "@std/assert";
import { offlineFlags } from "../offline/flags.ts";

Deno.test("dropped tensors give their memory back, and 150 training steps leave device memory and heap as they were", async () => {
  const child = new URL("memory_child.ts", import.meta.url).pathname;
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--v8-flags=--expose-gc", ...await offlineFlags(), child],
  }).output();
  assertEquals(success, true, new TextDecoder().decode(stderr));
  const [[before, held, dropped], early, late] = new TextDecoder().decode(stdout).trim().split("\n")
    .map((line) => JSON.parse(line));
  assertGreaterOrEqual(held - before, 50 * 4000);
  assertEquals(dropped, before);
  assertEquals([early.done, late.done], [50, 200]);
  for (const held of ["live", "owners", "buffers", "bindGroups", "pipelines"]) {
    assertEquals(late[held], early[held], held);
  }
  assertEquals(Object.keys(late.owners).sort(), ["optimizer", "parameters", "plan", "tensor"]);
  // 150 records of a step are about 30 kB; a plan or a graph left behind each step would be 100 times
  // as much.
  assertLess(late.heap - early.heap, 400_000, `heap ${early.heap} -> ${late.heap}`);
});
