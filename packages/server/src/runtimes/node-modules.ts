import { newProcessId, type Guest } from '@cove/domain'
import type { Ground } from './ground.ts'
import type { Kit } from './kit.ts'
import { runProcess } from './run-process.ts'

const STATIC_IMPORT = /^[ \t]*import\b[ \t]*(?:["'{*]|[\w$]+[ \t]*(?:,|from\b))/m
const EXPORT = /^[ \t]*export\b[ \t]*(?:[{*]|(?:default|const|let|var|function|class|async)\b)/m
/** At the very beginning of a line: further in it belongs to a function. */
const AWAIT = /^(?:await\b|(?:const|let|var)\b[^\n]*= ?await\b)/m
const VERSION_MS = 10_000
const VERSION_BYTES = 1_024

/** Whether a line could be one that only an ES module has; it may also be inside a text. */
export function mayBeModule(code: string): boolean {
  return STATIC_IMPORT.test(code) || EXPORT.test(code) || AWAIT.test(code)
}

/** Whether this version, as in `v20.19.0`, finds out by itself that a `.js` file is an ES module. */
export function findsModules(version: string): boolean {
  const [major = 0, minor = 0] = version.trim().replace(/^v/, '').split('.').map(Number)
  return major > 22 || (major === 22 && minor >= 7) || (major === 20 && minor >= 19) || Number.isNaN(major)
}

/** How node is told what the code is. */
export interface NodeFile {
  readonly extension: '.js' | '.mjs'
  /** Options of node, before the file. */
  readonly options: readonly string[]
}

const COMMON: NodeFile = { extension: '.js', options: [] }
const MODULE: NodeFile = { extension: '.mjs', options: [] }
/** It would complain about having to look. */
const LOOKED_AT: NodeFile = { extension: '.js', options: ['--disable-warning=MODULE_TYPELESS_PACKAGE_JSON'] }

/**
 * Newer versions of node look for themselves what the code is, and know better than we do. The version is asked for
 * once, and only when it matters.
 */
export async function nodeFile(
  kit: Kit,
  guest: Guest,
  ground: Ground,
  code: string,
  programs: readonly string[],
  signal: AbortSignal,
): Promise<NodeFile> {
  const module = mayBeModule(code)
  if (!module && !/\bawait\b/.test(code)) return COMMON
  ground.nodeFindsModules ??= await askVersion(kit, guest, ground, programs, signal)
  if (ground.nodeFindsModules) return LOOKED_AT
  return module ? MODULE : COMMON
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
