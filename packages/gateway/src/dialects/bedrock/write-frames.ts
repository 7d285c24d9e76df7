import { crc32 } from "node:zlib";

/** One event of a stream, by its name. */
export interface FrameEvent {
  readonly name: string;
  readonly payload: unknown;
}

const TEXT_HEADER = 7;

/** Events as AWS frames them (https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html): lengths, headers, payload, and sums. */
export function writeFrames(events: readonly FrameEvent[]): Buffer {
  return Buffer.concat(events.map(frameOf));
}

function frameOf({ name, payload }: FrameEvent): Buffer {
  const headers = Buffer.concat([
    textHeader(":event-type", name),
    textHeader(":content-type", "application/json"),
    textHeader(":message-type", "event"),
  ]);
  const content = Buffer.from(JSON.stringify(payload));
  const prelude = Buffer.alloc(12);
  prelude.writeUInt32BE(prelude.length + headers.length + content.length + 4, 0);
  prelude.writeUInt32BE(headers.length, 4);
  prelude.writeUInt32BE(crc32(prelude.subarray(0, 8)), 8);
  const message = Buffer.concat([prelude, headers, content, Buffer.alloc(4)]);
  message.writeUInt32BE(crc32(message.subarray(0, -4)), message.length - 4);
  return message;
}

function textHeader(name: string, value: string): Buffer {
  const header = Buffer.alloc(1 + name.length + 3 + value.length);
  header.writeUInt8(name.length, 0);
  header.write(name, 1, "latin1");
  header.writeUInt8(TEXT_HEADER, 1 + name.length);
  header.writeUInt16BE(value.length, 2 + name.length);
  header.write(value, 4 + name.length, "latin1");
  return header;
}
