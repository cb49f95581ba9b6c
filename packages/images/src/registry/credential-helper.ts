import { spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { CoveError } from '@cove/domain'
import { isObject, parseJson } from './json.ts'
import type { Credentials } from './registry.ts'

/** Where helpers are looked for when nobody says otherwise; never the caller's PATH. */
export const HELPER_FOLDERS: readonly string[] = ['/usr/local/bin', '/usr/bin', '/bin']

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/
const MAX_OUTPUT = 64 * 1024
const TIME_MS = 10_000

/** Asks `docker-credential-<name> get`. Undefined when it knows nothing of the server. `config-invalid` otherwise. */
export async function askHelper(
  name: string,
  server: string,
  folders: readonly string[] = HELPER_FOLDERS,
): Promise<Credentials | undefined> {
  const program = await find(name, folders)
  const { code, output } = await run(program, server, folders)
  if (code !== 0) {
    if (/credentials not found/i.test(output)) return undefined
    throw broken(program, `has ended with ${code}`)
  }
  const answer = readAnswer(program, output)
  const { Username: username, Secret: secret } = answer
  if (typeof username !== 'string' || typeof secret !== 'string') throw broken(program, 'has answered something else')
  if (username === '' && secret === '') return undefined
  if (username === '<token>') return { kind: 'identity-token', token: secret }
  return { kind: 'basic', username, password: secret }
}

function readAnswer(program: string, output: string) {
  try {
    const answer = parseJson(Buffer.from(output), 'its answer')
    if (isObject(answer)) return answer
  } catch {
    // What it has said may be a secret, and is not repeated.
  }
  throw broken(program, 'has answered something else')
}

async function find(name: string, folders: readonly string[]): Promise<string> {
  if (!NAME.test(name)) throw new CoveError('config-invalid', 'the name of a credential helper is not a name')
  for (const folder of folders) {
    const program = join(folder, `docker-credential-${name}`)
    if (await access(program, constants.X_OK).then(...YES_NO)) return program
  }
  throw new CoveError(
    'config-invalid',
    `docker-credential-${name} is in none of ${folders.join(', ')}`,
    {},
    { fix: 'Install it there, name its folder in the configuration, or give the credentials directly.' },
  )
}

const YES_NO = [() => true, () => false] as const

function run(program: string, server: string, folders: readonly string[]) {
  return new Promise<{ readonly code: number; readonly output: string }>((resolve, reject) => {
    const child = spawn(program, ['get'], {
      stdio: ['pipe', 'pipe', 'ignore'],
      env: environment(folders),
      cwd: '/',
      detached: true,
    })
    const chunks: Buffer[] = []
    let length = 0
    const stop = (why: string): void => {
      // With whatever it has started: its group.
      if (child.pid !== undefined) kill(child.pid)
      child.stdout.destroy()
      reject(broken(program, why))
    }
    const timer = setTimeout(stop, TIME_MS, `does not answer within ${TIME_MS / 1_000} s`)
    child.stdout.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length > MAX_OUTPUT) stop('says too much')
      else chunks.push(chunk)
    })
    child.on('error', (error) => stop(`cannot be run: ${error.message}`))
    child.on('close', (code) => {
      clearTimeout(timer)
      resolve({ code: code ?? -1, output: Buffer.concat(chunks).toString('utf8') })
    })
    // It may have ended without reading.
    child.stdin.on('error', () => undefined)
    child.stdin.end(server)
  })
}

function kill(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It has ended.
  }
}

/** Keyrings and clouds are found by the environment; what is Cove's own stays here. */
function environment(folders: readonly string[]): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('COVE_') && name !== 'NODE_OPTIONS')
  return { ...Object.fromEntries(kept), PATH: [...new Set([...folders, ...HELPER_FOLDERS])].join(':') }
}

function broken(program: string, why: string): CoveError {
  const fix = 'Run it by hand to see what is wrong, or log in again with `docker login`.'
  return new CoveError('config-invalid', `the credential helper ${program} ${why}`, {}, { fix })
}
