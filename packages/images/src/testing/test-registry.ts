import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'

const run = promisify(execFile)
const REGISTRY = '/usr/bin/docker-registry'
const SKOPEO = '/usr/bin/skopeo'
// Its crypt(3) knows bcrypt, the only hash that the registry takes.
const PERL = '/usr/bin/perl'
const CRYPT = 'print crypt($ENV{PASSWORD}, q($2b$04$abcdefghijklmnopqrstuu))'
const START_MS = 20_000

export interface TestRegistryOptions {
  /** Asks everybody for these. */
  readonly basic?: { readonly username: string; readonly password: string }
  /** Sends everybody to a token server. `certificates`: a PEM file with those that may sign. */
  readonly token?: {
    readonly realm: string
    readonly service: string
    readonly issuer: string
    readonly certificates: string
  }
}

/** Why no registry of its own can be started here; undefined when one can. */
export function missingForRegistry(): string | undefined {
  if (!existsSync(REGISTRY)) return 'docker-registry is not installed (package docker-registry)'
  if (!existsSync(SKOPEO)) return 'skopeo is not installed (package skopeo)'
  return undefined
}

/** A real registry on a free port of the loopback, in plain HTTP, with a folder of its own. */
export class TestRegistry implements AsyncDisposable {
  /** `127.0.0.1:port`: goes before the name in a reference. */
  readonly host: string
  readonly folder: string
  readonly #child: ChildProcess
  readonly #credentials: string | undefined

  private constructor(folder: string, host: string, child: ChildProcess, credentials: string | undefined) {
    this.folder = folder
    this.host = host
    this.#child = child
    this.#credentials = credentials
  }

  static async start(options: TestRegistryOptions = {}): Promise<TestRegistry> {
    const folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
    let child: ChildProcess | undefined
    try {
      const config = join(folder, 'config.yml')
      writeFileSync(config, await configuration(folder, options))
      child = spawn(REGISTRY, ['serve', config], { stdio: ['ignore', 'ignore', 'pipe'] })
      const { basic } = options
      const credentials = basic === undefined ? undefined : `${basic.username}:${basic.password}`
      return new TestRegistry(folder, await listening(child), child, credentials)
    } catch (error) {
      if (child !== undefined) await end(child)
      rmSync(folder, { recursive: true, force: true })
      throw error
    }
  }

  /** Where it keeps a blob, for tests that damage one. */
  blob(digest: string): string {
    const hex = digest.slice(digest.indexOf(':') + 1)
    return join(this.folder, 'data/docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex, 'data')
  }

  /**
   * Copies an image of an OCI layout on disk as it is, an index with all of its platforms; answers its reference here.
   * `docker` gives it Docker's media types.
   */
  async push(layout: string, tag: string, name: string, format: 'oci' | 'docker' = 'oci'): Promise<string> {
    const kind = format === 'oci' ? ['--preserve-digests'] : ['--format', 'v2s2']
    const from = `oci:${layout}:${tag}`
    await this.skopeo('copy', '--all', '--quiet', ...kind, ...this.#flags('dest'), from, this.#at(name))
    return `${this.host}/${name}`
  }

  /** Copies an image of this registry to wherever skopeo can write. */
  async pull(name: string, to: string): Promise<void> {
    await this.skopeo('copy', '--quiet', ...this.#flags('src'), this.#at(name), to)
  }

  async skopeo(...args: string[]): Promise<string> {
    const home = { HOME: this.folder, PATH: '/usr/bin:/bin', TMPDIR: this.folder }
    const { stdout } = await run(SKOPEO, ['--insecure-policy', ...args], { env: home, maxBuffer: 16 * 1024 * 1024 })
    return stdout
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await end(this.#child)
    rmSync(this.folder, { recursive: true, force: true })
  }

  #at(name: string): string {
    return `docker://${this.host}/${name}`
  }

  #flags(side: 'src' | 'dest'): string[] {
    const login = this.#credentials === undefined ? [] : [`--${side}-creds=${this.#credentials}`]
    return [`--${side}-tls-verify=false`, ...login]
  }
}

async function configuration(folder: string, { basic, token }: TestRegistryOptions): Promise<string> {
  const auth: Record<string, object> = {}
  if (basic !== undefined) {
    const path = join(folder, 'htpasswd')
    const { stdout } = await run(PERL, ['-e', CRYPT], { env: { PASSWORD: basic.password } })
    writeFileSync(path, `${basic.username}:${stdout}\n`)
    auth['htpasswd'] = { realm: 'test', path }
  }
  if (token !== undefined) {
    const { certificates, ...rest } = token
    auth['token'] = { ...rest, rootcertbundle: certificates }
  }
  // JSON is YAML.
  return JSON.stringify({
    version: 0.1,
    log: { level: 'info', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(folder, 'data') }, delete: { enabled: true } },
    http: { addr: '127.0.0.1:0', relativeurls: true },
    ...(Object.keys(auth).length === 0 ? {} : { auth }),
  })
}

/** It says on which port it listens, in its log; which is read until it ends, so that it never waits for a reader. */
function listening(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const seen: string[] = []
    const timer = setTimeout(fail, START_MS, 'in time')
    function fail(why: string): void {
      clearTimeout(timer)
      reject(new Error(`docker-registry did not start ${why}:\n${seen.join('\n').slice(-4_000)}`))
    }
    if (child.stderr === null) return fail('with a log')
    child.once('error', (error) => fail(error.message))
    child.once('exit', () => fail('and has ended'))
    createInterface(child.stderr).on('line', (line) => {
      const host = /listening on (127\.0\.0\.1:\d+)/.exec(line)?.[1]
      if (seen.length < 100) seen.push(line)
      if (host === undefined) return
      clearTimeout(timer)
      resolve(host)
    })
  })
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}
