import { PRESETS, presetAt } from "../providers/presets/index.ts";
import {
  at,
  type BaseUrls,
  type DialectName,
  dialectsOf,
  FAMILIES,
  type FamilyName,
  familiesOf,
  type Provider,
  type ProviderPreset,
} from "../providers/provider.ts";
import { DEFAULTS, type ProviderFields } from "./description.ts";
import type { Located } from "./field.ts";
import { nearestName } from "./nearest-name.ts";
import type { Place } from "./source.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** Every preset that says where it is, with the key of its variable where that is set. */
export function presetProviders(environment: Environment): readonly Provider[] {
  return [...PRESETS.values()]
    .filter(({ baseUrls }) => Object.keys(baseUrls).length > 0)
    .map((preset) => presetProvider(preset, environment));
}

/** A provider of which the file says nothing. */
export function presetProvider(preset: ProviderPreset, environment: Environment): Provider {
  return {
    name: preset.name,
    baseUrls: preset.baseUrls,
    authHeader: preset.authHeader,
    apiKey: environmentKey(preset.env, environment),
    ...administratorOf(environmentKey(preset.adminEnv, environment)),
    models: preset.models,
    deployments: {},
    headers: {},
    timeoutMs: DEFAULTS.timeoutMs,
    ...habitsOf(preset),
  };
}

/** What is peculiar to a provider, by its preset, or by the preset that lives where it does. */
function habitsOf(preset: ProviderPreset | undefined): Pick<Provider, "refusesToBeAskedForUsage"> {
  return preset?.refusesToBeAskedForUsage ? { refusesToBeAskedForUsage: true } : {};
}

function administratorOf(adminKey: string | undefined): Pick<Provider, "adminKey"> {
  return adminKey === undefined ? {} : { adminKey };
}

/** A provider as the file has it, completed by the preset of its name. */
export function configuredProvider(name: string, { value, place }: Located<ProviderFields>, environment: Environment): Provider {
  const preset = PRESETS.get(name);
  const baseUrls = baseUrlsOf(value, preset, place);
  return {
    name,
    baseUrls,
    authHeader: value.auth_header ?? preset?.authHeader,
    apiKey: isGiven(place, "api_key") ? value.api_key : environmentKey(preset?.env, environment),
    ...administratorOf(isGiven(place, "admin_key") ? value.admin_key : environmentKey(preset?.adminEnv, environment)),
    models: value.models ?? deployedModels(value) ?? preset?.models ?? [],
    deployments: Object.fromEntries(value.deployments ?? []),
    headers: Object.fromEntries(value.headers ?? []),
    timeoutMs: value.timeout ?? DEFAULTS.timeoutMs,
    ...habitsOf(preset ?? presetAt(hostOf(baseUrls["openai-chat"]))),
  };
}

function hostOf(url: string | undefined): string {
  return url !== undefined && URL.canParse(url) ? new URL(url).host : "";
}

/** What is deployed is served, by its own name and by the model's. */
function deployedModels({ deployments }: ProviderFields): readonly string[] | undefined {
  return deployments && [...new Set([...deployments.keys(), ...deployments.values()])];
}

function baseUrlsOf({ base_url: given, dialect }: ProviderFields, preset: ProviderPreset | undefined, place: Place): BaseUrls {
  if (given === undefined) return isGiven(place, "base_url") ? {} : presetUrls(dialect, preset, place);
  if (typeof given === "object") {
    if (dialect !== undefined) place.field("dialect").problem("stands beside URLs that already say their dialect. Remove it.");
    return namedUrls(given, place);
  }
  const known = familiesOf(preset?.baseUrls ?? {});
  const spoken = dialect ?? known[0] ?? (preset ? "openai" : undefined);
  if (spoken === undefined) {
    if (!isGiven(place, "dialect"))
      place
        .field("dialect")
        .problem(
          "is missing. Write dialect: openai or dialect: anthropic, whichever the provider speaks (or gemini, vertex, ollama, cohere or bedrock).",
        );
    return {};
  }
  if (dialect === undefined && known.length > 1) {
    place
      .field("base_url")
      .warning(
        `is used for ${spoken} only, so this provider no longer speaks ${known.slice(1).join(" and ")}. Write one URL for each: ${known.join(", ")}.`,
      );
  }
  return at(checkedFor(spoken, given, place), spokenOf(spoken, preset));
}

