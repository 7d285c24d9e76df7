import { useState } from "react";
import { Choice } from "../components/controls.tsx";
import { Copyable } from "../components/copy.tsx";

type Tool = "openai" | "anthropic" | "vercel" | "claude-code" | "codex" | "cursor" | "gemini" | "curl";

const TOOLS: readonly (readonly [Tool, string])[] = [
  ["openai", "OpenAI SDK"],
  ["anthropic", "Anthropic SDK"],
  ["vercel", "AI SDK"],
  ["claude-code", "Claude Code"],
  ["codex", "Codex"],
  ["cursor", "Cursor"],
  ["gemini", "Gemini"],
  ["curl", "curl"],
];

/** How each tool is pointed here, ready to be pasted. */
export function Snippets({ secret }: { secret: string }) {
  const [tool, setTool] = useState<Tool>("openai");
  const url = window.location.origin;
  return (
    <div className="grid grid-cols-1 gap-3">
      {secret !== "pk-…" && <Copyable label="The key" text={secret} />}
      <Choice label="Tool" value={tool} options={TOOLS} onChange={setTool} />
      <Copyable label={`Settings for ${TOOLS.find(([one]) => one === tool)?.[1]}`} text={SNIPPETS[tool](url, secret)} />
    </div>
  );
}

const SNIPPETS: Readonly<Record<Tool, (url: string, key: string) => string>> = {
  openai: (url, key) => `export OPENAI_BASE_URL=${url}/v1\nexport OPENAI_API_KEY=${key}`,
  anthropic: (url, key) => `export ANTHROPIC_BASE_URL=${url}\nexport ANTHROPIC_API_KEY=${key}`,
  vercel: (url, key) =>
    `import { createOpenAI } from "@ai-sdk/openai";\n\nconst openai = createOpenAI({\n  baseURL: "${url}/v1",\n  apiKey: "${key}",\n});`,
  "claude-code": (url, key) => `export ANTHROPIC_BASE_URL=${url}\nexport ANTHROPIC_AUTH_TOKEN=${key}\nclaude`,
  codex: (url, key) =>
    `# ~/.codex/config.toml\nmodel_provider = "purser"\n\n[model_providers.purser]\nname = "Purser"\nbase_url = "${url}/v1"\nwire_api = "responses"\nenv_key = "PURSER_KEY"\n\n# and in the shell\nexport PURSER_KEY=${key}`,
  cursor: (url, key) => `Settings → Models → API Keys\n\nOpenAI API Key             ${key}\nOverride OpenAI Base URL   ${url}/v1`,
  gemini: (url, key) => `export GOOGLE_GEMINI_BASE_URL=${url}\nexport GEMINI_API_KEY=${key}`,
  curl: (url, key) =>
    `curl ${url}/v1/chat/completions \\\n  -H "Authorization: Bearer ${key}" -H "content-type: application/json" \\\n  -d '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello"}]}'`,
};
