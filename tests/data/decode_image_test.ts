import { assertEquals, assertLessOrEqual, assertRejects } from "@std/assert";
import { decodeImage } from "../../src/data/decode_image.ts";
import { encodePng, isPng } from "../../src/data/png.ts";

/** 5 x 3 pixels, quality 90, no subsampling: pixel i is (16 i, 255 - 16 i, 50 (i mod 5)). */
const JPEG = Uint8Array.from(
  atob(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wCEAAMDAwMDAwQEBAQFBQUFBQcHBgYHBwsICQgJCAsRCwwLCwwLEQ8SDw4PEg8b" +
      "FRMTFRsfGhkaHyYiIiYwLTA+PlQBAwMDAwMDBAQEBAUFBQUFBwcGBgcHCwgJCAkICxELDAsLDAsRDxIPDg8SDxsVExMV" +
      "Gx8aGRofJiIiJjAtMD4+VP/AABEIAAMABQMBEQACEQEDEQH/xABcAAEAAAAAAAAAAAAAAAAAAAAGEAACAwAAAAAAAAAA" +
      "AAAAAAADBQASNAEBAQAAAAAAAAAAAAAAAAAABgcRAAAFAgcAAAAAAAAAAAAAAAABAgQHBUIGFRYjJkHR/9oADAMBAAIR" +
      "AxEAPwA6N84rsLEUN05jpZOwiwXDDEPRll5cZYdWn6P/2Q==",
  ),
  (c) => c.charCodeAt(0),
);

