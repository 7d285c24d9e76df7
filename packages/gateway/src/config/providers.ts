import { PRESETS } from "../providers/presets/index.ts";
import { DIALECTS, type DialectName, type Provider, type ProviderPreset } from "../providers/provider.ts";
import { DEFAULTS, type ProviderFields } from "./description.ts";
import type { Located } from "./field.ts";
import { nearestName } from "./nearest-name.ts";
import type { Place } from "./source.ts";

export type Environment = Readonly<Record<string, string | undefined>>;
type BaseUrls = Provider["baseUrls"];

/** Every preset that says where it is, with the key of its variable where that is set. */
export function presetProviders(environment: Environment): readonly Provider[] {
  return [...PRESETS.values()]
    .filter(({ baseUrls }) => Object.keys(baseUrls).length > 0)
    .map((preset) => ({
      name: preset.name,
      baseUrls: preset.baseUrls,
      authHeader: preset.authHeader,
      apiKey: environmentKey(preset, environment),
      models: preset.models,
      headers: {},
      timeoutMs: DEFAULTS.timeoutMs,
    }));
}

/** A provider as the file has it, completed by the preset of its name. */
export function configuredProvider(name: string, { value, place }: Located<ProviderFields>, environment: Environment): Provider {
  const preset = PRESETS.get(name);
  return {
    name,
    baseUrls: baseUrlsOf(value, preset, place),
    authHeader: value.auth_header ?? preset?.authHeader ?? "authorization",
    apiKey: isGiven(place, "api_key") ? value.api_key : environmentKey(preset, environment),
    models: value.models ?? preset?.models ?? [],
    headers: Object.fromEntries(value.headers ?? []),
    timeoutMs: value.timeout ?? DEFAULTS.timeoutMs,
  };
}

function baseUrlsOf({ base_url: given, dialect }: ProviderFields, preset: ProviderPreset | undefined, place: Place): BaseUrls {
  if (given === undefined) return isGiven(place, "base_url") ? {} : presetUrls(dialect, preset, place);
  if (typeof given === "object") {
    const urls: { [name in DialectName]?: string } = {};
    for (const [name, url] of Object.entries(given)) {
      if (url === undefined) continue;
      const long =
        ({ openai: "openai-chat", anthropic: "anthropic-messages" } as Record<string, DialectName>)[name] ?? (name as DialectName);
      if (urls[long] !== undefined) place.field("base_url").problem(`names ${long} twice.`);
      urls[long] = checkedForDialect(url, long, place);
    }
    if (dialect !== undefined) place.field("dialect").problem("stands beside URLs that already say their dialect. Remove it.");
    if (Object.keys(urls).length === 0) place.field("base_url").problem("is empty. Write a URL, or one for openai and one for anthropic.");
    return urls;
  }
  const known = DIALECTS.filter((name) => preset?.baseUrls[name] !== undefined);
  const spoken = dialect ?? known[0] ?? (preset ? "openai-chat" : undefined);
  if (spoken === undefined) {
    place.field("dialect").problem("is missing. Write dialect: openai or dialect: anthropic, whichever the provider speaks.");
    return {};
  }
  if (dialect === undefined && known.length > 1) {
    place
      .field("base_url")
      .warning(
        `is used for ${spoken} only, so this provider no longer speaks ${known.slice(1).join(" and ")}. Write one URL for openai and one for anthropic.`,
      );
  }
  return { [spoken]: checkedForDialect(given, spoken, place) };
}

function presetUrls(dialect: DialectName | undefined, preset: ProviderPreset | undefined, place: Place): BaseUrls {
  if (!preset || Object.keys(preset.baseUrls).length === 0) {
    const name = place.path.slice("providers.".length);
    const nearest = preset ? undefined : nearestName(name, [...PRESETS.keys()]);
    const hint = nearest === undefined ? "" : ` Or did you mean the preset "${nearest}"?`;
    place.problem(`base_url is missing. ${preset ? "This one runs where you run it" : "It is not a preset"}: say where it is.${hint}`);
    return {};
  }
  if (dialect === undefined) return preset.baseUrls;
  const url = preset.baseUrls[dialect];
  if (url !== undefined) return { [dialect]: url };
  place
    .field("dialect")
    .problem(`${preset.name} does not speak ${dialect} that we know of. Write a base_url for it, or leave dialect out.`);
  return {};
}

/** The clients of Anthropic append `/v1/messages`, so a base URL that ends in `/v1` would lead to `/v1/v1/messages`. */
function checkedForDialect(url: string, dialect: DialectName, place: Place): string {
  if (dialect === "anthropic-messages" && url.endsWith("/v1")) {
    place.field("base_url").problem("ends with /v1, and /v1/messages is appended for anthropic. Leave out the /v1.");
  }
  return url;
}

function environmentKey(preset: ProviderPreset | undefined, environment: Environment): string | undefined {
  for (const name of preset?.env ?? []) {
    const key = environment[name]?.trim();
    if (key) return key;
  }
  return undefined;
}

/** Whether the field stands in the file at all, right or wrong. */
function isGiven(place: Place, name: string): boolean {
  return place.entries()?.some(({ key }) => key === name) ?? false;
}
