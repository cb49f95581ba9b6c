import { Cove, type FileEvent, type Process, type ProcessEvent, type Sandbox } from '@cove/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ChaosLine, seeded, type Cut } from './support/chaos-line.ts'
import { TestDaemon } from './support/daemon.ts'

const FAST = { attempts: 15, baseMs: 1, maxMs: 2 }
/** Longer than what a start or attach sends, and than what it is answered with for a few bytes of output. */
const INTERESTING_BYTES = 640

const decoder = new TextDecoder()

/** All output in order, with gaps as `[from-to]`, and the end. */
async function read(process: Process): Promise<string> {
  let text = ''
  for await (const event of process.events()) text += shown(event)
  return text
}

function shown(event: ProcessEvent): string {
  if (event.type === 'output') return decoder.decode(event.data)
  return event.type === 'gap' ? `[${event.from}-${event.to}]` : `(${JSON.stringify(event.exit)})`
}

/** Two pipes have no order between them. */
const sorted = (text: string): string => text.split('\n').toSorted().join('\n')

describe('streams over a line that breaks', () => {
  let daemon: TestDaemon
  let line: ChaosLine
  let far: Cove
  let sandbox: Sandbox
  let here: Sandbox
  beforeAll(async () => {
    daemon = await TestDaemon.start()
    line = await ChaosLine.open(() => daemon.url)
    // No kept connections: each exchange is one connection of the plan.
    far = new Cove({ url: line.url, apiKey: daemon.apiKey, retry: FAST, reconnect: FAST })
    here = (await daemon.client().sandboxes.create()).keep()
    sandbox = (await far.sandboxes.get(here.id)).keep()
  })
  afterAll(async () => {
    await line[Symbol.asyncDispose]()
    await daemon[Symbol.asyncDispose]()
  })

  const OUTPUT = 'one\ntwo\nthree\n'
  const SCRIPT = 'echo ran >> /tmp/ran; echo one; echo two >&2; echo three; exit 3'
  const WHOLE = `${OUTPUT}({"kind":"exited","code":3})`

  it.each(['answer', 'request'] as const)(
    'start a process once and tell each byte once, wherever the %s is cut',
    async (direction) => {
      await here.run(['rm', '-f', '/tmp/ran'])
      const random = seeded(1)
      let stories = 0
      for (let bytes = 0; bytes < INTERESTING_BYTES; bytes += 1 + Math.floor(random() * 4)) {
        const cut: Cut = { direction, bytes, reset: random() < 0.5 }
        line.cut()
        line.begin((connection) => (connection === 0 ? cut : undefined))
        const process = await sandbox.start(['sh', '-c', SCRIPT])
        expect(sorted(await read(process)), JSON.stringify(cut)).toBe(sorted(WHOLE))
        stories++
      }
      const { stdout } = await here.run(['sh', '-c', 'wc -l < /tmp/ran'])
      expect(Number(stdout)).toBe(stories)
    },
    120_000,
  )

  it('tell each byte of an attached process once, wherever the answer is cut', async () => {
    await here.processes.start(['sh', '-c', 'echo one; echo two; echo three; exit 3'], { id: 'attached' })
    await here.processes.wait('attached')
    const random = seeded(2)
    for (let bytes = 0; bytes < INTERESTING_BYTES; bytes += 1 + Math.floor(random() * 4)) {
      line.cut()
      const cut: Cut = { direction: 'answer', bytes, reset: random() < 0.5 }
      line.begin((connection) => (connection === 0 ? cut : undefined))
      expect(await read(await sandbox.processes.attach('attached')), JSON.stringify(cut)).toBe(WHOLE)
    }
  }, 120_000)

  it.each([1, 2, 3, 4, 5, 6, 7, 8])('tell a long output whole over many cuts (seed %i)', async (seed) => {
    const random = seeded(seed)
    line.cut()
    line.begin(() => ({ direction: 'answer', bytes: Math.floor(random() ** 2 * 40_000), reset: random() < 0.5 }))
    // Less than the guest keeps of one process, in a sandbox of its own: what is kept of all of them has a bound too.
    const count = 30_000
    await using own = await daemon.client().sandboxes.create()
    const process = await (await far.sandboxes.get(own.id)).keep().start(['seq', String(count)])
    const all = Array.from({ length: count }, (_, i) => `${i + 1}\n`).join('')
    expect((await read(process)) === `${all}({"kind":"exited","code":0})`).toBe(true)
    expect(line.connections).toBeGreaterThan(2)
    line.begin(() => undefined)
  })

  it('tell what was overwritten while nobody could come, and go on behind it', async () => {
    line.cut()
    line.begin(() => undefined)
    const total = 1_000_000
    const process = await sandbox.start(['sh', '-c', `printf begin; read go; head -c ${total} /dev/zero; printf end`], {
      id: 'overrun',
      stdin: true,
    })
    const seen: ProcessEvent[] = []
    const begun = Promise.withResolvers<void>()
    const reading = (async () => {
      for await (const event of process.events()) {
        seen.push(event)
        begun.resolve()
      }
    })()
    await begun.promise
    line.sever()
    // Once the daemon has noticed that nobody is attached, the process is not held back any more.
    await here.processes.write('overrun', 'go\n')
    await here.processes.wait('overrun')
    line.mend()
    await reading
    // Each begins where the one before it has ended.
    let at = 0
    const begins: number[] = []
    const expected: number[] = []
    for (const event of seen) {
      if (event.type === 'exit') continue
      expected.push(at)
      begins.push(event.type === 'gap' ? event.from : event.offset)
      at = event.type === 'gap' ? event.to : at + event.data.byteLength
    }
    expect(begins).toEqual(expected)
    expect(at).toBe(total + 8)
    expect(seen.filter(({ type }) => type === 'gap').length).toBe(1)
    expect(seen.at(-1)).toMatchObject({ type: 'exit' })
  })

  it('end with the real reason where trying on is no use', async () => {
    const box = await daemon.client().sandboxes.create()
    const [stopped, sleeping] = [new AbortController(), ['sleep', '1000']]
    const patient = new Cove({ url: line.url, apiKey: daemon.apiKey })
    const process = await patient.sandboxes.at(box.id).start(sleeping)
    const other = await patient.sandboxes.at(box.id).start(sleeping, { signal: stopped.signal })
    const ends = Promise.allSettled([process.wait(), other.wait()])
    line.sever()
    stopped.abort()
    await box.delete()
    line.mend()
    const [first, second] = await ends
    expect(first).toMatchObject({ reason: { code: 'sandbox-gone' } })
    expect(second).toMatchObject({ reason: { code: 'cancelled' } })
  })

  it('give up a line that stays broken', async () => {
    const process = await sandbox.start(['sleep', '1000'])
    const end = process.wait()
    line.sever()
    await expect(end).rejects.toMatchObject({ code: 'connection-lost', transient: true })
    line.mend()
    await here.processes.kill(process.id)
  })

  it('tell a watch of sandboxes what it missed', async () => {
    const cove = daemon.client()
    const [kept, deleted] = [await cove.sandboxes.create(), await cove.sandboxes.create()]
    const patient = new Cove({ url: line.url, apiKey: daemon.apiKey })
    const words: string[] = []
    const events = patient.sandboxes.watch()
    const until = async (wanted: string): Promise<void> => {
      for (let word = ''; word !== wanted; words.push(word)) {
        const { value, done } = await events.next()
        if (done === true) throw new Error('the watch ended')
        word = value.type === 'synced' ? 'synced' : `${value.sandbox.id} ${value.sandbox.state}`
      }
    }
    await until('synced')
    line.sever()
    await deleted.delete()
    const made = await cove.sandboxes.create()
    line.mend()
    await until('synced')
    expect(words.slice(words.indexOf('synced') + 1).toSorted()).toEqual(
      [here, kept, made]
        .map(({ id }) => `${id} running`)
        .concat(`${deleted.id} deleted`, 'synced')
        .toSorted(),
    )
    await made.delete()
    await until(`${made.id} deleted`)
    await kept.delete()
    await events.return(undefined)
  })

  it('go on over a daemon that was killed and started again', async () => {
    const patient = new Cove({ url: line.url, apiKey: daemon.apiKey })
    const box = patient.sandboxes.at(here.id)
    const stop = new AbortController()
    const started = await box.start(['sh', '-c', 'echo one; read go; echo two; exit 6'], { id: 'over', stdin: true })
    const attached = await box.processes.attach('over')
    const files = await box.files.watch('/home/user', { signal: stop.signal })
    const sandboxes = patient.sandboxes.watch({ signal: stop.signal })
    const texts = Promise.all([read(started), read(attached)])
    const synced = async (): Promise<void> => {
      for (let type = ''; type !== 'synced';) type = (await sandboxes.next()).value?.type ?? 'synced'
    }
    await synced()
    const change = (async (): Promise<FileEvent[]> => {
      const seen: FileEvent[] = []
      for await (const event of files) {
        seen.push(event)
        if (event.type === 'created') return seen
        if (event.type === 'overflow') await daemon.client().sandboxes.at(here.id).files.mkdir('/home/user/after')
      }
      return seen
    })()
    await daemon.end('SIGKILL')
    await daemon.start()
    await daemon.client().sandboxes.at(here.id).processes.write('over', 'go\n')
    const whole = 'one\ntwo\n({"kind":"exited","code":6})'
    expect(await texts).toEqual([whole, whole])
    expect(await change).toEqual([{ type: 'overflow' }, { type: 'created', path: 'after' }])
    await synced()
    stop.abort()
  })
})
