import type { ConversationForm } from "../dialect.ts";
import { fieldOf } from "../gemini/fields.ts";
import { listOf, recordOf } from "../json-value.ts";

/** A turn begins with what the user says. What functions answered comes from the user too, and stays with the call that asked for it. */
export const turns: ConversationForm = {
  member: "contents",
  beginsTurn: (content) => {
    const { role = "user", parts } = recordOf(content);
    return role === "user" && !listOf(parts).some((part) => fieldOf(recordOf(part), "functionResponse") !== undefined);
  },
};
