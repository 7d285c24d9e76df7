/** The part of an OpenAPI 3.1 description that types are made of. */
export interface Description {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly required?: boolean; readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly content?: Content }>>;
}

interface Parameter {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly required?: boolean;
  readonly description?: string;
  readonly schema: Schema;
}

type Content = Readonly<Record<string, { readonly schema: Schema }>>;

interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
  readonly items?: Schema;
  readonly allOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
}

/** A module with the types of everything that the API takes and gives, and where each of its operations is. */
export function operationsText({ paths, components }: Description): string {
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    // What never ends is no answer that can be waited for.
    Object.entries(methods).flatMap(([method, operation]) => {
      const answer = answerOf(operation);
      return answer ? [{ method: method.toUpperCase(), path, operation, answer }] : [];
    }),
  );
  return [
    "// biome-ignore-all format: written by scripts/generate-admin-client.mjs from the description of the API.",
    "",
    ...Object.entries(components.schemas).flatMap(([name, schema]) => [
      ...comment(schema.description, ""),
      `export type ${name} = ${typeOf(schema, "")};`,
      "",
    ]),
    "/** What each operation takes and gives. */",
    "export interface Operations {",
    ...operations.flatMap(({ operation, answer }) => [
      ...comment(operation.summary, "  "),
      `  readonly ${operation.operationId}: { readonly input: ${inputOf(operation)}; readonly answer: ${typeOf(answer, "  ")} };`,
    ]),
    "}",
    "",
    "/** The method and the path of each operation. */",
    "export const OPERATIONS = {",
    ...operations.map(({ method, path, operation }) => `  ${operation.operationId}: ["${method}", "${path}"],`),
    "} as const satisfies { readonly [name in keyof Operations]: readonly [method: string, path: string] };",
    "",
  ].join("\n");
}

function answerOf({ responses }: Operation): Schema | undefined {
  const schemas = Object.entries(responses).flatMap(([status, { content }]) => {
    const schema = status.startsWith("2") ? content?.["application/json"]?.schema : undefined;
    return schema ? [schema] : [];
  });
  return schemas.length > 1 ? { anyOf: schemas } : schemas[0];
}

/** What an operation is asked with: `path`, `query` and `headers` by name, and the body. */
function inputOf({ parameters = [], requestBody }: Operation): string {
  const parts = (["path", "query", "header"] as const).flatMap((place) => {
    const own = parameters.filter((one) => one.in === place);
    if (own.length === 0) return [];
    const isNeeded = own.some(({ required }) => required === true);
    const fields = own.map(({ name, required, schema }) => `readonly ${nameOf(name)}${required ? "" : "?"}: ${typeOf(schema, "")}`);
    return [`readonly ${place === "header" ? "headers" : place}${isNeeded ? "" : "?"}: { ${fields.join("; ")} }`];
  });
  const body = requestBody?.content["application/json"]?.schema;
  if (body) parts.push(`readonly body${requestBody?.required === false ? "?" : ""}: ${typeOf(body, "    ")}`);
  return parts.length === 0 ? "Readonly<Record<string, never>>" : `{ ${parts.join("; ")} }`;
}

function typeOf(schema: Schema, indent: string): string {
  const { $ref, type, allOf, anyOf, oneOf } = schema;
  if ($ref !== undefined) return $ref.slice($ref.lastIndexOf("/") + 1);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" | ");
  if (allOf) return allOf.map((one) => typeOf(one, indent)).join(" & ");
  // Which of several forms a body has is for the server to say, where the forms only differ in what they ask for.
  const forms = oneOf ?? (type === undefined ? anyOf : undefined);
  if (forms) return forms.map((one) => typeOf(one, indent)).join(" | ");
  return [type ?? "unknown"]
    .flat()
    .map((one) => plainType(one, schema, indent))
    .join(" | ");
}

function plainType(type: string, schema: Schema, indent: string): string {
  if (type === "integer") return "number";
  if (type === "array") return `readonly (${schema.items ? typeOf(schema.items, indent) : "unknown"})[]`;
  if (type === "object") return objectType(schema, indent);
  return type;
}

function objectType({ properties, required = [], additionalProperties }: Schema, indent: string): string {
  if (!properties) {
    const value = typeof additionalProperties === "object" ? typeOf(additionalProperties, indent) : "unknown";
    return `Readonly<Record<string, ${value}>>`;
  }
  const inner = `${indent}  `;
  const fields = Object.entries(properties).flatMap(([name, schema]) => [
    ...comment(schema.description, inner),
    `${inner}readonly ${nameOf(name)}${required.includes(name) ? "" : "?"}: ${typeOf(schema, inner)};`,
  ]);
  const named = `{\n${fields.join("\n")}\n${indent}}`;
  if (typeof additionalProperties !== "object") return named;
  return `${named} & Readonly<Record<string, ${typeOf(additionalProperties, indent)}>>`;
}

function nameOf(name: string): string {
  return /^[A-Za-z_]\w*$/.test(name) ? name : JSON.stringify(name);
}

function comment(text: string | undefined, indent: string): readonly string[] {
  return text === undefined ? [] : [`${indent}/** ${text.replaceAll("*/", "*\\/")} */`];
}
