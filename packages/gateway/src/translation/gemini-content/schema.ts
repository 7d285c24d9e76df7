import { isRecord, listOf } from "../../dialects/json-value.ts";
import { containsItself, isPromisable } from "../schema.ts";
import { shown, Untranslatable } from "../untranslatable.ts";
import { fieldsOf } from "./fields.ts";

type Schema = Readonly<Record<string, unknown>>;

/** Fields that say the same in a JSON schema; of these, numbers may stand as texts. */
const SAME = ["title", "description", "format", "pattern", "enum", "minimum", "maximum", "default"];
const COUNTS = ["minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"];

/**
 * A JSON schema out of one of Google's, which is a part of OpenAPI's: types are upper case, and what may be null says so beside its type.
 * Objects are closed, because Google's models write no fields but those that are named.
 */
export function jsonSchemaOf(schema: unknown): Schema {
  const fields = fieldsOf(schema, "a schema");
  const type = fields.text("type")?.toLowerCase();
  const isNullable = fields.boolean("nullable") ?? false;
  const order = fields.list("propertyOrdering");
  const properties = fields.record("properties");
  const required = fields.list("required");
  const items = fields.record("items");
  const anyOf = fields.list("anyOf").map(jsonSchemaOf);
  const same = named(SAME, (name) => fields.take(name));
  const counts = named(COUNTS, (name) => numberOf(fields.take(name)));
  fields.ignore("example");
  fields.done();
  const { format, enum: values, ...said } = same;
  return {
    ...(type !== undefined && { type: isNullable ? [type, "null"] : type }),
    ...said,
    ...counts,
    // An enumeration is no format anywhere else.
    ...(format !== undefined && format !== "enum" && { format }),
    ...(values !== undefined && { enum: isNullable ? [...listOf(values), null] : values }),
    ...(items && { items: jsonSchemaOf(items) }),
    ...(properties && { properties: inOrder(properties, order), additionalProperties: false }),
    ...(required.length > 0 && { required }),
    ...(anyOf.length > 0 && { anyOf: isNullable && type === undefined ? [...anyOf, { type: "null" }] : anyOf }),
  };
}

function named(names: readonly string[], take: (name: string) => unknown): Record<string, unknown> {
  return Object.fromEntries(names.map((name) => [name, take(name)]).filter(([, value]) => value !== undefined));
}

function numberOf(value: unknown): unknown {
  return typeof value === "string" ? Number(value) : value;
}

/** Others write fields in the order in which they stand. */
function inOrder(properties: Schema, order: readonly unknown[]): Schema {
  const first = order.filter((name): name is string => typeof name === "string" && Object.hasOwn(properties, name));
  const names = [...new Set([...first, ...Object.keys(properties)])];
  return Object.fromEntries(names.map((name) => [name, jsonSchemaOf(properties[name])]));
}

/** The schema of what a tool is called with; nothing where it is called with nothing. Google passes over words that it does not know. */
export function inputSchema(schema: Schema, tool: string): Schema | undefined {
  if (schema.type !== "object") throw new Untranslatable(`the input of the tool ${shown(tool)} is no object`);
  if (containsItself(schema)) throw new Untranslatable(`the input of the tool ${shown(tool)} contains itself`);
  return isRecord(schema.properties) && Object.keys(schema.properties).length === 0 ? undefined : schema;
}

/** A schema in the words to which Google's models keep. Throws `Untranslatable` where there are none. */
export function promisedSchema(schema: Schema): Schema {
  if (!isPromisable(schema)) throw new Untranslatable("the form of the answer has what not all providers promise to keep to");
  return written(schema) as Schema;
}

function written(schema: unknown): unknown {
  if (!isRecord(schema)) return schema;
  const { const: only, definitions, properties, items, anyOf, $defs, ...same } = schema;
  const values = only === undefined ? schema.enum : [only];
  if (definitions !== undefined || (schema.$ref !== undefined && Object.keys(schema).length > 1)) throw unsaid();
  if (listOf(values).some((value) => typeof value !== "string" && typeof value !== "number")) throw unsaid();
  return {
    ...same,
    ...(values !== undefined && { enum: values }),
    ...(isRecord(properties) && { properties: eachWritten(properties) }),
    ...(items !== undefined && { items: written(items) }),
    ...(anyOf !== undefined && { anyOf: listOf(anyOf).map(written) }),
    ...(isRecord($defs) && { $defs: eachWritten($defs) }),
  };
}

function eachWritten(schemas: Schema): Schema {
  return Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, written(schema)]));
}

function unsaid(): Untranslatable {
  return new Untranslatable("the form of the answer has what Google's schemas cannot say");
}
