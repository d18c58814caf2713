/**
 * Sounds made by code: spoken digits and their log-mel spectrograms.
 *
 * @module
 */
export { CLIP_SAMPLES, DIGIT_WORDS, spokenDigit, voiceOf } from "./digits.ts";
export { powerSpectrum } from "./fft.ts";
export { type LogMel, logMel, type LogMelOptions, melFilters } from "./log_mel.ts";
export { drawVoice, type Phone, SAMPLE_RATE, speak, type Voice } from "./speech.ts";
export { encodeWav } from "./wav.ts";
