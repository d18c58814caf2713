/**
 * Speech by formant synthesis: pulses of a voice and noise through resonators whose frequencies glide
 * from sound to sound (D. H. Klatt, Software for a cascade/parallel formant synthesizer, JASA 67, 1980).
 */
import type { Random } from "../../tensor/random.ts";

/** Samples a second of all sounds here. */
export const SAMPLE_RATE = 8000;

/** One sound of a word. */
export interface Phone {
  /** Length in seconds at speed 1. */
  readonly seconds: number;
  /** First three formants in Hz at the beginning. */
  readonly formants: readonly [number, number, number];
  /** Formants at the end, where they glide. */
  readonly to?: readonly [number, number, number];
  /** Amplitude of the voice, 0 to 1. */
  readonly voice: number;
  /** Amplitude of noise, 0 to 1. */
  readonly noise: number;
  /** Frequency in Hz around which the noise is strongest. */
  readonly centre: number;
}

/** Who speaks. */
export interface Voice {
  /** Mean pitch in Hz. */
  readonly pitch: number;
  /** Factor on all formants: above 1 for a short vocal tract. */
  readonly tract: number;
  /** Factor on all lengths. */
  readonly slowness: number;
  /** Amplitude of breath in the voice. */
  readonly breath: number;
}

/** A voice; high ones mostly have short vocal tracts, as in people. */
export function drawVoice(random: Random): Voice {
  const height = random.uniform();
  return {
    pitch: 90 * (230 / 90) ** height,
    tract: 0.92 + 0.2 * height + 0.025 * random.normal(),
    slowness: 0.85 + 0.25 * random.uniform(),
    breath: 0.02 + 0.06 * random.uniform(),
  };
}

/** Samples for which the resonators stay as they are: 5 ms. */
const HOP = SAMPLE_RATE / 200;
/** Bandwidths of the formants in Hz, and of noise. */
const BANDWIDTHS = [70, 100, 160], NOISE_BANDWIDTH = 700;
/** Loudness of noise and of pulses: an s 8 dB below an open vowel. */
const HISS = 0.22, PULSE = 40;
/** Hops over which neighbouring sounds melt into each other: 45 ms for formants, 15 ms for loudness. */
const GLIDE = 9, FADE = 3;

/** Second-order resonator, y[t] = a x[t] + b y[t-1] + c y[t-2]. */
class Resonator {
  #a = 0;
  #b = 0;
  #c = 0;
  #y1 = 0;
  #y2 = 0;

  /** @param atPeak gain 1 at its own frequency, not at 0 Hz */
  tune(hertz: number, bandwidth: number, atPeak = false): void {
    const r = Math.exp(-Math.PI * bandwidth / SAMPLE_RATE);
    const angle = 2 * Math.PI * hertz / SAMPLE_RATE;
    this.#c = -(r ** 2);
    this.#b = 2 * r * Math.cos(angle);
    this.#a = atPeak
      ? (1 - r) * Math.sqrt(1 - 2 * r * Math.cos(2 * angle) + r ** 2)
      : 1 - this.#b - this.#c;
  }

  next(x: number): number {
    const y = this.#a * x + this.#b * this.#y1 + this.#c * this.#y2;
    this.#y2 = this.#y1;
    this.#y1 = y;
    return y;
  }
}

/** Means over a window of neighbours; what is outside repeats the ends. */
function smooth(values: readonly number[], width: number): number[] {
  const reach = (width - 1) / 2, last = values.length - 1;
  return values.map((_, i) => {
    let sum = 0;
    for (let d = -reach; d <= reach; d++) sum += values[Math.min(last, Math.max(0, i + d))];
    return sum / width;
  });
}

/** What the synthesizer follows, one value each 5 ms. */
interface Tracks {
  readonly formants: readonly (readonly number[])[];
  readonly voice: readonly number[];
  readonly noise: readonly number[];
  readonly centre: readonly number[];
}

function tracksOf(phones: readonly Phone[], { tract, slowness }: Voice, random: Random): Tracks {
  const steps: { formants: number[]; phone: Phone }[] = [];
  for (const phone of phones) {
    const { seconds, formants, to = formants } = phone;
    const length = seconds * slowness * (1 + 0.08 * random.normal());
    const count = Math.max(2, Math.round(length * SAMPLE_RATE / HOP));
    const blur = formants.map(() => 1 + 0.025 * random.normal());
    for (let i = 0; i < count; i++) {
      const share = i / (count - 1);
      const now = formants.map((f, k) => tract * blur[k] * (f + share * (to[k] - f)));
      steps.push({ formants: now, phone });
    }
  }
  return {
    formants: [0, 1, 2].map((k) => smooth(steps.map((s) => s.formants[k]), GLIDE)),
    voice: smooth([0, ...steps.map((s) => s.phone.voice), 0], FADE).slice(1, -1),
    noise: smooth([0, ...steps.map((s) => s.phone.noise), 0], FADE).slice(1, -1),
    centre: steps.map((s) => Math.min(3800, s.phone.centre * tract)),
  };
}

/**
 * Says a word. Its length depends on the voice and on chance.
 *
 * @returns samples at {@linkcode SAMPLE_RATE}, the loudest of them 1 or -1
 */
export function speak(phones: readonly Phone[], voice: Voice, random: Random): Float32Array {
  // Silence at the end, in which the last sound fades.
  const end: Phone = { ...phones[phones.length - 1], seconds: 0.02, voice: 0, noise: 0 };
  const tracks = tracksOf([...phones, end], voice, random), hops = tracks.voice.length;
  const formants = BANDWIDTHS.map(() => new Resonator()), hiss = new Resonator();
  // Glottal pulses lose 12 dB an octave: a resonator at 0 Hz (Klatt 1980, section I.B).
  const glottis = new Resonator();
  glottis.tune(0, 100);
  const wave = new Float32Array(hops * HOP), airs = random.uniforms(hops * HOP, -0.5, 0.5);
  const start = voice.pitch * (1.1 + 0.05 * random.normal());
  let phase = 0, before = 0;
  for (let hop = 0; hop < hops; hop++) {
    formants.forEach((r, k) => r.tune(Math.min(3900, tracks.formants[k][hop]), BANDWIDTHS[k]));
    hiss.tune(tracks.centre[hop], NOISE_BANDWIDTH, true);
    // It falls, as in a statement, and trembles.
    const pitch = start * (1 - 0.22 * hop / hops) * (1 + 0.015 * random.normal());
    for (let i = 0; i < HOP; i++) {
      phase += pitch / SAMPLE_RATE;
      const pulse = phase >= 1 ? 1 : 0;
      phase -= pulse;
      const air = airs[hop * HOP + i];
      const source = PULSE * glottis.next(pulse) + voice.breath * air;
      let y = tracks.voice[hop] * source;
      for (const r of formants) y = r.next(y);
      y += HISS * tracks.noise[hop] * hiss.next(air);
      wave[hop * HOP + i] = y - before; // sound leaves the lips as its change
      before = y;
    }
  }
  const loudest = wave.reduce((most, x) => Math.max(most, Math.abs(x)), 1e-9);
  return wave.map((x) => x / loudest);
}
