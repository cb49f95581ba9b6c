import { openSync, writeSync } from 'node:fs'
import pino from 'pino'
import type { Log, LogFields } from '@cove/domain'
import type { Io } from '../io.ts'

interface Options {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  /** Appended to, made with 0600. */
  readonly file: string | undefined
  readonly io: Io
}

/**
 * Structured lines: JSON on stderr and in the file; on a terminal stderr shows warnings and errors in words, because
 * there a person reads. Writes are synchronous, so that the last line before a crash is there.
 */
export function openLog({ level, file, io }: Options): Log {
  const streams: pino.StreamEntry[] = []
  const terminal = io.stderr.isTTY === true
  streams.push({
    level: terminal && level !== 'debug' ? 'warn' : level,
    stream: { write: (line: string) => io.stderr.write(terminal ? inWords(line) : line) },
  })
  if (file !== undefined) {
    const descriptor = openSync(file, 'a', 0o600)
    streams.push({ level, stream: { write: (line: string) => writeSync(descriptor, line) } })
  }
  return adapt(pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, pino.multistream(streams)))
}

function adapt(logger: pino.Logger): Log {
  return {
    debug: (message, fields) => logger.debug(fields ?? {}, message),
    info: (message, fields) => logger.info(fields ?? {}, message),
    warn: (message, fields) => logger.warn(fields ?? {}, message),
    error: (message, fields) => logger.error(fields ?? {}, message),
    child: (fields: LogFields) => adapt(logger.child(fields)),
  }
}

function inWords(line: string): string {
  const { time, level, msg, ...fields } = JSON.parse(line) as Record<string, unknown>
  const severity = Number(level) >= 50 ? 'error' : Number(level) >= 40 ? 'warning' : 'info'
  const rest = Object.entries(fields)
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ')
  return `${String(time).slice(11, 19)} ${severity}: ${String(msg)}${rest === '' ? '' : ` (${rest})`}\n`
}
