import { assert, assertEquals, assertGreater, assertLess, assertThrows } from "@std/assert";
import {
  CLIP_SAMPLES,
  DIGIT_WORDS,
  encodeWav,
  type LogMel,
  logMel,
  SAMPLE_RATE,
  spokenDigit,
  voiceOf,
} from "../../../src/data/mod.ts";
import { drawVoice, speak } from "../../../src/data/spoken_digits/speech.ts";
import { Random } from "../../../src/tensor/random.ts";

const RANDOM = new Random(7);

const clip = (digit: number, split: string, voice: number, take = 0): Float32Array =>
  spokenDigit(digit, voiceOf(RANDOM, split, voice), RANDOM.fork(`${split} ${digit} ${take}`));

Deno.test("spokenDigit() gives the same sound for the same seed, another for another", () => {
  for (let digit = 0; digit < 10; digit++) {
    const sound = clip(digit, "train", 0);
    assertEquals(sound.length, CLIP_SAMPLES);
    assert(sound.every((x) => Number.isFinite(x) && Math.abs(x) < 1.5));
    assertEquals(clip(digit, "train", 0), sound);
    assert(clip(digit, "train", 0, 1).some((x, i) => x !== sound[i]));
  }
  assertEquals(DIGIT_WORDS.length, 10);
  assertThrows(() => clip(10, "train", 0), RangeError, "10 is no digit");
});

Deno.test("voiceOf() gives every split voices of its own", () => {
  const voices = ["train", "test"].flatMap((split) =>
    Array.from({ length: 12 }, (_, i) => voiceOf(RANDOM, split, i))
  );
  assertEquals(new Set(voices.map((v) => v.pitch)).size, 24);
  for (const { pitch, tract, slowness } of voices) {
    assert(pitch >= 90 && pitch <= 230 && tract > 0.8 && tract < 1.25 && slowness <= 1.1);
  }
});

Deno.test("speak() has a pitch: the sound of a vowel repeats after 1 / pitch", () => {
  const vowel = {
    seconds: 0.3,
    formants: [640, 1190, 2390] as const,
    voice: 1,
    noise: 0,
    centre: 2000,
  };
  const voice = { pitch: 100, tract: 1, slowness: 1, breath: 0 };
  const wave = speak([vowel], voice, new Random(1));
  const middle = wave.subarray(800, 1600);
  // The delay with the highest autocorrelation, among those of 60 to 250 Hz.
  let best = 0, most = -Infinity;
  for (let lag = 32; lag <= 133; lag++) {
    let sum = 0;
    for (let i = 0; i + lag < middle.length; i++) sum += middle[i] * middle[i + lag];
    if (sum > most) [best, most] = [lag, sum];
  }
  const pitch = SAMPLE_RATE / best;
  assert(pitch > 80 && pitch < 125, `${pitch} Hz`);
});

/** Mean of the bands over the frames that are loud. */
function timbre({ values, frames, bands }: LogMel): number[] {
  const loud = Array.from({ length: frames }, (_, f) => values.subarray(f * bands, (f + 1) * bands))
    .filter((row) => Math.max(...row) > 0);
  return Array.from({ length: bands }, (_, b) => loud.reduce((s, r) => s + r[b], 0) / loud.length);
}

Deno.test("spokenDigit() of unseen voices is nearer to its own digit than chance has it", () => {
  // Nearest mean of crude features: a model that hears time does much better.
  const means = DIGIT_WORDS.map((_, digit) => {
    const all = Array.from({ length: 8 }, (_, v) => timbre(logMel(clip(digit, "train", v))));
    return all[0].map((_, b) => all.reduce((s, t) => s + t[b], 0) / all.length);
  });
  let right = 0;
  for (let digit = 0; digit < 10; digit++) {
    for (let voice = 0; voice < 4; voice++) {
      const heard = timbre(logMel(clip(digit, "test", voice)));
      const distances = means.map((m) => m.reduce((s, x, b) => s + (x - heard[b]) ** 2, 0));
      if (distances.indexOf(Math.min(...distances)) === digit) right++;
    }
  }
  assertGreater(right, 16); // of 40; chance is 4
});

Deno.test("drawVoice() makes high voices with short vocal tracts", () => {
  const voices = Array.from({ length: 60 }, (_, i) => drawVoice(new Random(1, `${i}`)));
  const mean = (list: typeof voices) => list.reduce((s, v) => s + v.tract, 0) / list.length;
  const low = voices.filter((v) => v.pitch < 140), high = voices.filter((v) => v.pitch >= 150);
  assertLess(mean(low), mean(high));
});

Deno.test("encodeWav() writes a header that says what follows, and cuts what is too loud", () => {
  const wav = encodeWav([0, 0.5, -1, 7], 8000), view = new DataView(wav.buffer);
  const text = (at: number) => String.fromCharCode(...wav.subarray(at, at + 4));
  assertEquals([text(0), text(8), text(12), text(36)], ["RIFF", "WAVE", "fmt ", "data"]);
  assertEquals(wav.length, 44 + 8);
  assertEquals([view.getUint32(4, true), view.getUint32(40, true)], [wav.length - 8, 8]);
  assertEquals([view.getUint32(24, true), view.getUint32(28, true)], [8000, 16000]);
  const samples = [0, 1, 2, 3].map((i) => view.getInt16(44 + 2 * i, true));
  assertEquals(samples, [0, 16384, -32767, 32767]);
  assertThrows(() => encodeWav([0], 0), RangeError, "0 samples a second");
});
