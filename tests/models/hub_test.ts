import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import {
  hubCheckpoint,
  hubId,
  type HubOptions,
  loadPublished,
  openCheckpoint,
} from "../../src/models/mod.ts";
import "../nn/shared.ts";
import { inFolder } from "./checkpoint_shared.ts";
import { folderOf } from "./fixture_models.ts";
import { type Served, serveHub } from "./hub_shared.ts";

/** The sharded Llama of the fixtures as a hub serves it. */
function llama(): Record<string, Served> {
  const folder = folderOf("models/llama_sharded_bf16");
  const files = [...Deno.readDirSync(folder)].map(({ name }) => name)
    .filter((name) => !name.startsWith("io"));
  return Object.fromEntries(files.map((name) => [name, {
    bytes: Deno.readFileSync(join(folder, name)),
    etag: name.endsWith(".safetensors") ? "sha256" : "git",
  }]));
}

const SHARD = "model-00001-of-00002.safetensors";

/** All files of a folder, with their folders. */
function filesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesIn(join(folder, name)).map((inner) => `${name}/${inner}`) : [name]
  ).sort();
}

const quick: HubOptions = { retry: { retries: 2, pause: 1 } };

Deno.test("hubId() reads owner/name and a revision, and no paths", () => {
  assertEquals(hubId("microsoft/Phi-3-mini-4k-instruct"), {
    owner: "microsoft",
    name: "Phi-3-mini-4k-instruct",
    revision: "main",
  });
  assertEquals(hubId("a/b.c@refs/pr/1")?.revision, "refs/pr/1");
  const none = [
    "a",
    "a/b/c",
    "../a",
    "a/..",
    "/a/b",
    "a\\b/c",
    "./a/b",
    "a/b@",
    "a/b@../x",
    "a/b@x..y",
    "a/b c",
    ".a/b",
    "a/.b",
    "",
  ];
  for (const text of none) assertEquals(hubId(text), undefined, text);
});

Deno.test("loadPublished() downloads a checkpoint once, then takes it from the cache", async () => {
  await inFolder(async (cache) => {
    const files = llama();
    await using hub = serveHub(files, [...Object.keys(files), "pytorch_model.bin", "../evil.json"]);
    const { endpoint } = hub;
    const loaded = await loadPublished("owner/model", {
      endpoint,
      cache,
      token: "secret",
      ...quick,
    });
    assertEquals(loaded.kind, "language");
    assertEquals(hub.token(), "Bearer secret");
    using here = openCheckpoint(folderOf("models/llama_sharded_bf16"));
    using there = openCheckpoint(loaded.path);
    for (const name of here.names) assertEquals(there.tensor(name), here.tensor(name));
    const kept = filesIn(cache);
    assertEquals(kept.length, Object.keys(files).length + 1);
    assert(!kept.some((name) => /evil|pytorch|\.part/.test(name)), kept.join());
    const before = hub.requests.length;
    assertEquals(await hubCheckpoint("owner/model", { endpoint, cache }), loaded.path);
    assertEquals(hub.requests.length, before + 1, "only the commit is asked for");
    assertEquals(
      await hubCheckpoint("owner/model", { endpoint, cache, offline: true }),
      loaded.path,
    );
    assertEquals(hub.requests.length, before + 1);
  });
});

Deno.test("hubCheckpoint() goes on where a connection was cut, within a call and in the next", async () => {
  await inFolder(async (cache) => {
    const files = llama();
    files[SHARD].cutAfter = 7000;
    {
      await using hub = serveHub(files);
      const { endpoint } = hub;
      await hubCheckpoint("owner/model", { endpoint, cache, ...quick });
      const gets = hub.requests.filter((r) => r.startsWith("GET") && r.includes(SHARD));
      assertEquals(gets.map((r) => r.split(" ")[2]), [undefined, "bytes=7000-", "bytes=14000-"]);
    }
    await Deno.remove(join(cache, "owner--model"), { recursive: true });
    const parts = () => filesIn(cache).filter((name) => name.endsWith(".part"));
    {
      await using hub = serveHub(files);
      files[SHARD].cutAfter = 5000;
      const { endpoint } = hub;
      // One attempt, cut after 5000 bytes: they are kept.
      await assertRejects(() =>
        hubCheckpoint("owner/model", { endpoint, cache, retry: { retries: 0, pause: 1 } })
      );
      const [kept] = parts();
      assertStringIncludes(kept, SHARD);
      assertEquals(Deno.statSync(join(cache, kept)).size, 5000);
    }
    delete files[SHARD].cutAfter;
    await using hub = serveHub(files);
    const { endpoint } = hub;
    const folder = await hubCheckpoint("owner/model", { endpoint, cache, ...quick });
    assert(hub.requests.some((r) => r.includes(SHARD) && r.endsWith("bytes=5000-")));
    assertEquals(Deno.readFileSync(join(folder, SHARD)), files[SHARD].bytes);
    assertEquals(parts(), []);
  });
});

