import { execFileSync, spawn, type ChildProcess, type StdioOptions } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Duplex } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { GuestHarness } from '../conformance/harness.ts'
import { SharedStream } from './shared-stream.ts'

const BINARY = fileURLToPath(new URL('../../../../build/cove-guest', import.meta.url))
const LISTEN_FD = 3

/**
 * The real agent as the first process of a pid namespace of its own, so that all it ever starts ends with it, and
 * with a hostname of its own; the file system and the network are the test's.
 */
export async function startAgent(singleStream: boolean, bridged = false): Promise<GuestHarness> {
  if (!existsSync(BINARY)) throw new Error('build/cove-guest is missing: run tooling/build-guest.sh')
  const base = mkdtempSync(join(tmpdir(), 'cove-test-'))
  const folder = join(base, 'folder')
  mkdirSync(folder)
  const servers: Server[] = []
  const path = join(base, 'agent')
  const bridges = new Set<ChildProcess>()
  const listener = singleStream || bridged ? undefined : await listenOnly(join(base, 'first'), path)
  const child = singleStream
    ? launch(['--stdio'], ['pipe', 'pipe', 'pipe'])
    : bridged
      ? launch(['--listen', path], ['ignore', 'ignore', 'pipe'])
      : launch(['--listen-fd', String(LISTEN_FD)], ['ignore', 'ignore', 'pipe', descriptor(listener)])
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  listener?.close()
  let shared: SharedStream | undefined
  if (child.stdin !== null && child.stdout !== null) shared = new SharedStream(child.stdout, child.stdin)
  return {
    singleStream,
    connect: () => (bridged ? dialBridge(path, bridges) : shared === undefined ? dialUnix(path) : shared.connect()),
    folder,
    owner: 'root',
    stranger: 'nobody',
    plantFile(name) {
      writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), name]), 'x')
      return Promise.resolve()
    },
    plantPipe() {
      execFileSync('mkfifo', [join(folder, 'pipe')])
      return Promise.resolve(join(folder, 'pipe'))
    },
    async echoServers() {
      const unixPath = join(base, 'echo')
      const [tcp, unix, dead] = [echoServer(), echoServer(), createServer()]
      servers.push(tcp, unix)
      tcp.listen(0, '127.0.0.1')
      unix.listen(unixPath)
      dead.listen(0, '127.0.0.1')
      await Promise.all([once(tcp, 'listening'), once(unix, 'listening'), once(dead, 'listening')])
      const deadPort = port(dead)
      dead.close()
      await once(dead, 'close')
      return { port: port(tcp), unixPath, deadPort }
    },
    exited,
    async [Symbol.asyncDispose]() {
      // The agent first, so that its parent reaps it; where it is not there yet, its parent alone.
      const inside = childrenOf(child.pid)
      // What `unshare` has to say about a child that was killed is of no use.
      child.stderr?.removeAllListeners('data').resume()
      for (const pid of inside) endProcess(pid)
      if (inside.length === 0) child.kill('SIGKILL')
      await exited
      await Promise.all([...bridges].map((bridge) => once(bridge, 'exit')))
      for (const server of servers) {
        server.close()
        await once(server, 'close')
      }
      rmSync(base, { recursive: true, force: true })
    },
  }
}

function launch(flags: readonly string[], stdio: StdioOptions): ChildProcess {
  const rootless = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']
  const namespace = [...rootless, '--pid', '--uts', '--fork', '--kill-child=SIGKILL', '--mount-proc', '--']
  const child = spawn('unshare', [...namespace, BINARY, 'agent', ...flags], { stdio })
  child.stderr?.on('data', (text: Buffer) => process.stderr.write(text))
  return child
}

function childrenOf(pid: number | undefined): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
  } catch {
    return []
  }
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended already.
  }
}

/** A socket that listens at `path` and that this process does not accept from. */
async function listenOnly(first: string, path: string): Promise<Server> {
  const server = createServer()
  server.listen(first)
  await once(server, 'listening')
  // Closing the server takes its own name away; the second name stays.
  linkSync(first, path)
  return server
}

function descriptor(server: Server | undefined): number {
  // Node has no public name for the descriptor of a listening socket.
  const handle: unknown = server === undefined ? undefined : Reflect.get(server, '_handle')
  const fd: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : undefined
  if (typeof fd !== 'number') throw new Error('the listening socket has no descriptor')
  return fd
}

async function dialUnix(path: string): Promise<Duplex> {
  const socket = connect(path)
  await once(socket, 'connect')
  return socket
}

/** A further process carries each connection; it ends with the agent or with the connection. */
async function dialBridge(path: string, bridges: Set<ChildProcess>): Promise<Duplex> {
  const bridge = spawn(BINARY, ['bridge', path], { stdio: ['pipe', 'pipe', 'inherit'] })
  bridges.add(bridge)
  bridge.once('exit', () => bridges.delete(bridge))
  await once(bridge, 'spawn')
  return Duplex.from({ readable: bridge.stdout, writable: bridge.stdin })
}

function echoServer(): Server {
  const server = createServer({ allowHalfOpen: true }, (socket: Socket) => {
    socket.on('error', () => {})
    socket.pipe(socket)
  })
  return server
}

function port(server: Server): number {
  return (server.address() as AddressInfo).port
}
