import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { CoveError } from '@cove/domain'
import { encodeFrame, FieldsWriter, FRAME } from '@cove/frames'
import { openLauncher } from '../src/index.ts'
import { GUEST_PROGRAM } from './support/bench.ts'
import { noisyTalk } from './support/noise.ts'

let folder: string
let server: Server
let talk: (socket: Socket) => void
const sockets = new Set<Socket>()

/** Something that listens where the launcher should, and speaks as `talk` says. */
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cove-test-'))
  await mkdir(join(folder, 's'))
  const hash = createHash('sha256')
    .update(await readFile(GUEST_PROGRAM))
    .digest('hex')
  server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    talk(socket)
  })
  server.listen(join(folder, 's', `l1-${hash.slice(0, 10)}.sock`))
  await once(server, 'listening')
})

afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  server.close()
  await rm(folder, { recursive: true })
})

const open = (signal: AbortSignal): ReturnType<typeof openLauncher> =>
  openLauncher({ binary: GUEST_PROGRAM, stateDir: join(folder, 's'), installation: 'test', signal })

it('a launcher that refuses is believed', async () => {
  talk = (socket) => {
    socket.write(encodeFrame(FRAME.close, 0, new FieldsWriter().text(1, 'unsupported').text(2, 'too old').finish()))
  }
  await expect(open(AbortSignal.timeout(5000))).rejects.toMatchObject({ code: 'unsupported', message: 'too old' })
})

it('a launcher that says nothing is given up with the signal', async () => {
  talk = () => {}
  const abort = new AbortController()
  const opening = open(abort.signal)
  setImmediate(() => abort.abort())
  await expect(opening).rejects.toMatchObject({ code: expect.stringMatching(/^(cancelled|launcher-unavailable)$/) })
})

it('noise in answers ends calls with an error, and nothing else', async () => {
  let round = 0
  talk = (socket) => {
    socket.write(encodeFrame(FRAME.welcome, 0, new FieldsWriter().number(1, 1).number(3, 1).finish()))
    let listed = false
    socket.on('data', () => {
      // The list that follows the greeting is empty, what comes then is noise.
      if (!listed) socket.write(Buffer.concat([2, 3].map((channel) => encodeFrame(FRAME.close, channel))))
      else socket.end(noisyTalk(round++))
      listed = true
    })
  }
  for (let attempt = 0; attempt < 30; attempt += 1) {
    await using launcher = await open(AbortSignal.timeout(5000))
    const call = launcher.start({ id: 'x', owner: 'durable', argv: ['/bin/true'], env: {} })
    await expect(call).rejects.toBeInstanceOf(CoveError)
  }
})
