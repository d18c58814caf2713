/**
 * Sounds made by code: spoken digits, log-mel spectrograms, and scenes of a sound beside a picture with
 * questions about both.
 *
 * @module
 */
export {
  CLIP_BANDS,
  CLIP_FRAMES,
  FRAMES_PER_TOKEN,
  QUESTION_KINDS,
  type QuestionKind,
  type Scene,
  type SceneBatch,
  type SceneBatchOptions,
  type SceneKind,
  type SceneQuestion,
  type SceneSplit,
  SoundAndSight,
  type SoundAndSightOptions,
} from "./dataset.ts";
export { CLIP_SAMPLES, DIGIT_WORDS, spokenDigit, voiceOf } from "./digits.ts";
export { powerSpectrum } from "./fft.ts";
export { type SceneFloor, sceneFloors } from "./floors.ts";
export { type LogMel, logMel, type LogMelOptions, melFilters } from "./log_mel.ts";
export { countingPicture, GROUNDS, PICTURE_SIDE } from "./pictures.ts";
export { drawVoice, type Phone, SAMPLE_RATE, speak, type Voice } from "./speech.ts";
export { encodeWav } from "./wav.ts";
