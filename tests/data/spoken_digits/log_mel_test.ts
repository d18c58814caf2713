import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { logMel, melFilters, powerSpectrum } from "../../../src/data/mod.ts";
import { hertz, mel } from "../../../src/data/spoken_digits/log_mel.ts";
import { Random } from "../../../src/tensor/random.ts";

/** |X_k|² by the definition of the discrete Fourier transform. */
function plainPower(frame: ArrayLike<number>): number[] {
  const n = frame.length;
  return Array.from({ length: n / 2 + 1 }, (_, k) => {
    let re = 0, im = 0;
    for (let t = 0; t < n; t++) {
      re += frame[t] * Math.cos(2 * Math.PI * k * t / n);
      im -= frame[t] * Math.sin(2 * Math.PI * k * t / n);
    }
    return re ** 2 + im ** 2;
  });
}

/** A log-mel spectrogram by its definition, in plain loops. */
function plainLogMel(wave: Float32Array): number[][] {
  const n = 256, hop = 80, bands = 20, rate = 8000;
  const edges = Array.from(
    { length: bands + 2 },
    (_, i) => hertz(mel(100) + i * (mel(3800) - mel(100)) / (bands + 1)),
  );
  const rows: number[][] = [];
  for (let start = 0; start + n <= wave.length; start += hop) {
    const cut = Array.from(
      { length: n },
      (_, i) => wave[start + i] * Math.sin(Math.PI * i / n) ** 2,
    );
    const power = plainPower(cut);
    rows.push(Array.from({ length: bands }, (_, b) => {
      let energy = 0;
      power.forEach((p, k) => {
        const f = k * rate / n, [left, centre, right] = edges.slice(b, b + 3);
        if (f > left && f <= centre) energy += p * (f - left) / (centre - left);
        if (f > centre && f < right) energy += p * (right - f) / (right - centre);
      });
      return energy;
    }));
  }
  const loudest = Math.max(...rows.flat());
  return rows.map((row) => row.map((e) => 1 + 2 * Math.max(-4, Math.log10(e / loudest)) / 4));
}

/** Three tones and a little noise, 0.1 s. */
function tones(): Float32Array {
  const random = new Random(3);
  return Float32Array.from({ length: 800 }, (_, i) => {
    const at = (f: number) => Math.sin(2 * Math.PI * f * i / 8000);
    return 0.5 * at(440) + 0.2 * at(1234) + 0.01 * at(3000) + 1e-3 * random.normal();
  });
}

Deno.test("powerSpectrum() is the square of the discrete Fourier transform", () => {
  const random = new Random(1);
  for (const n of [2, 4, 8, 64, 256]) {
    const frame = random.normals(n), expected = plainPower(frame);
    const power = powerSpectrum(frame);
    assertEquals(power.length, n / 2 + 1);
    power.forEach((p, k) => assertAlmostEquals(p, expected[k], 1e-9 * n));
  }
});

Deno.test("powerSpectrum() throws RangeError when the number of values is no power of 2", () => {
  for (const n of [0, 1, 3, 200]) {
    assertThrows(() => powerSpectrum(new Float32Array(n)), RangeError, `got ${n}`);
  }
});

Deno.test("melFilters() peak at evenly spaced mels and overlap to 1", () => {
  const filters = melFilters();
  assertEquals([filters.length, filters[0].length], [20, 129]);
  for (let k = 0; k < 129; k++) {
    const sum = filters.reduce((s, f) => s + f[k], 0);
    const frequency = k * 8000 / 256;
    assert(sum <= 1 + 1e-12, `bin ${k}: ${sum}`);
    // Between the first and the last centre two neighbours share every bin.
    if (frequency > 250 && frequency < 3300) assertAlmostEquals(sum, 1, 1e-9);
  }
  assertAlmostEquals(mel(1000), 1000, 0.5); // the scale's fixed point
  assertAlmostEquals(hertz(mel(440)), 440, 1e-9);
});

Deno.test("logMel() equals its definition, computed with a plain Fourier transform", () => {
  const wave = tones(), expected = plainLogMel(wave);
  const { frames, bands, values } = logMel(wave);
  assertEquals([frames, bands, values.length], [expected.length, 20, expected.length * 20]);
  expected.flat().forEach((v, i) => assertAlmostEquals(values[i], v, 1e-6));
});

Deno.test("logMel() does not depend on loudness, and lies between -1 and 1", () => {
  const wave = tones(), { values } = logMel(wave);
  const quiet = logMel(wave.map((x) => x / 64)).values; // a power of 2: no rounding
  assertEquals(quiet, values);
  assertEquals(Math.max(...values), 1);
  assert(values.every((v) => v >= -1 && v <= 1));
  assertEquals(logMel(new Float32Array(256)).values, new Float32Array(20).fill(-1)); // silence
});

Deno.test("logMel() finds a tone in the band of its frequency", () => {
  for (const tone of [300, 1000, 2500]) {
    const wave = Float32Array.from(
      { length: 256 },
      (_, i) => Math.sin(2 * Math.PI * tone * i / 8000),
    );
    const { values } = logMel(wave), band = values.indexOf(1);
    const step = (mel(3800) - mel(100)) / 21;
    assert(Math.abs(mel(100) + (band + 1) * step - mel(tone)) <= step, `${tone} Hz: band ${band}`);
  }
});

Deno.test("logMel() throws RangeError when the sound is shorter than a frame", () => {
  assertThrows(() => logMel(new Float32Array(255)), RangeError, "256 samples, got 255");
});
