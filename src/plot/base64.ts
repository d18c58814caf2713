/**
 * Base64, for pictures inside JSON and HTML.
 *
 * @module
 */

/**
 * Writes bytes as base64 text.
 *
 * @param bytes Any bytes.
 * @returns Their base64 form, without line breaks.
 */
export function encodeBase64(bytes: Uint8Array): string {
  let binary = "";
  // In parts, because a call takes a limited number of arguments.
  for (let start = 0; start < bytes.length; start += 0x8000) {
    binary += String.fromCharCode(...bytes.subarray(start, start + 0x8000));
  }
  return btoa(binary);
}
