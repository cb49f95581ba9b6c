import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import { chromium } from 'playwright-core'
import { expect, test } from 'vitest'
import { TestDaemon } from './support/daemon.ts'

const CHROMIUM = '/usr/bin/chromium'
const reason = existsSync(CHROMIUM) ? '' : ` (skipped: no ${CHROMIUM}; Debian's package is chromium)`

test.skipIf(reason !== '')(`a page of another origin uploads and downloads by signed addresses${reason}`, async () => {
  await using daemon = await TestDaemon.start()
  const sandbox = await daemon.client().sandboxes.create()
  const up = await sandbox.files.signUrl('/home/user/in.bin', { operation: 'write' })
  const down = await sandbox.files.signUrl('/home/user/in.bin')

  await using closing = new AsyncDisposableStack()
  const pages = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html')
    response.end('<!doctype html><title>elsewhere</title>')
  })
  pages.listen(0, '127.0.0.1')
  await once(pages, 'listening')
  closing.defer(() => void pages.close())
  const address = pages.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] })
  closing.defer(() => browser.close())
  const page = await browser.newPage()
  await page.goto(`http://elsewhere.localhost:${port}/`)

  const told = await page.evaluate(
    async ([upUrl = '', downUrl = '', plainUrl = '']) => {
      const bytes = Uint8Array.from({ length: 100_000 }, (_, n) => n % 251)
      const put = { method: 'PUT', body: bytes }
      const uploaded = (await fetch(upUrl, put)).status
      const back = new Uint8Array(await (await fetch(downUrl)).arrayBuffer())
      const part = await (await fetch(downUrl, { headers: { range: 'bytes=1-3' } })).arrayBuffer()
      const swapped = (await fetch(downUrl, put)).status
      const unsigned = await fetch(plainUrl).then(
        ({ status }) => status,
        () => 0,
      )
      const same = back.length === bytes.length && back.every((byte, n) => byte === bytes[n])
      return { uploaded, same, part: [...new Uint8Array(part)], swapped, unsigned }
    },
    [up.url, down.url, `${daemon.url}/v1/sandboxes/${sandbox.id}/files?path=/home/user/in.bin`],
  )
  // A page may read that a signed address was refused; of everything else it sees nothing at all.
  expect(told).toEqual({ uploaded: 200, same: true, part: [1, 2, 3], swapped: 403, unsigned: 0 })
})
