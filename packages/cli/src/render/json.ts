import type { Io } from '../io.ts'

/** Indented for people, who pipe it into other programs as well. */
export function writeJson(io: Io, value: unknown): void {
  io.stdout.write(`${JSON.stringify(value, null, 2)}\n`)
}
