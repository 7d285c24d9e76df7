import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formFile, formPart, formText, readForm } from "./form-body.ts";

async function formOf(fields: FormData): Promise<{ readonly bytes: Buffer; readonly type: string }> {
  const request = new Response(fields);
  return { bytes: Buffer.from(await request.arrayBuffer()), type: request.headers.get("content-type") ?? "" };
}

const part = (disposition: string, text: string) => `--b\r\nContent-Disposition: form-data; ${disposition}\r\n\r\n${text}\r\n`;
const read = (text: string, type = "multipart/form-data; boundary=b") => readForm(Buffer.from(text, "latin1"), type);

test("every form that a client writes is read as it was written, whatever its files hold", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.string(),
      fc.uint8Array({ maxLength: 2_000 }),
      fc.constantFrom("\r\n", "--", "\r\n--", ""),
      async (text, file, middle) => {
        const content = Buffer.concat([file, Buffer.from(middle), file]);
        const fields = new FormData();
        fields.append("model", text);
        fields.append("file", new File([content], "a.bin"));
        const { bytes, type } = await formOf(fields);
        const form = readForm(bytes, type);
        // A form has lines that end as HTTP's do.
        assert.equal(formText(form, "model"), text.replace(/\r\n|\r|\n/g, "\r\n"));
        const { start, end, fileName } = formFile(form, "file");
        assert.deepEqual([bytes.subarray(start, end), fileName], [content, "a.bin"]);
      },
    ),
  );
});

test("what two readers could take for two forms is refused", () => {
  const whole = part('name="a"', "1");
  const cases: readonly (readonly [text: string, what: RegExp])[] = [
    ["", /begin with its boundary/],
    [`preamble\r\n${whole}--b--`, /begin with its boundary/],
    [whole, /no end/],
    [`${whole}--bc\r\n`, /boundary stands inside/],
    [`${whole}--b--\r\nmore`, /behind its end/],
    [`${part('name="a"; name="b"', "1")}--b--`, /says "name" twice/],
    [`${part("filename=x", "1")}--b--`, /has no name/],
    [
      `--b\r\nContent-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: base64\r\n\r\nMQ==\r\n--b--`,
      /Content-Transfer-Encoding/,
    ],
    [`--b\r\nContent-Disposition: form-data; name="a"\r\nContent-Disposition: form-data; name="b"\r\n\r\n1\r\n--b--`, /has the header/],
    [`--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1`, /no end/],
  ];
  for (const [text, what] of cases) assert.throws(() => read(text), { code: "body_invalid", message: what }, text);
  for (const type of ["application/json", "multipart/form-data", "multipart/mixed; boundary=b"])
    assert.throws(() => read(`${whole}--b--`, type), { code: "body_invalid" }, type);
  const twice = read(`${whole}${whole}--b--`);
  assert.throws(() => formPart(twice, "a"), /"a" twice/);
});

test("a field is no file, and a file no field", () => {
  const form = read(`${part('name="a"', "1")}${part('name="f"; filename="x.mp3"', "2")}--b--`);
  assert.equal(formText(form, "a"), "1");
  assert.throws(() => formFile(form, "a"), /no file "a"/);
  assert.throws(() => formText(form, "f"), /"f" is a file/);
  assert.equal(formText(form, "missing"), undefined);
});
