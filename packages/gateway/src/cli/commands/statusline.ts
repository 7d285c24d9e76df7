import type { Readable } from "node:stream";
import type { BalanceJson } from "../../admin/balances.ts";
import { readAdminToken } from "../../callers/admin-token.ts";
import { readConfig } from "../../config/read-config.ts";
import { ACCESS_OPTIONS } from "../admin-access.ts";
import { shortAmount, untilText } from "../amounts.ts";
import type { Command, CommandContext, CommandInput } from "../command.ts";
import { activeFolder } from "../demo-folder.ts";
import { readRunning } from "../running-gateway.ts";
import type { Style } from "../style.ts";

/** A status line is drawn again and again, and nobody waits for it. */
const PATIENCE_MS = 2_000;
const STDIN_MS = 250;
const STDIN_MOST = 256 * 1024;

export const statusline: Command = {
  name: "statusline",
  summary: "one line on what is left, for the status line of a coding agent",
  usage: "[--url URL] [--data DIR]",
  help: [
    "Asks the gateway that the agent calls (ANTHROPIC_BASE_URL, OPENAI_BASE_URL, or the one that runs here) with the agent's own key (PURSER_KEY,",
    "ANTHROPIC_AUTH_TOKEN, ANTHROPIC_API_KEY, OPENAI_API_KEY). Reads the session from what Claude Code writes to its standard input.",
    "It always ends well: a status line that fails is one more thing to look after.",
    "",
    "  --url URL       the gateway",
    "  --config FILE, --data DIR   where to look for one that runs here",
    "  --json          what the line is made of",
    "",
    'For Claude Code, in ~/.claude/settings.json: { "statusLine": { "type": "command", "command": "purser statusline" } }',
  ].join("\n"),
  options: { ...ACCESS_OPTIONS, url: { type: "string" } },
  wordsMost: 0,
  async run(input, context) {
    const session = sessionOf(await readStdin(process.stdin));
    try {
      const { url, key } = await gatewayOf(input, context);
      if (url === undefined) return { exit: 0, text: "purser: no gateway", json: { data: [] } };
      const headers = {
        ...(key !== undefined && { authorization: `Bearer ${key}` }),
        ...(session !== undefined && { "x-claude-code-session-id": session }),
      };
      const response = await fetch(`${url}/budget`, { headers, signal: AbortSignal.timeout(PATIENCE_MS) });
      if (!response.ok) return { exit: 0, text: `purser: refused (${response.status})`, json: { data: [] } };
      const { data } = (await response.json()) as { readonly data: readonly BalanceJson[] };
      return { exit: 0, text: lineOf(data, context.now(), context.style), json: { data } };
    } catch {
      return { exit: 0, text: "purser: the gateway does not answer", json: { data: [] } };
    }
  },
};

async function gatewayOf({ options }: CommandInput, { cwd, env, now: _ }: CommandContext) {
  const asked = (options.url as string | undefined) ?? env.ANTHROPIC_BASE_URL ?? env.OPENAI_BASE_URL;
  const key = env.PURSER_KEY ?? env.ANTHROPIC_AUTH_TOKEN ?? env.ANTHROPIC_API_KEY ?? env.OPENAI_API_KEY;
  if (asked !== undefined) return { url: asked.replace(/\/+(v1\/*)?$/, ""), key };
  const flags = { data: options.data as string | undefined };
  const { dataDir } = readConfig({ file: options.config as string | undefined, environment: env, cwd, flags });
  const folder = activeFolder(dataDir);
  return { url: readRunning(folder)?.url, key: key ?? (await readAdminToken(folder)) };
}

/** The balance of which most is used, and that of the session, where there is one. */
function lineOf(balances: readonly BalanceJson[], now: number, style: Style): string {
  const share = ({ limit, left }: BalanceJson) => (limit === 0 ? 1 : (limit - left) / limit);
  const counted = balances.filter(({ unit }) => unit !== "concurrent").sort((a, b) => share(b) - share(a));
  const [fullest] = counted;
  if (!fullest) return "purser: no budget";
  const ofSession = counted.find(({ subject }) => /(^|,)session=/.test(subject));
  const shown = [...new Set([fullest, ...(ofSession ? [ofSession] : [])])];
  return shown.map((balance) => balanceText(balance, share(balance), now, style)).join(" · ");
}

function balanceText(balance: BalanceJson, share: number, now: number, style: Style): string {
  const { budget, unit, limit, left, resets_at } = balance;
  const amounts = `${shortAmount(limit - left, unit)} of ${shortAmount(limit, unit)}${unit === "nanodollars" ? "" : ` ${unit.replace("_", " ")}`}`;
  const resets = resets_at === null ? "" : `, resets ${untilText(resets_at, now)}`;
  const text = `${budget} ${amounts} (${Math.floor(share * 100)} %)${resets}`;
  return share >= 0.95 ? style.red(text) : share >= 0.8 ? style.yellow(text) : text;
}

/** What Claude Code says of itself: `{"session_id":"…"}`. Anything else is nothing. */
function sessionOf(text: string): string | undefined {
  try {
    const { session_id } = JSON.parse(text) as { readonly session_id?: unknown };
    return typeof session_id === "string" && /^[\w.:-]{1,256}$/.test(session_id) ? session_id : undefined;
  } catch {
    return undefined;
  }
}

/** What is there to be read within a moment: whoever calls by hand may have an input that never ends. */
function readStdin(stdin: Readable & { readonly isTTY?: boolean }): Promise<string> {
  if (stdin.isTTY) return Promise.resolve("");
  return new Promise((resolve) => {
    let text = "";
    const end = () => {
      clearTimeout(timer);
      stdin.pause();
      stdin.removeAllListeners("data");
      resolve(text);
    };
    const timer = setTimeout(end, STDIN_MS);
    stdin.setEncoding("utf8");
    stdin.on("data", (chunk: string) => {
      text += chunk;
      if (text.length > STDIN_MOST) end();
    });
    stdin.once("end", end);
    stdin.once("error", end);
  });
}
