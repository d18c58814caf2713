import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import {
  type Check,
  checkDeno,
  checkProvider,
  compareVersions,
  describeAdapter,
  type Diagnosis,
  formatDiagnosis,
} from "../../src/cli/doctor.ts";
import type { ProviderReport } from "../../src/cli/probe.ts";
import type { AdapterFacts } from "../../src/gpu/mod.ts";

const adapter: AdapterFacts = {
  name: "Test GPU",
  vendor: "test",
  architecture: "",
  driver: "Driver 1.2",
  software: false,
  subgroups: { min: 16, max: 32 },
  f16: true,
  timestamps: false,
  matrixUnits: [{ operands: "f16", m: 16, n: 8, k: 32 }],
  limits: {
    maxBufferSize: 2 ** 32,
    maxStorageBufferBindingSize: 2 ** 27,
    maxUniformBufferBindingSize: 2 ** 16,
    maxStorageBuffersPerShaderStage: 16,
    minStorageBufferOffsetAlignment: 32,
    minUniformBufferOffsetAlignment: 32,
    maxComputeWorkgroupStorageSize: 2 ** 15,
    maxComputeInvocationsPerWorkgroup: 1024,
    maxComputeWorkgroupSizeX: 1024,
    maxComputeWorkgroupSizeY: 1024,
    maxComputeWorkgroupSizeZ: 64,
    maxComputeWorkgroupsPerDimension: 65535,
  },
};
const works: ProviderReport = { provider: "dawn", works: true, adapter };
const fails: ProviderReport = { provider: "dawn", works: false, error: "nothing\n  at all" };

async function doctor(env: Record<string, string>, ...args: string[]): Promise<[number, string]> {
  const here = (path: string) => new URL(path, import.meta.url).pathname;
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", "--quiet", "--no-lock", "--config", here("../../deno.json")],
      here("../../src/cli/doctor.ts"),
      ...args,
    ],
    env,
  }).output();
  return [code, new TextDecoder().decode(stdout)];
}

Deno.test("compareVersions() orders by number, not by letter", () => {
  assert(compareVersions("2.10.0", "2.9.6") > 0);
  assert(compareVersions("2.8.99", "2.9.0") < 0);
  assert(compareVersions("1.99.0", "2.0.0") < 0);
  assertEquals(compareVersions("2.9.0", "2.9"), 0);
  assertEquals(compareVersions("2.9.0-rc.1", "2.9.0"), 0);
});

Deno.test("checkDeno() refuses an old Deno with the remedy", () => {
  assertEquals(checkDeno("2.9.6").state, "ok");
  assertEquals(checkDeno("2.8.3"), {
    name: "Deno",
    state: "broken",
    found: ["2.8.3, older than 2.9.0"],
    remedy: ["deno upgrade"],
  });
});

Deno.test("describeAdapter() says what kernels can use", () => {
  assertEquals(describeAdapter(adapter), [
    "Test GPU (Driver 1.2)",
    "hardware, subgroups of 16-32, f16, no timestamps, f16 matrices 16×32×8",
    "limits: buffer 4 GiB, storage binding 128 MiB, workgroup 1024 invocations, 32 KiB, " +
    "16 storage buffers",
  ]);
});

Deno.test("checkProvider() is broken only when neither provider works", () => {
  const own: ProviderReport = { ...fails, provider: "deno" };
  assertEquals(checkProvider(works, own, ["install"]).state, "ok");
  assertEquals(checkProvider(fails, { ...works, provider: "deno" }, ["install"]), {
    name: "GPU by Dawn",
    state: "missing",
    found: ["nothing", "at all"],
    remedy: ["install"],
  });
  assertEquals(checkProvider(own, works, ["install"]).remedy, []);
  assertEquals(checkProvider(own, fails, ["install"]).state, "broken");
  assertEquals(checkProvider(own, fails, ["install"]).remedy, ["install"]);
});

Deno.test("formatDiagnosis() aligns facts and tells a remedy once", () => {
  const checks: Check[] = [
    { name: "Deno", state: "ok", found: ["2.9.6"], remedy: [] },
    { name: "Loader", state: "missing", found: ["gone"], remedy: ["tee <<END\ntext\nEND", "b"] },
    {
      name: "GPU",
      state: "broken",
      found: ["none", "at all"],
      remedy: ["tee <<END\ntext\nEND", "b"],
    },
  ];
  const diagnosis: Diagnosis = { trains: false, verdict: "No.", checks, dawn: fails, deno: fails };
  assertEquals(
    formatDiagnosis(diagnosis),
    `ok       Deno    2.9.6
missing  Loader  gone
                 -> tee <<END
                    text
                    END
                 -> b
broken   GPU     none
                 at all
                 -> as above

No.`,
  );
});

Deno.test("doctor prints the machine's findings as JSON", async () => {
  const [code, text] = await doctor({}, "--json");
  const { trains, checks, dawn, deno }: Diagnosis = JSON.parse(text);
  assertEquals(code, trains ? 0 : 1);
  assertEquals(trains, dawn.works || deno.works);
  const names = checks.map(({ name }) => name);
  for (const name of ["Deno", "System", "GPU by Dawn", "GPU by Deno", "Jupyter", "Deno kernel"]) {
    assert(names.includes(name), name);
  }
  assertEquals(checks[0], { name: "Deno", state: "ok", found: [Deno.version.deno], remedy: [] });
  for (const { state, remedy, found } of checks) {
    assert(found.length > 0);
    if (state === "ok") assertEquals(remedy, []);
  }
});

Deno.test({
  name: "doctor exits with 1 and the remedy when there is no driver",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const none = { VK_DRIVER_FILES: "/dev/null", DENO_WEBGPU_BACKEND: "vulkan" };
    const [code, text] = await doctor(none);
    assertEquals(code, 1);
    assertMatch(text, /^missing {2}Vulkan drivers {2}none in VK_DRIVER_FILES=\/dev\/null$/m);
    assertMatch(text, /^broken {3}GPU by Dawn/m);
    assertStringIncludes(text, "-> unset VK_DRIVER_FILES");
    assertStringIncludes(text, "Training is impossible here");
  },
});
