import { PurserError } from "@purser/core";
import type { Config } from "../config/config.ts";
import { nearestName } from "../config/nearest-name.ts";
import { presetProvider } from "../config/providers.ts";
import { PRESETS, presetAt } from "../providers/presets/index.ts";
import type { Provider } from "../providers/provider.ts";
import { namesAt } from "../providers/routing.ts";
import type { Place } from "./budgeted-fetch.ts";

type Providers = Pick<Config, "file" | "providers">;

interface Asked {
  readonly url: URL;
  /** The provider's name, where the program says it. */
  readonly provider: string | undefined;
  readonly model: string;
}

/** Where a call goes, and what its model is called in budgets and prices. */
export function placeAt(config: Providers, { url, provider: name, model }: Asked): Place {
  const provider = name === undefined ? providerAt(config, url) : providerNamed(config, name);
  return { provider, model: namesAt(provider, model).model };
}

/** Who is at an address, by the base URLs of a configuration, or else by the host. Throws `provider_unknown`. */
function providerAt({ file, providers }: Providers, url: URL): Provider {
  const lengths = providers.map(({ baseUrls }) => sharedLength(`${url.origin}${url.pathname}`, Object.values(baseUrls)));
  const longest = Math.max(0, ...lengths);
  const [first, ...others] = longest === 0 ? [] : providers.filter((_, i) => lengths[i] === longest);
  if (first && others.length > 0) {
    const names = [first, ...others].map((one) => one.name).join(" and ");
    throw new PurserError(
      "provider_unknown",
      `${names} of ${file} are both at ${url.host}. Say which one this client calls: fetch({ provider: "${first.name}" }).`,
    );
  }
  const preset = presetAt(url.host);
  const provider = first ?? (preset && providerNamed({ file, providers }, preset.name));
  if (provider) return provider;
  throw new PurserError(
    "provider_unknown",
    `Purser does not know which provider is at ${url.host}, so it knows no price. Write its base_url under providers in ${file}, or say which one it is: fetch({ provider: "NAME" }).`,
  );
}

/** A provider of a configuration, or one that Purser knows. Throws `config_invalid` with the nearest name: no budget would select its calls. */
export function providerNamed({ file, providers }: Providers, name: string): Provider {
  const configured = providers.find((one) => one.name === name);
  if (configured) return configured;
  const preset = PRESETS.get(name);
  if (preset) return presetProvider(preset, {});
  const nearest = nearestName(name, [...providers.map((one) => one.name), ...PRESETS.keys()]);
  const hint = nearest === undefined ? "" : ` Did you mean "${nearest}"?`;
  throw new PurserError("config_invalid", `There is no provider "${name}" in ${file}, and Purser knows none of that name.${hint}`);
}

/** How much of an address is one of the base URLs, in characters. */
function sharedLength(address: string, baseUrls: readonly string[]): number {
  const bases = baseUrls.map((base) => base.replace(/\/+$/, "")).filter((base) => address === base || address.startsWith(`${base}/`));
  return Math.max(0, ...bases.map(({ length }) => length));
}