/** A PNG file of any header: bits, colour type, chunks before the pixels, and rows behind a filter. */
async function png(
  header: { width: number; height: number; bits: number; type: number },
  lines: readonly number[],
  before: Record<string, readonly number[]> = {},
): Promise<Uint8Array> {
  const file = await encodePng(1, 1, new Uint8Array(3)), view = new DataView(file.buffer);
  view.setUint32(16, header.width);
  view.setUint32(20, header.height);
  file.set([header.bits, header.type], 24);
  const zlib = new Blob([Uint8Array.from(lines)]).stream()
    .pipeThrough(new CompressionStream("deflate"));
  const deflated = new Uint8Array(await new Response(zlib).arrayBuffer());
  const chunk = (type: string, data: Uint8Array) => {
    const bytes = new Uint8Array(12 + data.length), chunkView = new DataView(bytes.buffer);
    chunkView.setUint32(0, data.length);
    bytes.set(new TextEncoder().encode(type), 4);
    bytes.set(data, 8);
    let crc = 0xffffffff;
    for (const byte of bytes.subarray(4, 8 + data.length)) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
    chunkView.setUint32(8 + data.length, ~crc >>> 0);
    return bytes;
  };
  const parts = [
    file.slice(0, 8),
    chunk("IHDR", file.slice(16, 29)),
    ...Object.entries(before).map(([type, data]) => chunk(type, Uint8Array.from(data))),
    chunk("IDAT", deflated),
    chunk("IEND", new Uint8Array()),
  ];
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

Deno.test("decodeImage() gives back the pixels of a PNG file", async () => {
  const data = Uint8Array.from({ length: 3 * 7 * 4 }, (_, i) => i * 5);
  assertEquals(await decodeImage(await encodePng(7, 4, data)), { width: 7, height: 4, data });
});

Deno.test("decodeImage() drops transparency, as Pillow's convert", async () => {
  const image = await decodeImage(await encodePng(2, 1, Uint8Array.of(1, 2, 3, 0, 5, 6, 7, 255)));
  assertEquals([...image.data], [1, 2, 3, 5, 6, 7]);
});

Deno.test("decodeImage() reads grey, palettes, and other numbers of bits", async () => {
  const size = { width: 3, height: 2 };
  const read = async (...args: Parameters<typeof png>) => [
    ...(await decodeImage(await png(...args))).data,
  ];
  const three = (grey: number[]) => grey.flatMap((g) => [g, g, g]);
  assertEquals(
    await read({ ...size, bits: 8, type: 0 }, [0, 9, 8, 7, 0, 6, 5, 4]),
    three([9, 8, 7, 6, 5, 4]),
  );
  assertEquals(
    await read({ ...size, bits: 1, type: 0 }, [0, 0b10100000, 0, 0b01000000]),
    three([255, 0, 255, 0, 255, 0]),
  );
  assertEquals(
    await read({ ...size, bits: 2, type: 0 }, [0, 0b00011011, 0, 0b11100100]),
    three([0, 85, 170, 255, 170, 85]),
  );
  assertEquals(
    await read({ width: 2, height: 1, bits: 16, type: 0 }, [0, 200, 1, 3, 255]),
    three([200, 3]),
  );
  assertEquals(
    await read({ width: 2, height: 1, bits: 8, type: 4 }, [0, 10, 0, 20, 255]),
    three([10, 20]),
  );
  assertEquals(
    await read({ width: 3, height: 1, bits: 4, type: 3 }, [0, 0x01, 0x20], {
      PLTE: [1, 2, 3, 4, 5, 6, 7, 8, 9],
      tRNS: [0],
    }),
    [1, 2, 3, 4, 5, 6, 7, 8, 9],
  );
});

Deno.test("decodeImage() reads a JPEG file to within its rounding", async () => {
  const { width, height, data } = await decodeImage(JPEG);
  assertEquals([width, height, data.length], [5, 3, 45]);
  for (let i = 0; i < 15; i++) {
    const want = [16 * i, 255 - 16 * i, 50 * (i % 5)];
    want.forEach((v, c) => assertLessOrEqual(Math.abs(data[3 * i + c] - v), 4, `pixel ${i}`));
  }
});

Deno.test("decodeImage() throws SyntaxError when a file is cut short or broken", async () => {
  const whole = await encodePng(9, 9, Uint8Array.from({ length: 243 }, (_, i) => i * i));
  for (const part of [whole.slice(0, 40), whole.slice(0, -20), JPEG.slice(0, 60)]) {
    await assertRejects(() => decodeImage(part), SyntaxError);
  }
  const broken = whole.slice();
  broken[60] ^= 255;
  await assertRejects(() => decodeImage(broken), SyntaxError, "PNG of");
  const short = await png({ width: 3, height: 9, bits: 8, type: 0 }, [0, 1, 2, 3]);
  await assertRejects(() => decodeImage(short), SyntaxError);
  await assertRejects(() => decodeImage(JPEG.slice(0, 250)), SyntaxError, "JPEG of 250 bytes");
  assertEquals((await decodeImage(JPEG)).width, 5); // and the decoder still works
});

Deno.test("decodeImage() names the format when it is another", async () => {
  const text = (start: string) => new TextEncoder().encode(start.padEnd(30));
  await assertRejects(() => decodeImage(text("GIF89a")), TypeError, "a GIF picture");
  await assertRejects(() => decodeImage(text("RIFF")), TypeError, "WebP");
  await assertRejects(() => decodeImage(text("hello")), TypeError, "neither");
  await assertRejects(() => decodeImage(new Uint8Array()), TypeError, "0 bytes");
});

Deno.test("decodeImage() throws RangeError before it takes memory for a huge picture", async () => {
  const huge = await png({ width: 60000, height: 60000, bits: 8, type: 2 }, [0]);
  assertEquals(isPng(huge), true);
  await assertRejects(() => decodeImage(huge), RangeError, "60000 x 60000");
  const jpeg = JPEG.slice(), at = jpeg.findIndex((b, i) => b === 0xff && jpeg[i + 1] === 0xc0);
  jpeg.set([0xff, 0xff, 0xff, 0xff], at + 5);
  await assertRejects(() => decodeImage(jpeg), RangeError, "65535 x 65535");
});
