import { newProcessId, type Guest } from '@cove/domain'
import type { Ground } from './ground.ts'
import type { Kit } from './kit.ts'
import { runProcess } from './run-process.ts'

const STATIC_IMPORT = /^[ \t]*import\b[ \t]*(?:["'{*]|[\w$]+[ \t]*(?:,|from\b))/m
const EXPORT = /^[ \t]*export\b[ \t]*(?:[{*]|(?:default|const|let|var|function|class|async)\b)/m
const VERSION_MS = 10_000
const VERSION_BYTES = 1_024

/** Whether a line could be an import or an export of an ES module; it may also be inside a text. */
export function mayBeModule(code: string): boolean {
  return STATIC_IMPORT.test(code) || EXPORT.test(code)
}

/** Whether this version, as in `v20.19.0`, finds out by itself that a `.js` file is an ES module. */
export function findsModules(version: string): boolean {
  const [major = 0, minor = 0] = version.trim().replace(/^v/, '').split('.').map(Number)
  return major > 22 || (major === 22 && minor >= 7) || (major === 20 && minor >= 19) || Number.isNaN(major)
}

/**
 * The extension with which node takes the code for what it is: newer ones look for themselves, and know better than
 * we do. The version is asked for once, and only when it matters.
 */
export async function nodeExtension(
  kit: Kit,
  guest: Guest,
  ground: Ground,
  code: string,
  programs: readonly string[],
  signal: AbortSignal,
): Promise<'.js' | '.mjs'> {
  if (!mayBeModule(code)) return '.js'
  ground.nodeFindsModules ??= await askVersion(kit, guest, ground, programs, signal)
  return ground.nodeFindsModules ? '.js' : '.mjs'
}

async function askVersion(
  kit: Kit,
  guest: Guest,
  { path }: Ground,
  programs: readonly string[],
  signal: AbortSignal,
): Promise<boolean> {
  const requests = programs.map((program) => ({
    id: newProcessId(kit.random),
    argv: [program, '--version'],
    env: { PATH: path },
    timeoutMs: VERSION_MS,
  }))
  const options = { clock: kit.clock, maxOutputBytes: VERSION_BYTES }
  const { stdout } = await runProcess(guest, requests, options, signal)
  return findsModules(Buffer.from(stdout.bytes).toString('utf8'))
}
