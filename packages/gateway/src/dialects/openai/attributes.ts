import { optionalObject, optionalText } from "../body-fields.ts";
import type { ModelCall } from "../dialect.ts";
import type { JsonBody } from "../json-body.ts";

/** Who a call is for, in the fields that OpenAI's formats share. */
export function readAttributes(body: JsonBody): Pick<ModelCall, "user" | "tags"> {
  const metadata = optionalObject(body, "metadata");
  return {
    user: optionalText(body, "safety_identifier") ?? optionalText(body, "user"),
    tags: metadata ? textsOf(metadata) : NO_TAGS,
  };
}

const NO_TAGS: ModelCall["tags"] = {};

function textsOf(metadata: Readonly<Record<string, unknown>>): ModelCall["tags"] {
  return Object.fromEntries(Object.entries(metadata).filter((pair): pair is [string, string] => typeof pair[1] === "string"));
}