Deno.test("hubCheckpoint() begins anew when a server knows no ranges", async () => {
  await inFolder(async (cache) => {
    const files = llama();
    files[SHARD].cutAfter = 5000;
    {
      await using hub = serveHub(files);
      const retry = { retries: 0, pause: 1 };
      await assertRejects(() =>
        hubCheckpoint("owner/model", { endpoint: hub.endpoint, cache, retry })
      );
    }
    delete files[SHARD].cutAfter;
    files[SHARD].noRanges = true;
    await using hub = serveHub(files);
    const folder = await hubCheckpoint("owner/model", { endpoint: hub.endpoint, cache, ...quick });
    assertEquals(Deno.readFileSync(join(folder, SHARD)), files[SHARD].bytes);
  });
});

Deno.test("hubCheckpoint() keeps nothing of a file whose checksum is wrong", async () => {
  for (const etag of ["f".repeat(64), "e".repeat(40)]) {
    await inFolder(async (cache) => {
      const files = llama();
      files[SHARD] = { ...files[SHARD], etag };
      await using hub = serveHub(files);
      const error = await assertRejects(
        () => hubCheckpoint("owner/model", { endpoint: hub.endpoint, cache, ...quick }),
        Error,
        "is damaged",
      );
      assertStringIncludes(error.message, etag);
      assertEquals(filesIn(cache).filter((name) => name.includes(SHARD)), []);
      assertEquals(filesIn(cache).filter((name) => name.includes("refs")), []);
    });
  }
});

Deno.test("hubCheckpoint() says what to do when it is offline and the cache is empty", async () => {
  await inFolder(async (cache) => {
    const error = await assertRejects(
      () => loadPublished("owner/model", { cache, offline: true }),
      Deno.errors.NotFound,
      "not in the cache",
    );
    assertStringIncludes(error.message, cache);
    assertStringIncludes(error.message, "MOIIE_HUB_CACHE");
  });
});

Deno.test("hubCheckpoint() takes the cache when the hub cannot be reached", async () => {
  await inFolder(async (cache) => {
    let endpoint: string, folder: string;
    {
      await using hub = serveHub(llama());
      endpoint = hub.endpoint;
      folder = await hubCheckpoint("owner/model", { endpoint, cache, ...quick });
    }
    assertEquals(await hubCheckpoint("owner/model", { endpoint, cache, ...quick }), folder);
    await assertRejects(
      () => hubCheckpoint("owner/other", { endpoint, cache, ...quick }),
      TypeError,
    );
  });
});

Deno.test("hubCheckpoint() refuses an index that names files elsewhere, and models without safetensors", async () => {
  await inFolder(async (cache) => {
    const text = JSON.stringify({ weight_map: { a: "../../evil.safetensors" } });
    const files: Record<string, Served> = {
      "model.safetensors.index.json": { bytes: new TextEncoder().encode(text), etag: "git" },
    };
    await using hub = serveHub(files);
    const { endpoint } = hub;
    await assertRejects(
      () => hubCheckpoint("owner/model", { endpoint, cache, ...quick }),
      RangeError,
      "../../evil.safetensors",
    );
    await using bare = serveHub(files, ["pytorch_model.bin"]);
    await assertRejects(
      () => hubCheckpoint("owner/model", { endpoint: bare.endpoint, cache, ...quick }),
      Deno.errors.NotFound,
      "no safetensors weights",
    );
    await assertRejects(
      () => hubCheckpoint("owner/none", { endpoint, cache, ...quick }),
      Deno.errors.NotFound,
      "owner/none",
    );
    await assertRejects(
      () => hubCheckpoint("../none", { endpoint, cache }),
      SyntaxError,
      "../none",
    );
  });
});
