import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream, createWriteStream } from 'node:fs'
import { access, constants, copyFile, mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { findKernel } from './find-kernel.ts'
import { smallRoot } from './raw-container.ts'

const run = promisify(execFile)
const QEMU = '/usr/bin/qemu-system-x86_64'
const MKFS = '/usr/bin/mkfs.erofs'
const INIT = join(import.meta.dirname, '../raw-vm/init.rs')
const STREAM_BYTES = 64 * 1024 * 1024
/** What no boot of one takes, however busy the machine is. */
const PATIENCE_MS = 60_000

/** Virtual machines by QEMU alone, with the same kernel as Cove's: what Cove is compared with. */
export interface RawVms extends AsyncDisposable {
  /** Milliseconds from the start of QEMU to the first command's result. */
  cold(): Promise<number>
  /** Milliseconds from the start of QEMU, with what has been saved, to the first command's result. */
  restored(): Promise<number>
  /** One that stays. */
  start(): Promise<RawVm>
}

export interface RawVm extends AsyncDisposable {
  /** Milliseconds of one command. */
  command(): Promise<number>
  /** Megabytes in a second that it writes to its port. */
  stream(): Promise<number>
}

/** Why there are none here; undefined when there are. */
export async function missingForVms(): Promise<string | undefined> {
  for (const [path, name] of [
    [QEMU, 'qemu-system-x86'],
    [MKFS, 'erofs-utils'],
  ] as const) {
    const there = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (!there) return `${name} is not installed`
  }
  return (await findKernel()) === undefined ? 'no kernel has been built' : undefined
}

export async function rawVms(memoryMiB: number): Promise<RawVms> {
  const kernel = await findKernel()
  if (kernel === undefined) throw new Error('no kernel has been built')
  // In memory, as the machines' own RAM is.
  const folder = await mkdtemp('/dev/shm/cove-bench-')
  await using stack = new AsyncDisposableStack()
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const rootfs = await smallRoot(folder)
  const flags = ['--edition', '2021', '-C', 'opt-level=z', '-C', 'panic=abort', '-C', 'target-feature=+crt-static']
  await run('rustc', [...flags, '-C', 'strip=symbols', '-o', join(rootfs, 'init'), INIT])
  await run(MKFS, ['-T0', join(folder, 'root.erofs'), rootfs])
  const place = { folder, kernel, memoryMiB, clock: await clockKHz() }
  let saved = false
  const owned = stack.move()
  return {
    async cold() {
      const started = performance.now()
      await using vm = await boot(place, { ram: join(folder, 'ram'), share: 'on' })
      await vm.ready()
      await vm.order('x', 1)
      return performance.now() - started
    },
    async restored() {
      if (!saved) await save(place)
      saved = true
      const started = performance.now()
      await using vm = await boot(place, { ram: join(folder, 'saved'), share: 'off', incoming: true })
      await vm.load()
      await vm.order('x', 1)
      return performance.now() - started
    },
    async start() {
      const vm = await boot(place, { ram: join(folder, 'ram'), share: 'on' })
      await vm.ready()
      await vm.order('x', 1)
      return {
        async command() {
          const started = performance.now()
          await vm.order('x', 1)
          return performance.now() - started
        },
        async stream() {
          const started = performance.now()
          await vm.order('w', STREAM_BYTES)
          return STREAM_BYTES / 1e3 / (performance.now() - started)
        },
        [Symbol.asyncDispose]: () => vm[Symbol.asyncDispose](),
      }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

interface Place {
  readonly folder: string
  readonly kernel: string
  readonly memoryMiB: number
  readonly clock: number
}

interface Ram {
  readonly ram: string
  readonly share: 'on' | 'off'
  readonly incoming?: boolean
}

/** It runs once, and what it is then is kept. */
async function save(place: Place): Promise<void> {
  await using vm = await boot(place, { ram: join(place.folder, 'ram'), share: 'on' })
  await vm.ready()
  await vm.order('x', 1)
  await vm.keep()
  await copyFile(join(place.folder, 'ram'), join(place.folder, 'saved'))
}

class Vm {
  readonly #place: Place
  readonly #child: ChildProcess
  #qmp: Qmp | undefined
  #heard = 0
  #wanted: { bytes: number; done: () => void } | undefined

  constructor(place: Place, child: ChildProcess) {
    this.#place = place
    this.#child = child
    child.stdout?.on('data', (chunk: Buffer) => {
      this.#heard += chunk.length
      if (this.#wanted === undefined || this.#heard < this.#wanted.bytes) return
      this.#heard -= this.#wanted.bytes
      this.#wanted.done()
      this.#wanted = undefined
    })
  }

  ready(): Promise<void> {
    return this.#hear(1)
  }

  async order(letter: string, bytes: number): Promise<void> {
    const heard = this.#hear(bytes)
    this.#child.stdin?.write(letter)
    await heard
  }

  /** What the devices are is kept in a file; the memory lies in its own. */
  async keep(): Promise<void> {
    const qmp = await this.#monitor()
    const socket = join(this.#place.folder, 'out')
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(socket, resolve))
    await qmp.call('stop')
    await qmp.call('migrate-set-capabilities', IGNORE_SHARED)
    const connected = once(server, 'connection')
    await qmp.call('migrate', { uri: `unix:${socket}` })
    const [stream] = (await connected) as [Socket]
    await pipeline(stream, createWriteStream(join(this.#place.folder, 'state')))
    server.close()
  }

  async load(): Promise<void> {
    const qmp = await this.#monitor()
    const socket = join(this.#place.folder, `in-${this.#child.pid}`)
    await qmp.call('migrate-set-capabilities', IGNORE_SHARED)
    await qmp.call('migrate-incoming', { uri: `unix:${socket}` })
    const running = qmp.event('RESUME')
    await pipeline(createReadStream(join(this.#place.folder, 'state')), connect(socket))
    await qmp.stopped()
    await qmp.call('cont')
    await running
  }

  async #monitor(): Promise<Qmp> {
    this.#qmp ??= await Qmp.connect(join(this.#place.folder, `qmp-${this.#child.spawnargs.at(-1)}`))
    return this.#qmp
  }

  async #hear(bytes: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const timer = setTimeout(() => reject(new Error('the bare virtual machine does not answer')), PATIENCE_MS)
    if (this.#heard >= bytes) {
      this.#heard -= bytes
      resolve()
    } else this.#wanted = { bytes, done: resolve }
    await promise.finally(() => clearTimeout(timer))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#qmp?.close()
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await ended
  }
}

const IGNORE_SHARED = { capabilities: [{ capability: 'x-ignore-shared', state: true }] }

let count = 0

async function boot(place: Place, { ram, share, incoming = false }: Ram): Promise<Vm> {
  const { folder, kernel, memoryMiB, clock } = place
  if (!incoming) await rm(ram, { force: true })
  const name = `${count++}`
  const append = [
    'console=ttyS0 panic=-1 reboot=t quiet loglevel=0 nokaslr mitigations=off tsc=reliable nolapic_timer',
    `tsc_early_khz=${clock} no_timer_check 8250.nr_uarts=1 random.trust_cpu=on rcupdate.rcu_expedited=1`,
    'cryptomgr.notests root=/dev/vda ro rootfstype=erofs init=/init',
  ].join(' ')
  const child = spawn(
    QEMU,
    [
      '-nodefaults',
      '-no-reboot',
      '-display',
      'none',
      '-serial',
      'null',
      '-accel',
      'tcg,tb-size=128',
      '-cpu',
      'max',
      '-m',
      `${memoryMiB}`,
      '-object',
      `memory-backend-file,id=ram0,size=${memoryMiB}M,mem-path=${ram},share=${share}`,
      '-M',
      'microvm,acpi=off,memory-backend=ram0',
      '-kernel',
      kernel,
      '-append',
      append,
      '-drive',
      `if=none,id=root,file=${join(folder, 'root.erofs')},format=raw,readonly=on`,
      '-device',
      'virtio-blk-device,drive=root',
      '-device',
      'virtio-serial-device',
      '-chardev',
      'stdio,id=port,signal=off',
      '-device',
      'virtserialport,chardev=port,name=raw',
      '-qmp',
      `unix:${join(folder, `qmp-${name}`)},server=on,wait=off`,
      ...(incoming ? ['-incoming', 'defer'] : []),
      '-name',
      name,
    ],
    { stdio: ['pipe', 'pipe', 'ignore'] },
  )
  await once(child, 'spawn')
  return new Vm(place, child)
}

interface Waiting {
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** QEMU's monitor, as far as it is needed here. */
class Qmp {
  readonly #socket: Socket
  readonly #answers: Waiting[] = []
  readonly #events = new Map<string, () => void>()
  #stopped = false

  private constructor(socket: Socket) {
    this.#socket = socket
    createInterface({ input: socket }).on('line', (line) => this.#take(line))
  }

  static async connect(path: string): Promise<Qmp> {
    for (const end = performance.now() + PATIENCE_MS; ;) {
      const socket = connect(path)
      const error = await Promise.race([once(socket, 'connect').then(() => undefined), once(socket, 'error')])
      if (error === undefined) {
        const qmp = new Qmp(socket)
        await qmp.call('qmp_capabilities')
        return qmp
      }
      if (performance.now() > end) throw new Error('QEMU does not answer')
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  }

  call(execute: string, arguments_: object = {}): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#answers.push({ resolve, reject })
    this.#socket.write(`${JSON.stringify({ execute, arguments: arguments_ })}\n`)
    return promise
  }

  event(name: string): Promise<void> {
    return new Promise((resolve) => {
      this.#events.set(name, resolve)
    })
  }

  /** What comes in has been taken. */
  async stopped(): Promise<void> {
    while (!this.#stopped) await this.call('query-status')
  }

  close(): void {
    this.#socket.destroy()
  }

  #take(line: string): void {
    const message = JSON.parse(line) as {
      readonly QMP?: object
      readonly event?: string
      readonly return?: { readonly status?: string }
      readonly error?: { readonly desc: string }
    }
    if (message.event !== undefined) this.#events.get(message.event)?.()
    if (message.QMP !== undefined || message.event !== undefined) return
    const waiting = this.#answers.shift()
    const status = message.return?.status
    if (status !== undefined) this.#stopped = status !== 'inmigrate'
    if (message.error === undefined) waiting?.resolve()
    else waiting?.reject(new Error(message.error.desc))
  }
}

async function clockKHz(): Promise<number> {
  const mhz = /^cpu MHz\s*: ([\d.]+)$/m.exec(await readFile('/proc/cpuinfo', 'utf8'))?.[1]
  return Math.round(Number(mhz ?? 2_000) * 1_000)
}
