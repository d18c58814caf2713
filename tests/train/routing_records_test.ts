import { assert, assertEquals, assertRejects } from "@std/assert";
import { cellOf } from "../../src/moe/mod.ts";
import { fit, type StepRecord } from "../../src/train/mod.ts";
import { read } from "../nn/shared.ts";
import { modelParameters } from "../../src/models/mod.ts";
import { DATA, shortRecipe, smallest } from "./shared.ts";

const recipe = () => shortRecipe({ connectorSteps: 2, instructionSteps: 5, questionsPerImage: 2 });

async function trained(options: Parameters<typeof fit>[2] = {}) {
  const model = smallest();
  const { records } = await fit(model, recipe(), options);
  const [head] = await read(modelParameters(model).get("language.head.weight")!);
  return { records, head };
}

/** The tokens of a step's batch by class, counted on the host. */
function tokensOf(step: number): Record<string, number> {
  const { tokens, modality, valid, labels, segments } = recipe().stages[1].inputs(
    smallest(),
    step,
  ) as unknown as Record<string, { data: Int32Array }>;
  const counts: Record<string, number> = { patch: 0, question: 0, answer: 0, special: 0 };
  for (const [i, token] of tokens.data.entries()) {
    if (valid.data[i] === 0) continue;
    if (modality.data[i] === 1) counts.patch++;
    else if (token < DATA.tokenizer.tokens.indexOf("<unk>") + 1) counts.special++;
    else if (labels.data[i - 1] >= 0 && segments.data[i - 1] === segments.data[i]) counts.answer++;
    else counts.question++;
  }
  return counts;
}

Deno.test("fit() records the routing of every second step of stages with experts, and changes nothing else", async () => {
  const plain = await trained(), recorded = await trained({ recordEvery: 2 });
  assertEquals(recorded.head, plain.head);
  assertEquals(
    recorded.records.map(({ routing: _, ...rest }: StepRecord) => rest),
    plain.records,
  );
  const routed = recorded.records.filter((r) => r.routing);
  assertEquals(routed.map((r) => [r.stage[0], r.step]), [["2", 0], ["2", 2], ["2", 4]]);
  for (const { step, routing } of routed) {
    assertEquals(routing!.layers.map((l) => l.layer), [1]);
    const counts = tokensOf(step);
    assert(counts.answer > 0 && counts.question > counts.answer);
    for (const [tokenClass, tokens] of Object.entries(counts)) {
      const cell = cellOf(routing!, { tokenClass });
      assertEquals(cell.tokens, tokens, `${tokenClass} of step ${step}`);
      assertEquals(cell.choices.reduce((a, b) => a + b, 0), 2 * tokens);
    }
  }
});

Deno.test("a resumed run has the routing records of the unbroken one", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const checkpoint = `${folder}/run.safetensors`, abort = new AbortController();
    const options = { recordEvery: 2, checkpoint, saveEvery: 2 };
    await trained({
      ...options,
      signal: abort.signal,
      onStep: ({ done }) => {
        if (done === 5) abort.abort();
      },
    });
    const resumed = await trained(options), unbroken = await trained({ recordEvery: 2 });
    assertEquals(JSON.stringify(resumed.records), JSON.stringify(unbroken.records));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("fit() refuses to record every 0 steps", async () => {
  await assertRejects(() => trained({ recordEvery: 0 }), RangeError, "recordEvery = 0");
});
