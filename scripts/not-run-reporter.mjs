/** A reporter of node:test that writes down what was not run, one JSON line each: `{ name, file, why }`. */
export default async function* notRun(events) {
  for await (const { type, data } of events) {
    if ((type === "test:pass" || type === "test:fail") && data.skip !== undefined && data.skip !== false) {
      yield line(data, typeof data.skip === "string" && data.skip !== "" ? data.skip : "no reason was given");
    } else if (type === "test:diagnostic" && data.message.startsWith("not run")) {
      yield line({ ...data, name: "part of a test" }, data.message);
    }
  }
}

function line({ name, file }, why) {
  return `${JSON.stringify({ name, file, why: why.replace(/^not run:?\s*/, "") })}\n`;
}
