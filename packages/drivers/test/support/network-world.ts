import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { ServiceSpec } from './world-service.ts'

const run = promisify(execFile)
const SERVICE = fileURLToPath(new URL('world-service.ts', import.meta.url))

/** Addresses of the world. */
export const WORLD = {
  /** On the host: public-looking, on its way out; the same on no interface to outside; private. */
  host4: '45.33.32.10',
  hostExtra4: '45.33.40.99',
  hostLan4: '192.168.77.1',
  host6: '2a0a:1::10',
  hostLan6: 'fd12:77::1',
  /** Of the same network as the host. */
  neighbour4: '45.33.32.1',
  lan4: '192.168.77.2',
  lan6: 'fd12:77::2',
  public4: '93.184.216.34',
  public6: '2606:2800::1',
} as const
/** Everything listens here. */
export const PORT = 7000
/** Takes what it gets. */
export const SINK_PORT = 7001
/** On the host's own loopback only. */
export const LOOPBACK_PORT = 5432

export const NAMES = {
  'public.test': [WORLD.public4, WORLD.public6],
  'only6.test': [WORLD.public6],
  'private.test': [WORLD.lan4],
  'hostaddress.test': [WORLD.host4, WORLD.host6],
  'metadata.test': ['169.254.169.254'],
  'mapped.test': ['::ffff:192.168.77.2'],
  'translated.test': ['64:ff9b::c0a8:4d02'],
  'unique.test': [WORLD.lan6],
} as const

export interface NetworkWorld extends AsyncDisposable {
  /** Runs a program in the host's namespace. */
  onHost(argv: readonly string[]): Promise<string>
  /** `ip` in the host's namespace. */
  ip(...args: readonly string[]): Promise<void>
  /** Starts the launcher of this folder there, with the host's resolver on its loopback. */
  startLauncher(binary: string, stateDir: string, installation: string): Promise<void>
}

/**
 * A host, a local network and an internet, each a network namespace: nothing leaves this machine. The internet answers
 * to every address there is, so that a packet which is let out finds somebody.
 */
export async function openNetworkWorld(options: { readonly inet6?: boolean } = {}): Promise<NetworkWorld> {
  const folder = await mkdtemp(join(tmpdir(), 'cove-test-'))
  const programs: ChildProcess[] = []
  const close = async () => {
    for (const program of programs.toReversed()) {
      program.kill('SIGKILL')
      if (program.exitCode === null && program.signalCode === null) await once(program, 'exit')
    }
    await rm(folder, { recursive: true, force: true })
  }
  /** Starts a program and waits for its first word. */
  const start = async (argv: readonly string[]): Promise<number> => {
    const [program = '', ...args] = argv
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    programs.push(child)
    const ended = once(child, 'exit').then(() => Promise.reject(new Error(`${argv.join(' ')} has ended`)))
    ended.catch(() => undefined)
    await Promise.race([once(child.stdout, 'data'), ended])
    return child.pid ?? 0
  }
  try {
    // A namespace is there for as long as somebody is in it.
    const make = () => start(['unshare', '--net', 'sh', '-c', 'echo here; exec sleep infinity'])
    const [host, lan, internet] = [await make(), await make(), await make()]
    await connectAll(host, lan, internet, options.inet6 !== false)
    const service = (place: number, spec: ServiceSpec) =>
      start([...inside(place), process.execPath, SERVICE, JSON.stringify(spec)])
    await Promise.all([service(host, HOST), service(lan, LAN), service(internet, INTERNET)])
    return {
      onHost: async ([program = '', ...args]) => {
        const [nsenter, ...where] = inside(host)
        return (await run(nsenter, [...where, program, ...args])).stdout
      },
      ip: (...words) => ip(host, [words.join(' ')]),
      startLauncher: async (binary, stateDir, installation) => {
        const resolver = join(folder, 'resolv.conf')
        await writeFile(resolver, 'nameserver 127.0.0.53\n')
        const hash = createHash('sha256')
          .update(await readFile(binary))
          .digest('hex')
          .slice(0, 10)
        const flags = ['launcher', '--state', stateDir, '--installation', installation, '--instance', `l1-${hash}`]
        const script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        const [nsenter, ...where] = inside(host)
        await run(nsenter, [...where, 'unshare', '-m', 'sh', '-c', script, resolver, binary, ...flags])
      },
      [Symbol.asyncDispose]: close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

const HOST: ServiceSpec = {
  name: 'host',
  tcp: [
    ['::', PORT],
    ['127.0.0.1', LOOPBACK_PORT],
    ['127.0.0.1', LOOPBACK_PORT + 1],
  ],
  udp: [
    [WORLD.host4, PORT],
    ['127.0.0.1', LOOPBACK_PORT],
  ],
  dns: { address: '127.0.0.53', names: NAMES },
}
const LAN: ServiceSpec = {
  name: 'lan',
  tcp: [
    ['::', PORT],
    ['::', PORT + 8],
  ],
  udp: [[WORLD.lan4, PORT]],
}
const INTERNET: ServiceSpec = {
  name: 'internet',
  tcp: [['::', PORT]],
  udp: [
    [WORLD.public4, PORT],
    [WORLD.public6, PORT],
  ],
  sink: [['::', SINK_PORT]],
}

async function connectAll(host: number, lan: number, internet: number, inet6: boolean): Promise<void> {
  const six = inet6
    ? [
        `addr add ${WORLD.host6}/64 dev wan nodad`,
        `addr add ${WORLD.hostLan6}/64 dev lan nodad`,
        'route add default via 2a0a:1::1',
      ]
    : []
  await ip(host, [
    `link add wan type veth peer name wan netns ${internet}`,
    `link add lan type veth peer name lan netns ${lan}`,
    'link set lo up',
    'link set wan up',
    'link set lan up',
    `addr add ${WORLD.host4}/28 dev wan`,
    `addr add ${WORLD.hostExtra4}/32 dev lo`,
    `addr add ${WORLD.hostLan4}/24 dev lan`,
    `route add default via ${WORLD.neighbour4}`,
  ])
  await ip(internet, [
    'link set lo up',
    'link set wan up',
    `addr add ${WORLD.neighbour4}/28 dev wan`,
    'addr add 2a0a:1::1/64 dev wan nodad',
    `addr add ${WORLD.public6}/128 dev lo`,
    'route add local default dev lo table main',
    'route add local ::/0 dev lo table main',
  ])
  await ip(lan, [
    'link set lo up',
    'link set lan up',
    `addr add ${WORLD.lan4}/24 dev lan`,
    `addr add ${WORLD.lan6}/64 dev lan nodad`,
    `route add default via ${WORLD.hostLan4}`,
    `route add default via ${WORLD.hostLan6}`,
  ])
  await ip(host, six)
}

/** `ip netns exec` would hide the cgroups, and leaves a mount when a test is killed. */
function inside(pid: number): readonly [string, ...string[]] {
  return ['nsenter', `--net=/proc/${pid}/ns/net`]
}

/** Many commands of `ip` at once. */
async function ip(place: number, lines: readonly string[]): Promise<void> {
  const [nsenter, ...where] = inside(place)
  const running = run(nsenter, [...where, 'ip', '-batch', '-'])
  running.child.stdin?.end(`${lines.join('\n')}\n`)
  await running
}
