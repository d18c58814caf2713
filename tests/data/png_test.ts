import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { encodePng, isPng, pngSize } from "../../src/data/png.ts";

/** The parts of a PNG file, read independently of the writer. */
async function readPng(file: Uint8Array<ArrayBuffer>) {
  const view = new DataView(file.buffer), chunks = new Map<string, Uint8Array<ArrayBuffer>>();
  let crcErrors = 0;
  for (let at = 8; at < file.length;) {
    const length = view.getUint32(at), type = new TextDecoder().decode(file.slice(at + 4, at + 8));
    chunks.set(type, file.slice(at + 8, at + 8 + length));
    let crc = 0xffffffff;
    for (const byte of file.subarray(at + 4, at + 8 + length)) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
    if ((~crc >>> 0) !== view.getUint32(at + 8 + length)) crcErrors++;
    at += 12 + length;
  }
  const zlib = new Blob([chunks.get("IDAT")!]).stream()
    .pipeThrough(new DecompressionStream("deflate"));
  const lines = new Uint8Array(await new Response(zlib).arrayBuffer());
  return { signature: [...file.slice(0, 8)], types: [...chunks.keys()], chunks, lines, crcErrors };
}

Deno.test("encodePng() writes what went in when given RGB", async () => {
  const rgb = Uint8Array.from({ length: 3 * 5 * 2 }, (_, i) => i * 7);
  const png = await readPng(await encodePng(5, 2, rgb));
  assertEquals(png.signature, [137, 80, 78, 71, 13, 10, 26, 10]);
  assertEquals(png.types, ["IHDR", "IDAT", "IEND"]);
  assertEquals(png.crcErrors, 0);
  assertEquals([...png.chunks.get("IHDR")!], [0, 0, 0, 5, 0, 0, 0, 2, 8, 2, 0, 0, 0]);
  assertEquals([...png.lines], [0, ...rgb.slice(0, 15), 0, ...rgb.slice(15)]);
});

Deno.test("encodePng() marks the colour type when given RGBA", async () => {
  const png = await readPng(await encodePng(2, 1, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)));
  assertEquals(png.chunks.get("IHDR")![9], 6);
  assertEquals([...png.lines], [0, 1, 2, 3, 4, 5, 6, 7, 8]);
});

Deno.test("encodePng() throws RangeError when sides and bytes do not match", async () => {
  const bytes = new Uint8Array(12);
  await assertRejects(() => encodePng(2, 3, bytes), RangeError, "18 bytes of RGB");
  await assertRejects(() => encodePng(0, 3, bytes), RangeError);
  await assertRejects(() => encodePng(1.5, 2, bytes), RangeError);
});

Deno.test("encodePng() writes a file that decoders accept", async () => {
  const png = await encodePng(2, 3, new Uint8Array(2 * 3 * 4).fill(9));
  const image = await createImageBitmap(new Blob([png], { type: "image/png" }));
  assertEquals([image.width, image.height], [2, 3]);
});

Deno.test("pngSize() reads the sides, and throws when the bytes are no PNG file", async () => {
  assertEquals(pngSize(await encodePng(5, 2, new Uint8Array(30))), { width: 5, height: 2 });
  assertEquals(isPng(new Uint8Array(100)), false);
  assertThrows(() => pngSize(new Uint8Array(3)), SyntaxError, "3 bytes");
});
