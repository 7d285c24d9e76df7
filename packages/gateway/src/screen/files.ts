import { hash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";

/** Where the build of the screen lies, beside what is compiled. */
const FOLDER = fileURLToPath(new URL("../dashboard", import.meta.url));
const PAGE = "/index.html";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2",
};

/** What a browser may do on the screen: run and show what comes from here, talk to nobody else, and stand in no other page. */
const SECURITY_HEADERS = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
} as const;

interface ScreenFile {
  readonly type: string;
  readonly etag: string;
  readonly plain: Buffer;
  /** Compressed when it was built, by the name of the encoding; best first. */
  readonly compressed: ReadonlyMap<string, Buffer>;
}

/** The files of the screen, by their path. None where it was not built. */
export type ScreenFiles = ReadonlyMap<string, ScreenFile>;

/** Reads the screen into memory: it is small, and what is served is never half of one build and half of another. */
export function readScreenFiles(folder = FOLDER): ScreenFiles {
  const files = new Map<string, ScreenFile>();
  for (const name of namesBelow(folder)) {
    const type = TYPES[extname(name)];
    if (type === undefined) continue;
    const plain = readFileSync(`${folder}/${name}`);
    const compressed = new Map(
      [["br", ".br"] as const, ["gzip", ".gz"] as const].flatMap(([encoding, suffix]) => {
        const bytes = readIfThere(`${folder}/${name}${suffix}`);
        return bytes ? [[encoding, bytes] as const] : [];
      }),
    );
    files.set(`/${name}`, { type, plain, compressed, etag: `"${hash("sha256", plain, "base64url").slice(0, 22)}"` });
  }
  return files;
}

function namesBelow(folder: string): readonly string[] {
  try {
    return readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => name.replaceAll("\\", "/"));
  } catch {
    return [];
  }
}

function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}

/** Which file of the screen a request is for: the one at its path, or the page itself where a browser goes to one of its addresses. */
export function screenFileFor(files: ScreenFiles, { method, headers }: IncomingMessage, path: string): ScreenFile | undefined {
  if (method !== "GET" && method !== "HEAD") return undefined;
  if (path === "/") return files.get(PAGE);
  return files.get(path) ?? (isVisit(headers.accept, path) ? files.get(PAGE) : undefined);
}

/** Programs that call a wrong path get an answer that says so; people who open an address of the screen get the screen. */
function isVisit(accept = "", path: string): boolean {
  return accept.includes("text/html") && !/^\/(v1|v1beta|api|openai|assets)\b/.test(path);
}

export function serveScreenFile(file: ScreenFile, request: IncomingMessage, response: ServerResponse, path: string): void {
  const isHashed = path.startsWith("/assets/");
  const headers = {
    ...SECURITY_HEADERS,
    "content-type": file.type,
    "cache-control": isHashed ? "public, max-age=31536000, immutable" : "no-cache",
    etag: file.etag,
    vary: "accept-encoding",
  };
  if (request.headers["if-none-match"] === file.etag) {
    response.writeHead(304, headers).end();
    return;
  }
  const accepted = String(request.headers["accept-encoding"] ?? "");
  const [encoding, bytes] = [...file.compressed].find(([name]) => new RegExp(`\\b${name}\\b`).test(accepted)) ?? [undefined, file.plain];
  response.writeHead(200, { ...headers, "content-length": bytes.length, ...(encoding && { "content-encoding": encoding }) });
  response.end(request.method === "HEAD" ? undefined : bytes);
}
