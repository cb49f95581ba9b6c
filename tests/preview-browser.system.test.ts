import { existsSync } from 'node:fs'
import { chromium, type Browser } from 'playwright-core'
import type { Cove, Sandbox } from '@cove/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TestDaemon } from './support/daemon.ts'
import { PREVIEW_SERVER } from './support/preview-server.ts'
import { startNodeServer } from './support/sandbox-server.ts'

const CHROMIUM = process.env['COVE_TEST_CHROMIUM'] ?? '/usr/bin/chromium'
const missing = !existsSync(CHROMIUM)
if (missing) process.stderr.write(`skipped: there is no browser at ${CHROMIUM}\n`)

describe.skipIf(missing)('a browser', () => {
  let daemon: TestDaemon
  let cove: Cove
  let sandbox: Sandbox
  let browser: Browser

  beforeAll(async () => {
    daemon = await TestDaemon.start()
    cove = daemon.client()
    sandbox = await cove.sandboxes.create()
    await startNodeServer(sandbox, PREVIEW_SERVER)
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] })
  })
  afterAll(async () => {
    await browser.close()
    await daemon[Symbol.asyncDispose]()
  })

  async function link(port = 8000): Promise<string> {
    const response = await fetch(`${daemon.url}/cove.v1.PortService/CreatePreviewUrl`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${daemon.apiKey}` },
      body: JSON.stringify({ sandbox: sandbox.id, port }),
    })
    return ((await response.json()) as { url: string }).url
  }

  it('opens a private page by its link, keeps a cookie, and talks to its WebSocket', async () => {
    await using context = await browser.newContext()
    const page = await context.newPage()
    const url = await link()
    await page.goto(url)
    await page.getByText('echo hello').waitFor()
    expect(page.url()).toBe(new URL('/', url).href)
    const [cookie] = await context.cookies()
    expect(cookie).toMatchObject({
      name: 'cove-preview',
      httpOnly: true,
      sameSite: 'Lax',
      domain: new URL(url).hostname,
    })
    expect(await page.evaluate('document.cookie')).toBe('')
    await page.reload()
    await page.getByText('echo hello').waitFor()
  })

  it('is told the truth by a used link, a private port and a closed one', async () => {
    await using context = await browser.newContext()
    const page = await context.newPage()
    const url = await link()
    expect((await page.goto(new URL('/', url).href))?.status()).toBe(401)
    await page.getByRole('heading', { name: 'This preview is private' }).waitFor()
    await page.goto(url)
    await page.getByText('echo hello').waitFor()
    await context.clearCookies()
    expect((await page.goto(url))?.status()).toBe(403)
    await page.getByText('used already').waitFor()
    const errors: string[] = []
    page.on('console', (message) => errors.push(message.text()))
    expect((await page.goto(await link(7999)))?.status()).toBe(502)
    await page.getByRole('heading', { name: 'Nothing listens on this port' }).waitFor()
    const shot = process.env['COVE_TEST_SCREENSHOTS']
    if (shot !== undefined) await page.screenshot({ path: `${shot}/closed.png` })
    // The one complaint is about the status; the style of the page is its own and is taken.
    expect(errors.filter((text) => /content security policy/i.test(text))).toEqual([])
    expect(await page.evaluate('getComputedStyle(document.querySelector("main")).borderTopLeftRadius')).toBe('16px')
  })

  it('a page of another sandbox cannot open the WebSocket', async () => {
    await using other = await cove.sandboxes.create()
    await startNodeServer(other, PREVIEW_SERVER)
    await using context = await browser.newContext()
    const page = await context.newPage()
    await page.goto(await link())
    const socket = new URL(page.url()).host
    const foreign = await fetch(`${daemon.url}/cove.v1.PortService/SharePort`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${daemon.apiKey}` },
      body: JSON.stringify({ sandbox: other.id, port: 8000, public: true }),
    })
    await page.goto(((await foreign.json()) as { port: { url: string } }).port.url)
    const outcome = await page.evaluate(
      `new Promise((resolve) => {
        const socket = new WebSocket('ws://${socket}/socket')
        socket.onopen = () => resolve('open')
        socket.onerror = () => resolve('refused')
      })`,
    )
    expect(outcome).toBe('refused')
  })
})
