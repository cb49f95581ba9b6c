import http from 'node:http'
import { fork } from 'node:child_process'
import { openHouse, KEY } from './support/harness.ts'
import { createClient } from '@connectrpc/connect'
import { createConnectTransport } from '@connectrpc/connect-node'
import { ProcessService, SandboxService } from '@cove/api'
if (process.argv[2] === 'server') {
  const t = performance.now()
  const house = await openHouse({ limits: { sandboxesPerProject: 2000 } })
  const url = await house.listen()
  process.send?.(url)
} else {
  const c = fork(import.meta.filename, ['server'])
  const url = await new Promise<string>((r) => c.once('message', (m) => r(String(m))))
  const t = createConnectTransport({
    baseUrl: url,
    httpVersion: '1.1',
    acceptCompression: [],
    interceptors: [
      (next) => (req) => {
        req.header.set('authorization', `Bearer ${KEY}`)
        return next(req)
      },
    ],
  })
  const sb = createClient(SandboxService, t)
  const pr = createClient(ProcessService, t)
  const { sandbox } = await sb.createSandbox({})
  const id = sandbox!.id
  const p50 = async (name: string, f: () => Promise<unknown>, n = 3000) => {
    const lat: number[] = []
    for (let i = 0; i < n; i++) {
      const a = performance.now()
      await f()
      if (i > n / 5) lat.push(performance.now() - a)
    }
    lat.sort((a, b) => a - b)
    console.log(name, 'p50', lat[lat.length >> 1]!.toFixed(3))
  }
  await p50('connect binary run', () => pr.runProcess({ sandbox: id, command: { argv: ['/bin/true'] } }))
  const agent = new http.Agent({ keepAlive: true })
  const call = (path: string, body: string) =>
    new Promise<string>((res, rej) => {
      const q = http.request(
        url + path,
        {
          agent,
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            authorization: `Bearer ${KEY}`,
            'content-length': Buffer.byteLength(body),
          },
        },
        (r) => {
          let s = ''
          r.on('data', (d) => (s += d))
          r.on('end', () => res(s))
        },
      )
      q.on('error', rej)
      q.end(body)
    })
  await p50('raw json run', () =>
    call('/cove.v1.ProcessService/RunProcess', `{"sandbox":"${id}","command":{"argv":["/bin/true"]}}`),
  )
  await p50(
    'create+delete',
    async () => {
      const r = JSON.parse(await call('/cove.v1.SandboxService/CreateSandbox', '{}'))
      await call('/cove.v1.SandboxService/DeleteSandbox', JSON.stringify({ id: r.sandbox.id }))
    },
    600,
  )
  const N = 1 << 30
  const b = performance.now()
  await new Promise<void>((res, rej) => {
    const body = `{"command":{"argv":["zeros","${N}"]}}`
    const q = http.request(
      `${url}/v1/sandboxes/${id}/processes`,
      { agent, method: 'POST', headers: { 'content-type': 'application/json', authorization: `Bearer ${KEY}` } },
      (r) => {
        let n = 0
        r.on('data', (d) => (n += d.length))
        r.on('end', () => {
          console.log('raw stream MB/s', n / 1e6 / ((performance.now() - b) / 1000), r.statusCode)
          res()
        })
      },
    )
    q.on('error', rej)
    q.end(body)
  })
  const b2 = performance.now()
  let n = 0
  for await (const e of pr.startProcess({ sandbox: id, command: { argv: ['zeros', String(N / 4)] } }))
    if (e.event?.event.case === 'output') n += e.event.event.value.data.length
  console.log('connect stream MB/s', n / 1e6 / ((performance.now() - b2) / 1000))
  c.kill()
  process.exit()
}
