/** A hub on this machine, which can be told to misbehave. */
import { createHash } from "node:crypto";

/** What a served file is. */
export interface Served {
  /** Its bytes. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** How its etag is made: a large file's SHA-256, a git blob's SHA-1, or a text of its own. */
  readonly etag?: "sha256" | "git" | string;
  /** Cut every answer after so many bytes. */
  cutAfter?: number;
  /** Pay no heed to ranges. */
  noRanges?: boolean;
}

/** A running hub. */
export interface TestHub extends AsyncDisposable {
  /** Its address. */
  readonly endpoint: string;
  /** Requests so far: method, path, range. */
  readonly requests: string[];
  /** The `authorization` header of the last request. */
  readonly token: () => string | null;
}

const COMMIT = "0123456789abcdef0123456789abcdef01234567";

function etagOf({ bytes, etag = "sha256" }: Served): string {
  if (etag === "sha256") return createHash("sha256").update(bytes).digest("hex");
  if (etag !== "git") return etag;
  return createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
}

/** Answers with the bytes from `from` on, cut as the file says. */
function answer(file: Served, from: number): Response {
  const { bytes, cutAfter } = file, rest = bytes.subarray(from);
  const headers = new Headers({
    "content-length": String(rest.length),
    ...(from > 0 && { "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` }),
  });
  const status = from > 0 ? 206 : 200;
  if (cutAfter === undefined) return new Response(rest, { status, headers });
  const body = new ReadableStream<Uint8Array>({
    async start(controller) {
      controller.enqueue(rest.slice(0, cutAfter));
      await new Promise((resolve) => setTimeout(resolve, 100)); // let it go out
      controller.error(new Error("cut"));
    },
  });
  return new Response(body, { status, headers });
}

/** Serves `owner/model` with these files at one commit. */
export function serveHub(files: Record<string, Served>, names = Object.keys(files)): TestHub {
  const requests: string[] = [];
  let token: string | null = null;
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
    const { pathname } = new URL(request.url);
    const range = request.headers.get("range");
    requests.push(`${request.method} ${pathname}${range ? ` ${range}` : ""}`);
    token = request.headers.get("authorization");
    if (pathname.startsWith("/api/models/owner/model/revision/")) {
      return Response.json({ sha: COMMIT, siblings: names.map((rfilename) => ({ rfilename })) });
    }
    const name = decodeURIComponent(pathname).replace(`/owner/model/resolve/${COMMIT}/`, "");
    const file = files[name];
    if (!file) return new Response("no such file", { status: 404 });
    if (request.method === "HEAD") {
      const headers: Record<string, string> = { "x-repo-commit": COMMIT };
      if ((file.etag ?? "sha256") === "sha256") {
        headers["x-linked-etag"] = `"${etagOf(file)}"`;
        headers["x-linked-size"] = String(file.bytes.length);
        headers.location = new URL(`/cdn/${name}`, request.url).href;
        return new Response(null, { status: 302, headers });
      }
      headers.etag = `W/"${etagOf(file)}"`;
      headers["content-length"] = String(file.bytes.length);
      return new Response(null, { headers });
    }
    const from = file.noRanges ? 0 : Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0);
    return answer(file, from);
  });
  return {
    endpoint: `http://127.0.0.1:${server.addr.port}`,
    requests,
    token: () => token,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}
