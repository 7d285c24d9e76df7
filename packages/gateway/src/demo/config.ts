import { defineBudget } from "@purser/core";
import { type Config, EMBEDDED, NO_LOGIN, type ServerConfig } from "../config/config.ts";
import { at } from "../providers/provider.ts";
import { DEMO_MODELS } from "./models.ts";

/** What the demo is told, with its provider at this address. */
export function demoConfig({ url }: { readonly url: string }, server: ServerConfig, dataDir: string): Config {
  return {
    file: undefined,
    otherFiles: [],
    server,
    dataDir,
    store: EMBEDDED,
    timezone: "UTC",
    providers: [
      {
        name: "demo",
        baseUrls: {
          ...at(`${url}/v1`, ["openai-chat", "openai-responses", "vertex-content"]),
          ...at(url, ["anthropic-messages", "gemini-content", "cohere-chat", "bedrock-converse"]),
        },
        authHeader: "authorization",
        apiKey: "none-needed",
        models: DEMO_MODELS,
        deployments: {},
        headers: {},
        timeoutMs: 60_000,
      },
    ],
    routes: [],
    models: [],
    channels: [],
    answers: new Map(),
    guards: [],
    watched: [],
    captured: [],
    failing: [],
    unused: [],
    allowanceUsed: [],
    ending: [],
    budgets: [
      defineBudget({ name: "company", limits: ["$20 / month"] }),
      defineBudget({ name: "team demo", for: { team: "demo" }, limits: ["$5 / week", "1M tokens / day"] }),
      defineBudget({
        name: "chat feature",
        for: { feature: "chat" },
        limits: ["200k tokens / day"],
        request: { maxInput: 4_000, maxOutput: 500 },
      }),
      defineBudget({ name: "each user", per: "user", limits: ["20k tokens / day", "60 requests / hour", "4 concurrent"] }),
      defineBudget({ name: "each task", per: "task", limits: ["$0.05"] }),
      defineBudget({ name: "tiny", for: { feature: "tiny" }, limits: ["300 tokens / day"] }),
    ],
    prices: [
      { provider: "demo", model: "demo-1", input: "2.50", output: "10", batch: 0.5, max_output: 1_000 },
      { provider: "demo", model: "demo-mini", input: "0.15", output: "0.60", batch: 0.5, max_output: 1_000 },
    ],
    defaultPrice: undefined,
    allowances: [],
    commitments: [],
    defaultMaxOutput: 1_000,
    unseenInput: undefined,
    holds: "full",
    onDisconnect: "abort",
    login: NO_LOGIN,
    telemetry: undefined,
    expose: { cost: true, left: true, owner: true },
  };
}
