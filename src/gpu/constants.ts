/**
 * WebGPU's flag values. The specification fixes them, so the library needs no global of any runtime.
 *
 * @module
 */

/** `GPUBufferUsage`, see the WebGPU specification, section 5.1.2. */
export const BUFFER_USAGE = {
  mapRead: 0x0001,
  copySrc: 0x0004,
  copyDst: 0x0008,
  uniform: 0x0040,
  storage: 0x0080,
  queryResolve: 0x0200,
} as const;

/** `GPUMapMode.READ`. */
export const MAP_READ = 0x0001;

/** `GPUShaderStage.COMPUTE`. */
export const STAGE_COMPUTE = 0x4;
