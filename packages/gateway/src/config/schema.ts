import { CONFIGURATION } from "./description.ts";
import type { JsonSchema } from "./field.ts";

/** The JSON Schema of purser.yaml, for editors: `# yaml-language-server: $schema=…` in the first line of the file. */
export function configurationSchema(): JsonSchema {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "purser.yaml",
    description: "The configuration of Purser, which gives every LLM call a budget.",
    ...CONFIGURATION.schema,
  };
}

/** The schema as it is published in `docs/reference/purser.schema.json`. */
export function configurationSchemaText(): string {
  return `${JSON.stringify(configurationSchema(), null, 2)}\n`;
}
