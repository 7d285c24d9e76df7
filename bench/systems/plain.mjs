/**
 * The plain Node proxy: `node:http` in front, `undici` behind, and nothing in between. What it costs is what any gateway on these two pays before it does
 * any work of its own. The `undici` is the gateway's.
 */
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { parseArgs } from "node:util";

const requireAsGateway = createRequire(createRequire(import.meta.url).resolve("purser/package.json"));
const { Pool } = requireAsGateway("undici");

const { values } = parseArgs({ options: { upstream: { type: "string" } } });
// No limit of connections: a limit would cap the streams that can be open at a time.
const pool = new Pool(values.upstream, { pipelining: 1, connections: null });
const HOP_BY_HOP = new Set(["connection", "host", "keep-alive", "transfer-encoding", "upgrade", "expect"]);

const server = createServer((request, response) => {
  const length = Number(request.headers["content-length"] ?? 0);
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => forward(request, response, parts.length === 1 ? parts[0] : Buffer.concat(parts, length)));
});

function forward(request, response, body) {
  const headers = [];
  for (let index = 0; index < request.rawHeaders.length; index += 2) {
    const name = request.rawHeaders[index];
    if (!HOP_BY_HOP.has(name.toLowerCase())) headers.push(name, request.rawHeaders[index + 1]);
  }
  pool.dispatch({ path: request.url, method: request.method, headers, body }, new Passage(response));
}

/** Hands the answer on as it comes. */
class Passage {
  #response;
  constructor(response) {
    this.#response = response;
  }
  onRequestStart(controller) {
    this.#response.on("drain", () => controller.resume());
    this.#response.on("close", () => this.#response.writableFinished || controller.abort(new Error("The caller is gone.")));
  }
  onResponseStart(_controller, status, headers) {
    delete headers["transfer-encoding"];
    delete headers.connection;
    delete headers["keep-alive"];
    this.#response.writeHead(status, headers);
  }
  onResponseData(controller, chunk) {
    if (!this.#response.write(chunk)) controller.pause();
  }
  onResponseEnd() {
    this.#response.end();
  }
  onResponseError(_controller, error) {
    if (this.#response.headersSent) this.#response.destroy(error);
    else this.#response.writeHead(502).end(String(error));
  }
}

server.keepAliveTimeout = 60_000;
server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => process.send({ port: server.address().port }));
process.on("disconnect", () => process.exit());
