import { PurserError } from "@purser/core";
import type { Caller } from "../callers/identify.ts";
import type { Gateway } from "../gateway.ts";
import { TOOLS } from "./tools.ts";

/** Versions of the Model Context Protocol in which our few methods are the same, the newest first. */
const VERSIONS = ["2025-11-25", "2025-06-18", "2025-03-26"];

export interface McpAnswer {
  readonly status: number;
  /** Nothing for what is only told. */
  readonly body: unknown;
}

const CODES = { unreadable: -32700, invalid: -32600, unknownMethod: -32601, wrongParameters: -32602 } as const;

/** Answers one message of an agent, in the Streamable HTTP form of the protocol without streams or sessions: every answer is whole. */
export async function answerMcp(gateway: Gateway, caller: Caller, bytes: Buffer): Promise<McpAnswer> {
  let message: unknown;
  try {
    message = JSON.parse(bytes.toString("utf8"));
  } catch {
    return failure(400, null, CODES.unreadable, "This is no JSON.");
  }
  const { jsonrpc, id, method, params = {} } = (message ?? {}) as Readonly<Record<string, unknown>>;
  if (jsonrpc !== "2.0" || typeof method !== "string") return failure(400, null, CODES.invalid, "This is no JSON-RPC 2.0 request.");
  if (id === undefined) return { status: 202, body: undefined };
  const result = (value: unknown): McpAnswer => ({ status: 200, body: { jsonrpc, id, result: value } });
  const given = params as Readonly<Record<string, unknown>>;
  if (method === "initialize") {
    const asked = VERSIONS.find((version) => version === given.protocolVersion);
    return result({
      protocolVersion: asked ?? VERSIONS[0],
      capabilities: { tools: {} },
      serverInfo: { name: "purser", title: "Purser", version: "1" },
      instructions:
        "Your calls are charged to budgets. Look at what is left before you begin something long, and ask for more before it is gone.",
    });
  }
  if (method === "ping") return result({});
  if (method === "tools/list") return result({ tools: TOOLS.map(toolJson) });
  if (method !== "tools/call") return failure(200, id, CODES.unknownMethod, `There is no method "${method}" here.`);
  const tool = TOOLS.find(({ name }) => name === given.name);
  if (!tool)
    return failure(
      200,
      id,
      CODES.wrongParameters,
      `There is no tool "${given.name}". Tools are ${TOOLS.map(({ name }) => name).join(", ")}.`,
    );
  try {
    const input = (given.arguments ?? {}) as Readonly<Record<string, unknown>>;
    const { text, data } = await tool.run({ gateway, caller, input, now: Date.now() });
    return result({ content: [{ type: "text", text }], structuredContent: data });
  } catch (error) {
    // The model that asked is told what is wrong, and can mend it.
    if (error instanceof PurserError && error.code !== "internal")
      return result({ content: [{ type: "text", text: error.message }], isError: true });
    throw error;
  }
}

function toolJson({ name, description, isReading, inputSchema }: (typeof TOOLS)[number]): object {
  const annotations = { readOnlyHint: isReading, destructiveHint: false, idempotentHint: true, openWorldHint: false };
  return { name, description, inputSchema, annotations };
}

function failure(status: number, id: unknown, code: number, message: string): McpAnswer {
  return { status, body: { jsonrpc: "2.0", id, error: { code, message } } };
}
