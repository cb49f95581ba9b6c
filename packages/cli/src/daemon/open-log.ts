import pino from 'pino'
import type { Log, LogFields } from '@cove/domain'
import type { Io } from '../io.ts'
import type { LogFile } from './log-file.ts'

interface Options {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly files: readonly LogFile[]
  /** Where lines go besides the files; absent: nowhere. */
  readonly stderr?: Io['stderr'] | undefined
}

/**
 * Structured lines: JSON on stderr and in the files; on a terminal stderr shows warnings and errors in words, because
 * there a person reads. Writes are synchronous, so that the last line before a crash is there.
 */
export function openLog({ level, files, stderr }: Options): Log {
  const streams: pino.StreamEntry[] = files.map((stream) => ({ level, stream }))
  if (stderr !== undefined) {
    const terminal = stderr.isTTY === true
    streams.push({
      level: terminal && level !== 'debug' ? 'warn' : level,
      stream: { write: (line: string) => stderr.write(terminal ? inWords(line) : line) },
    })
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
