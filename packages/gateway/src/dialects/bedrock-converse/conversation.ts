import type { ConversationForm } from "../dialect.ts";
import { listOf, recordOf } from "../json-value.ts";

/** A turn begins with what the user says. What tools answered comes from the user too, and stays with the call that asked for it. */
export const turns: ConversationForm = {
  member: "messages",
  beginsTurn: (message) => {
    const { role, content } = recordOf(message);
    return role === "user" && !listOf(content).some((block) => recordOf(block).toolResult !== undefined);
  },
};
