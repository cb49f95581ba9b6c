import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build, type BuildResult } from 'esbuild'
import { chromium, type Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Told } from './support/browser-story.ts'
import { ChaosLine } from './support/chaos-line.ts'
import { TestDaemon } from './support/daemon.ts'

const CHROMIUM = '/usr/bin/chromium'
const PAGE_HOST = 'page.localhost'
/** The whole client, minified and compressed, as a page loads it. */
const MAX_GZIP_BYTES = 64 * 1024

async function bundle(minify: boolean): Promise<BuildResult<{ metafile: true; write: false }>> {
  return build({
    entryPoints: [join(import.meta.dirname, minify ? '../packages/sdk/src/index.ts' : 'support/browser-story.ts')],
    bundle: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'browser',
    target: 'chrome120',
    minify,
  })
}

describe('the client in a bundle for browsers', () => {
  it('has nothing of Node in it, and is small', async () => {
    const { metafile, outputFiles } = await bundle(true)
    const imports = Object.values(metafile.inputs).flatMap((input) => input.imports)
    // esbuild's own helpers come from a place that it calls so.
    const outside = imports.filter(({ path, external }) => external === true && path !== '<runtime>')
    expect(outside).toEqual([])
    expect(Object.keys(metafile.inputs).filter((path) => path.endsWith('/node.ts'))).toEqual([])
    const rooms = Object.keys(metafile.inputs).map((path) => /packages\/([^/]+)\//.exec(path)?.[1] ?? '@bufbuild')
    expect([...new Set(rooms)].toSorted()).toEqual(['@bufbuild', 'api', 'domain', 'sdk'])
    const code = outputFiles[0]?.contents ?? new Uint8Array()
    const zipped = gzipSync(code).byteLength
    console.log(`the client's bundle: ${code.byteLength} bytes, ${zipped} compressed`)
    expect(zipped).toBeLessThan(MAX_GZIP_BYTES)
  })
})

const reason = existsSync(CHROMIUM) ? '' : ` (skipped: no ${CHROMIUM}; Debian's package is chromium)`

describe.skipIf(reason !== '')(`the client in Chromium${reason}`, () => {
  let daemon: TestDaemon
  let line: ChaosLine
  let pages: Server
  let browser: Browser
  let page = ''
  beforeAll(async () => {
    daemon = await TestDaemon.start(['--allowed-hosts', PAGE_HOST])
    line = await ChaosLine.open(() => daemon.url)
    const { outputFiles } = await bundle(false)
    const script = outputFiles[0]?.contents ?? ''
    pages = createServer((request, response) => {
      const isScript = request.url === '/story.js'
      response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html')
      response.end(isScript ? script : '<!doctype html><script type="module" src="/story.js"></script>')
    })
    pages.listen(0, '127.0.0.1')
    await once(pages, 'listening')
    const address = pages.address()
    page = `:${typeof address === 'object' ? address?.port : ''}/`
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] })
  }, 120_000)
  afterAll(async () => {
    await browser.close()
    pages.close()
    await line[Symbol.asyncDispose]()
    await daemon[Symbol.asyncDispose]()
  })

  it('creates, runs, streams over a drop, reads, writes and watches, from a page of another origin', async () => {
    const tab = await browser.newPage()
    const complaints: string[] = []
    tab.on('pageerror', (error) => complaints.push(String(error)))
    await tab.exposeFunction('cutLine', () => line.cut())
    await tab.goto(`http://${PAGE_HOST}${page}`)
    const told: Told = await tab.evaluate(
      `story(${JSON.stringify(line.url)}, ${JSON.stringify(daemon.apiKey)}, cutLine)`,
    )
    expect(told.lines).toEqual([
      'created from-a-page',
      'ran 42 oops 3',
      'files written by a page 300000 9000000',
      'listed blob stream text',
      'streamed first, after the cut {"kind":"exited","code":4}',
      'background background {"kind":"signaled","signal":9}',
      'refused file-not-found unsupported unsupported unsupported deadline-exceeded unauthenticated connection-lost',
      'deleted',
    ])
    expect(complaints).toEqual([])
  }, 120_000)

  it('is shown nothing on a page of an origin that is not allowed', async () => {
    const tab = await browser.newPage()
    await tab.goto(`http://other.localhost${page}`)
    const call = `story(${JSON.stringify(line.url)}, ${JSON.stringify(daemon.apiKey)}, () => {}).then(String, (error) => error.code + ': ' + error.fix)`
    expect(await tab.evaluate(call)).toBe(
      `connection-lost: Check that Cove runs at ${line.url}, and that the host of this page is one of its allowed hosts.`,
    )
    expect((await daemon.client().sandboxes.list().all()).length).toBe(0)
  }, 120_000)
})