/** A URL for each dialect or family. What is said of one dialect counts before what is said of its family. */
function namedUrls(given: { readonly [word in Spoken]?: string | undefined }, place: Place): BaseUrls {
  const words = Object.entries(given).filter((entry): entry is [Spoken, string] => entry[1] !== undefined);
  if (words.length === 0) place.field("base_url").problem("is empty. Write a URL, or one for openai and one for anthropic.");
  const urls: { [name in DialectName]?: string } = {};
  for (const [word, url] of words.toSorted(([a], [b]) => Number(b in FAMILIES) - Number(a in FAMILIES)))
    Object.assign(urls, at(checkedFor(word, url, place), dialectsOf(word)));
  return urls;
}

type Spoken = FamilyName | DialectName;

function presetUrls(dialect: Spoken | undefined, preset: ProviderPreset | undefined, place: Place): BaseUrls {
  if (!preset || Object.keys(preset.baseUrls).length === 0) {
    const name = place.path.slice("providers.".length);
    const nearest = preset ? undefined : nearestName(name, [...PRESETS.keys()]);
    const hint = nearest === undefined ? "" : ` Or did you mean the preset "${nearest}"?`;
    place.problem(`base_url is missing. ${preset ? "This one runs where you run it" : "It is not a preset"}: say where it is.${hint}`);
    return {};
  }
  if (dialect === undefined) return preset.baseUrls;
  const urls = Object.entries(preset.baseUrls).filter(([name]) => dialectsOf(dialect).includes(name as DialectName));
  if (urls.length > 0) return Object.fromEntries(urls);
  place
    .field("dialect")
    .problem(`${preset.name} does not speak ${dialect} that we know of. Write a base_url for it, or leave dialect out.`);
  return {};
}

/** Of a family, what the preset is known to speak; all of it, where nothing is known. */
function spokenOf(word: Spoken, preset: ProviderPreset | undefined): readonly DialectName[] {
  const dialects = dialectsOf(word);
  const known = dialects.filter((name) => preset?.baseUrls[name] !== undefined);
  return known.length > 0 ? known : dialects;
}

/** The clients of Anthropic append `/v1/messages`, so a base URL that ends in `/v1` would lead to `/v1/v1/messages`; Google's do alike. */
function checkedFor(word: Spoken, url: string, place: Place): string {
  const dialects = dialectsOf(word);
  if (dialects.includes("anthropic-messages") && url.endsWith("/v1"))
    place.field("base_url").problem("ends with /v1, and /v1/messages is appended for anthropic. Leave out the /v1.");
  if (dialects.includes("gemini-content") && /\/v1(alpha|beta)?$/.test(url))
    place.field("base_url").problem("ends with a version, and the version of each call is appended for gemini. Leave it out.");
  if (dialects.includes("vertex-content") && !/\/v1(beta1)?(\/projects\/[^/]+\/locations\/[^/]+)?$/.test(url))
    place
      .field("base_url")
      .problem(
        "says neither version nor project. Write https://aiplatform.googleapis.com/v1, or …/v1/projects/PROJECT/locations/LOCATION.",
      );
  if (dialects.includes("ollama-chat") && /\/(v1|api)$/.test(url))
    place.field("base_url").problem("ends with a path, and /api/chat is appended for ollama. Leave it out.");
  return url;
}

function environmentKey(names: readonly string[] = [], environment: Environment): string | undefined {
  for (const name of names) {
    const key = environment[name]?.trim();
    if (key) return key;
  }
  return undefined;
}

/** Whether the field stands in the file at all, right or wrong. */
function isGiven(place: Place, name: string): boolean {
  return place.entries()?.some(({ key }) => key === name) ?? false;
}
