/**
 * What a page does with the client, called from outside by name: it is bundled for the browser, with nothing of Node's.
 */
import { Cove, CoveError, type FileEvent, type SandboxEvent } from '@cove/sdk'

export interface Told {
  readonly lines: readonly string[]
}

/** Breaks the line that the page's connections go over, from outside of the page. */
export type CutLine = () => Promise<void>

const utf8 = new TextDecoder()
const nowhere = async (): Promise<string> => 'nothing was thrown'
const codeOf = (error: unknown): string => (error instanceof CoveError ? error.code : String(error))

async function story(url: string, apiKey: string, cutLine: CutLine): Promise<Told> {
  const lines: string[] = []
  const cove = new Cove({ url, apiKey, reconnect: { baseMs: 10 } })
  const stop = new AbortController()
  const sandboxes = cove.sandboxes.watch({ signal: stop.signal })
  await until(sandboxes, (event) => event.type === 'synced')
  const sandbox = await cove.sandboxes.create({ name: 'from-a-page' })
  await until(sandboxes, (event) => event.type === 'changed' && event.sandbox.id === sandbox.id)
  lines.push(`created ${sandbox.name}`)

  const result = await sandbox.run('python', 'import sys; print(6 * 7); print("oops", file=sys.stderr); sys.exit(3)')
  lines.push(`ran ${result.stdout.trim()} ${result.stderr.trim()} ${result.exitCode}`)

  await sandbox.files.mkdir('/home/user/dir')
  const changes = await sandbox.files.watch('/home/user/dir', { signal: stop.signal })
  await sandbox.files.write('/home/user/dir/text', 'written by a page')
  await until<FileEvent>(changes, (event) => event.type === 'created' && event.path === 'text')
  const blob = new Blob([new Uint8Array(300_000).fill(7)])
  await sandbox.files.write('/home/user/dir/blob', blob)
  await sandbox.files.write('/home/user/dir/stream', parts())
  const sizes = [await sandbox.files.read('/home/user/dir/blob'), await sandbox.files.read('/home/user/dir/stream')]
  lines.push(
    `files ${await sandbox.files.readText('/home/user/dir/text')} ${sizes.map((bytes) => bytes.byteLength).join(' ')}`,
  )
  const listed = await Array.fromAsync(sandbox.files.list('/home/user/dir'))
  lines.push(
    `listed ${listed
      .map(({ name }) => name)
      .toSorted()
      .join(' ')}`,
  )
  await changes.return(undefined)

  const process = await sandbox.start(['sh', '-c', 'echo first; read line; echo "$line"; exit 4'], { stdin: true })
  let text = ''
  for await (const event of process.events()) {
    if (event.type === 'output') text += utf8.decode(event.data)
    if (event.type !== 'output' || text !== 'first\n') continue
    await cutLine()
    await process.write('after the cut\n')
  }
  lines.push(`streamed ${text.trim().split('\n').join(', ')} ${JSON.stringify((await process.wait()).exit)}`)

  await sandbox.processes.start(['sh', '-c', 'echo background; exec sleep 1000'], { id: 'long' })
  const part = await sandbox.processes.read('long', { waitMs: 30_000 })
  await sandbox.processes.kill('long')
  lines.push(`background ${part.text.trim()} ${JSON.stringify((await sandbox.processes.wait('long')).exit)}`)

  const refusals = [
    sandbox.files.read('/none'),
    sandbox.ports.connect(80),
    sandbox.ports.forward(80),
    sandbox.files.upload('/a', '/b'),
    sandbox.run(['sleep', '1000'], { signal: AbortSignal.timeout(50) }),
    new Cove({ url, apiKey: 'cove_wrong' }).caller(),
    new Cove({ url: 'http://127.0.0.1:9', apiKey, retry: { attempts: 0 } }).caller(),
  ]
  const codes = await Promise.all(refusals.map((call) => call.then(nowhere, codeOf)))
  lines.push(`refused ${codes.join(' ')}`)

  await sandbox.delete()
  await until(sandboxes, (event) => event.type === 'changed' && event.sandbox.state === 'deleted')
  stop.abort()
  lines.push('deleted')
  return { lines }
}

async function* parts(): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < 90; i++) yield new Uint8Array(100_000).fill(i)
}

async function until<T = SandboxEvent>(events: AsyncGenerator<T>, wanted: (event: T) => boolean): Promise<void> {
  for (let next = await events.next(); next.done !== true; next = await events.next()) if (wanted(next.value)) return
  throw new Error('the stream ended')
}

Object.assign(globalThis, { story })
