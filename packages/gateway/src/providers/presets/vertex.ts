import { at, FAMILIES, type ProviderPreset } from "../provider.ts";

/** Gemini and Claude on Vertex AI, by an API key of Google Cloud. A base_url with a project and a location keeps calls there. */
export const vertex: ProviderPreset = {
  name: "vertex",
  baseUrls: at("https://aiplatform.googleapis.com/v1", FAMILIES.vertex),
  authHeader: "x-goog-api-key",
  env: ["GOOGLE_VERTEX_API_KEY"],
  models: ["gemini-*", "claude-*"],
};
