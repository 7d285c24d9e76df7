import { isRecord, listOf, recordOf, tokenCount } from "../json-value.ts";

/** A tool that runs at the provider. */
interface HostedTool {
  /** Its name in the rate card; none for a tool that costs only what the model reads of it. */
  readonly name: string | undefined;
  /** Whether its results are given to the model to read. */
  readonly bringsText: boolean;
  /** The most uses that one answer is likely to have, where that is fewer than of other tools. */
  readonly usesMost?: number;
}

const SEARCHES = new Set(["web_search", "web_search_preview", "file_search", "x_search", "collections_search", "document_search"]);
/** A container is charged once, however often code runs in it. */
const CONTAINER: HostedTool = { name: "code_interpreter", bringsText: true, usesMost: 1 };

/** What a tool of a call may cost. Nothing for one that the caller runs, such as a function. */
export function feeOf(tool: unknown): HostedTool | undefined {
  const { type, environment } = recordOf(tool);
  if (typeof type !== "string") return undefined;
  const kind = type.replace(/_\d{4}_\d\d_\d\d$/, "");
  if (SEARCHES.has(kind)) return { name: kind, bringsText: true };
  if (kind === "code_interpreter" || kind === "code_execution") return CONTAINER;
  if (kind === "shell") return recordOf(environment).type === "local" || environment === undefined ? undefined : CONTAINER;
  if (kind === "image_generation") return { name: kind, bringsText: false, usesMost: 1 };
  return kind === "mcp" ? { name: undefined, bringsText: true } : undefined;
}

/** How often tools were used that the provider charges for. Nothing where the answer does not say. */
export function toolUses(response: Readonly<Record<string, unknown>>): Readonly<Record<string, number>> | undefined {
  const { output, tools, usage } = response;
  const reported = recordOf(usage).server_side_tool_usage_details;
  if (isRecord(reported)) return reportedUses(reported);
  const fees = listOf(tools).map(feeOf);
  if (!Array.isArray(output) || fees.every((fee) => fee?.name === undefined)) return undefined;
  const isPreview = fees.some((fee) => fee?.name === "web_search_preview");
  const uses: Record<string, number> = {};
  const containers = new Set<unknown>();
  for (const item of output.map(recordOf)) {
    const name = usedTool(item, isPreview);
    if (name === CONTAINER.name) containers.add(item.container_id);
    else if (name !== undefined) uses[name] = (uses[name] ?? 0) + 1;
  }
  return containers.size > 0 ? { ...uses, code_interpreter: containers.size } : uses;
}

/** The tool that an item of the output is a use of, by its name in the rate card. Opening a page that was found is free. */
function usedTool({ type, action }: Readonly<Record<string, unknown>>, isPreview: boolean): string | undefined {
  if (type === "web_search_call") {
    const kind = recordOf(action).type ?? "search";
    return kind === "search" ? (isPreview ? "web_search_preview" : "web_search") : undefined;
  }
  if (type === "code_interpreter_call" || type === "shell_call") return "code_interpreter";
  const kind = typeof type === "string" ? type.replace(/_call$/, "") : "";
  return kind !== type && (SEARCHES.has(kind) || kind === "image_generation") ? kind : undefined;
}

/** xAI counts them itself: `web_search_calls: 2`. */
function reportedUses(reported: Readonly<Record<string, unknown>>): Readonly<Record<string, number>> {
  const uses: Record<string, number> = {};
  for (const [name, value] of Object.entries(reported)) {
    const count = tokenCount(value);
    if (count) uses[name.replace(/_calls$/, "")] = count;
  }
  return uses;
}
