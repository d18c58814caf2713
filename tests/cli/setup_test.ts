import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { offersSuite, sourceForSuite } from "../../src/cli/apt.ts";
import { programOf } from "../../src/cli/jupyter_status.ts";
import { probe } from "../../src/cli/probe.ts";
import { driverCommands, driverSuite, ensureGpu, jupyterCommands } from "../../src/cli/setup.ts";
import { lastLines, parseOsRelease, run, type System } from "../../src/cli/system.ts";

const DEB822 = {
  path: "/etc/apt/sources.list.d/debian.sources",
  text: `# The archive
Types: deb deb-src
URIs: http://mirror.invalid/debian
# both
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/archive.gpg

Types: deb
URIs: http://mirror.invalid/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/archive.gpg
`,
};
const ONE_LINE = {
  path: "/etc/apt/sources.list",
  text: `# deb http://old.invalid/debian bookworm main
deb-src http://mirror.invalid/debian bookworm main
deb http://mirror.invalid/debian-security bookworm-security main
deb [signed-by=/a.gpg arch=amd64] http://mirror.invalid/debian bookworm main contrib
`,
};
const debian: System = {
  os: "linux",
  id: "debian",
  codename: "trixie",
  name: "Debian",
  apt: true,
  root: false,
};

Deno.test("sourceForSuite() changes the suite of a deb822 stanza and keeps its key", () => {
  assertEquals(sourceForSuite([DEB822], "bookworm", "bookworm-backports"), {
    extension: ".sources",
    text: `Types: deb
URIs: http://mirror.invalid/debian
Suites: bookworm-backports
Components: main contrib
Signed-By: /usr/share/keyrings/archive.gpg
`,
  });
});

Deno.test("sourceForSuite() keeps a key that is written into the stanza", () => {
  const text = `Types: deb
URIs: http://mirror.invalid/debian
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBFit
 -----END PGP PUBLIC KEY BLOCK-----`;
  const source = sourceForSuite([{ path: "a.sources", text }], "bookworm", "new");
  assertEquals(source?.text, text.replace("Suites: bookworm", "Suites: new") + "\n");
});

Deno.test("sourceForSuite() changes the suite of a one-line source and keeps its options", () => {
  assertEquals(sourceForSuite([ONE_LINE, DEB822], "bookworm", "bookworm-backports"), {
    extension: ".list",
    text: "deb [signed-by=/a.gpg arch=amd64] http://mirror.invalid/debian bookworm-backports " +
      "main contrib\n",
  });
});

Deno.test("sourceForSuite() copies no security, disabled or foreign source", () => {
  const security = { path: "s.sources", text: DEB822.text.split("\n\n")[1] };
  const disabled = { path: "d.sources", text: `Enabled: no\n${DEB822.text.split("\n\n")[0]}` };
  const foreign = { path: "f.list", text: "deb http://mirror.invalid/tool stable main" };
  const files = [security, disabled, foreign];
  assertEquals(sourceForSuite(files, "bookworm", "bookworm-backports"), undefined);
  assertEquals(sourceForSuite([], "bookworm", "bookworm-backports"), undefined);
});

Deno.test("offersSuite() sees a suite that is there, in both syntaxes", () => {
  assertEquals(offersSuite([DEB822], "bookworm-updates"), true);
  assertEquals(offersSuite([ONE_LINE], "bookworm-security"), true);
  assertEquals(offersSuite([DEB822, ONE_LINE], "bookworm-backports"), false);
  const disabled = { path: "d.sources", text: `Enabled: no\n${DEB822.text.split("\n\n")[0]}` };
  assertEquals(offersSuite([disabled], "bookworm"), false);
});

Deno.test("driverCommands() are the exact lines for each system", async () => {
  assertEquals(driverSuite({ codename: "bookworm" }), "bookworm-backports");
  assertEquals(driverSuite({ codename: "trixie" }), undefined);
  assertEquals(await driverCommands(debian), [
    "sudo apt-get update",
    "sudo apt-get install -y libvulkan1 mesa-vulkan-drivers",
  ]);
  const twelve = await driverCommands({ ...debian, codename: "bookworm", root: true });
  assertEquals(
    twelve.at(-1),
    "apt-get install -y -t bookworm-backports libvulkan1 mesa-vulkan-drivers",
  );
  const fedora: System = { ...debian, id: "fedora", apt: false };
  assertEquals(await driverCommands(fedora), [
    "sudo dnf install vulkan-loader mesa-vulkan-drivers",
  ]);
  assertMatch((await driverCommands({ ...fedora, id: "other" }))[0], /lavapipe/);
});

Deno.test("jupyterCommands() installs without the recommended extras", () => {
  assertStringIncludes(jupyterCommands(debian)[1], "--no-install-recommends jupyter-nbconvert");
  assertStringIncludes(jupyterCommands({ ...debian, apt: false })[0], "pip install");
});

Deno.test("ensureGpu() is content with a GPU that works", async () => {
  const { works, adapter } = await probe("dawn");
  if (!works) return; // Where Dawn has no driver, a test must not install one.
  const lines: string[] = [];
  await ensureGpu((line) => lines.push(line));
  assertEquals(lines, [`GPU: ${adapter?.name} through Dawn`]);
});

Deno.test("parseOsRelease() reads quoted and bare values", () => {
  assertEquals(parseOsRelease(`ID=debian\nPRETTY_NAME="Debian 12"\n# no\nVERSION_ID='12'\n`), {
    ID: "debian",
    PRETTY_NAME: "Debian 12",
    VERSION_ID: "12",
  });
});

Deno.test("run() reports a missing command and one that takes too long", async () => {
  assertEquals((await run("no-such-command", [])).ok, false);
  const slow = await run(Deno.execPath(), ["eval", "setTimeout(() => {}, 1e6)"], {
    timeoutMs: 200,
  });
  assertEquals(slow.ok, false);
  assertStringIncludes(slow.text, "stopped after 0.2 s");
  assertEquals(lastLines("a\n\nb\nc\n", 2), "b\nc");
});

Deno.test("programOf() survives a broken kernel.json", () => {
  assertEquals(programOf('{"argv": ["/bin/deno", "jupyter"]}'), "/bin/deno");
  assertEquals(programOf('{"argv": 3}'), "");
  assertEquals(programOf("not json"), "");
});
