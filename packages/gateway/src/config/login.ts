import { isSubjectPath } from "@purser/core";
import { isPasswordHash } from "../people/password.ts";
import { nameProblem, type StoredPerson } from "../people/person.ts";
import type { LoginConfig, OidcConfig, ServerConfig } from "./config.ts";
import type { ConfigurationFields } from "./description.ts";
import { isLoopback } from "./loopback.ts";
import type { Place } from "./source.ts";

/** Who signs in to the screen, as the file has it. */
export function configuredLogin({ login }: ConfigurationFields, server: ServerConfig): LoginConfig {
  const people = [...(login?.people ?? [])].flatMap(([name, { value, place }]): readonly StoredPerson[] => {
    const { role, password } = value;
    const attributes = Object.fromEntries(value.attributes ?? []);
    if (password !== undefined && !isPasswordHash(password))
      place.field("password").problem("is not the hash of a password. Make one: purser users hash.");
    return role === undefined || password === undefined ? [] : [{ name, role, password, attributes }];
  });
  return { people, oidc: login?.oidc && configuredOidc(login.oidc.value, login.oidc.place, server) };
}

type OidcFields = NonNullable<NonNullable<ConfigurationFields["login"]>["oidc"]>["value"];

function configuredOidc(fields: OidcFields, place: Place, { host, publicUrl }: ServerConfig): OidcConfig {
  const { issuer = "", client_id: clientId = "", client_secret: clientSecret, scopes, name, roles, otherwise, label } = fields;
  if (issuer.startsWith("http:") && !isLoopback(new URL(issuer).hostname))
    place.field("issuer").problem("is not reached by https, so that anybody on the way could say who somebody is.");
  if (publicUrl === undefined && !isLoopback(host))
    place.problem("sends people back to this server, whose address it does not know. Write it in server.public_url.");
  const { claim = "groups", admin = [], viewer = [], member = [] } = roles ?? {};
  return {
    issuer,
    clientId,
    clientSecret,
    scopes: scopes ?? ["openid", "profile", "email"],
    name: name ?? "email",
    roles: { claim, admin, viewer, member },
    otherwise: otherwise ?? "refuse",
    label: label ?? new URL(issuer || "https://your.organisation").hostname,
  };
}

/** What a person's calls have: no pattern, since it selects what a member sees. */
export function attributeOfPersonProblem(path: string): string | undefined {
  const isCallers = /^(org|team|product|feature|user|tier)$/.test(path);
  return isSubjectPath(path) && isCallers
    ? undefined
    : `"${path}" is no attribute of a person: org, team, product, feature, user and tier are.`;
}

export const personNameProblem = nameProblem;
