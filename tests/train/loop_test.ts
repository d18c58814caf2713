import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { compile, type Compiled, type Inputs, mul, tensor } from "../../src/tensor/mod.ts";
import { type LoopOptions, runSteps, type StepRecord } from "../../src/train/mod.ts";
import "../nn/shared.ts";

/** A step whose loss is its input, and that changes nothing. */
function echo() {
  return compile((inputs) => ({
    loss: mul(inputs.x, 1),
    gradientNorm: mul(inputs.x, 2),
  }));
}

type Echo = ReturnType<typeof echo>;

function options(
  losses: readonly number[],
  more: Partial<LoopOptions<Record<string, never>>> = {},
) {
  return {
    steps: losses.length,
    run: echo() as unknown as Compiled<Inputs, Record<string, never>>,
    learningRate: (step: number) => step / 10,
    inputs: (step: number) => ({ x: { data: new Float32Array([losses[step]]), shape: [] } }),
    ...more,
  };
}

Deno.test("runSteps() reports every step's own numbers in order", async () => {
  const records: StepRecord[] = [];
  const done = await runSteps(options([5, 4, 3, 2], { onStep: (r) => void records.push(r) }));
  assertEquals(done, 4);
  assertEquals(
    records,
    [5, 4, 3, 2].map((loss, step) => ({
      step,
      loss,
      auxiliary: 0,
      gradientNorm: 2 * loss,
      learningRate: step / 10,
    })),
  );
});

Deno.test("runSteps() starts at a later step when resuming", async () => {
  const steps: number[] = [];
  const done = await runSteps(
    options([5, 4, 3, 2], { from: 2, onStep: (r) => void steps.push(r.step) }),
  );
  assertEquals([done, steps], [4, [2, 3]]);
  assertEquals(await runSteps(options([5, 4], { from: 2 })), 2);
});

Deno.test("runSteps() reports every step that it ran when it is aborted", async () => {
  const abort = new AbortController(), steps: number[] = [];
  const done = await runSteps(options([9, 8, 7, 6, 5, 4, 3], {
    signal: abort.signal,
    onStep: ({ step }) => {
      steps.push(step);
      if (step === 2) abort.abort();
    },
  }));
  assertEquals(steps, [...Array(done).keys()]);
  assertEquals(done < 7 && done >= 3, true);
  assertEquals(await runSteps(options([1], { signal: AbortSignal.abort() })), 0);
});

Deno.test("runSteps() waits for onStep before it reports the next step", async () => {
  const log: string[] = [];
  await runSteps(options([3, 2, 1], {
    onStep: async ({ step }) => {
      log.push(`begin ${step}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
      log.push(`end ${step}`);
    },
  }));
  assertEquals(log, ["begin 0", "end 0", "begin 1", "end 1", "begin 2", "end 2"]);
});

for (const bad of [NaN, Infinity, -Infinity]) {
  Deno.test(`runSteps() throws an error that names the step when the loss is ${bad}`, async () => {
    const steps: number[] = [];
    const error = await assertRejects(
      () => runSteps(options([5, 4, bad, 2, 1], { onStep: ({ step }) => void steps.push(step) })),
      Error,
    );
    assertStringIncludes(error.message, `loss ${bad}`);
    assertStringIncludes(error.message, "at step 2");
    assertStringIncludes(error.message, "learning rate");
    assertEquals(steps, [0, 1]);
  });
}

Deno.test("runSteps() throws an error that names the step when the gradient is not finite", async () => {
  const run = compile((inputs) => ({ loss: tensor([1]), gradientNorm: mul(inputs.x, 1) }));
  const error = await assertRejects(
    () => runSteps({ ...options([1, NaN, 1]), run: run as unknown as Echo }),
    Error,
  );
  assertStringIncludes(error.message, "gradient norm NaN at step 1");
});

Deno.test("runSteps() passes on what onStep throws", async () => {
  const onStep = () => {
    throw new TypeError("no room");
  };
  await assertRejects(() => runSteps(options([3, 2, 1], { onStep })), TypeError, "no room");
});

Deno.test("runSteps() lets a later step's failure wait until a slow onStep is done", async () => {
  let calls = 0;
  const run = () => {
    const loss = tensor([1]);
    if (++calls === 2) loss.dispose(); // so that reading it fails
    return Promise.resolve({ loss });
  };
  const log: number[] = [];
  await assertRejects(
    () =>
      runSteps({
        ...options([1, 1, 1]),
        run: run as unknown as Compiled<Inputs, Record<string, never>>,
        onStep: async ({ step }) => {
          await new Promise((resolve) => setTimeout(resolve, 20));
          log.push(step);
        },
      }),
    TypeError,
    "was disposed",
  );
  assertEquals(log, [0]);
});
