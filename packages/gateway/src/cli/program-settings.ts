/** The variables by which programs find the gateway, with its address in each of the forms that they want. */
export function addressesOf(url: string) {
  return { OPENAI_BASE_URL: `${url}/v1`, OPENAI_API_BASE: `${url}/v1`, ANTHROPIC_BASE_URL: url, GOOGLE_GEMINI_BASE_URL: url };
}

/** What a shell is to be told so that a program makes its calls through the gateway. */
type ShellLines = (url: string, key: string) => readonly string[];

/** By the name of the program, or of the maker whose clients it is for. */
export const PROGRAMS: Readonly<Record<string, ShellLines>> = {
  claude: (url, key) => exported({ ANTHROPIC_BASE_URL: url, ANTHROPIC_AUTH_TOKEN: key }),
  // It does not read OPENAI_BASE_URL.
  codex: (url, key) => [
    ...exported({ CODEX_API_KEY: key }),
    `alias codex=${quoted(`codex -c openai_base_url=${JSON.stringify(`${url}/v1`)}`)}`,
  ],
  gemini: (url, key) => exported({ GOOGLE_GEMINI_BASE_URL: url, GEMINI_API_KEY: key }),
  opencode: (url, key) => exported({ PURSER_KEY: key, OPENCODE_CONFIG_CONTENT: JSON.stringify(opencodeConfig(url)) }),
  qwen: (url, key) => exported({ OPENAI_BASE_URL: `${url}/v1`, OPENAI_API_KEY: key }),
  openai: (url, key) => exported({ OPENAI_BASE_URL: `${url}/v1`, OPENAI_API_KEY: key }),
};

function opencodeConfig(url: string): unknown {
  const options = (path: string) => ({ options: { baseURL: url + path, apiKey: "{env:PURSER_KEY}" } });
  return { provider: { anthropic: options("/v1"), openai: options("/v1"), google: options("/v1beta") } };
}

function exported(variables: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(variables).map(([name, value]) => `export ${name}=${quoted(value)}`);
}

/** Quoted for a POSIX shell, where it has to be. */
function quoted(value: string): string {
  return /^[\w./:@-]+$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`;
}
