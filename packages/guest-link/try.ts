import { startAgent } from './src/testing/agent-process.ts'
import { Host, command, script, run } from './src/conformance/harness.ts'
{
  await using host = new Host(await startAgent(false))
  const link = await host.open()
  for (const n of [500_000_000, 2_000_000_000]) {
    const t = performance.now(); const c = process.cpuUsage()
    const { events } = await link.start(command(host.harness, ['head', '-c', String(n), '/dev/zero']))
    let total = 0, ev = 0
    for await (const e of events) if (e.type === 'output') { total += e.data.length; ev++ }
    const ms = performance.now() - t
    console.log(total, 'MB/s', total / ms / 1000, 'events', ev, 'avg', total / ev, process.cpuUsage(c))
  }
  for (let i = 0; i < 200; i++) await run(link, command(host.harness, ['/bin/true']))
  const times: number[] = []
  for (let i = 0; i < 500; i++) { const t = performance.now(); await run(link, command(host.harness, ['/bin/true'])); times.push(performance.now() - t) }
  times.sort((a, b) => a - b)
  console.log('exec p50', times[250], 'p99', times[495])
  const m: number[] = []
  for (let i = 0; i < 2000; i++) { const t = performance.now(); await link.stat('/', {user:'root'}); m.push(performance.now() - t) }
  m.sort((a, b) => a - b)
  console.log('stat p50', m[1000], 'p99', m[1980])
  // file
  const block = Buffer.alloc(1 << 20)
  let t = performance.now()
  await link.writeFile('/dev/shm/gl-x', (async function* () { for (let i = 0; i < 1024; i++) yield block })(), {user: 'root'})
  console.log('upload MB/s', 1024 * 1.048576 / (performance.now() - t) * 1000)
  t = performance.now()
  let total = 0
  for await (const c of (await link.readFile('/dev/shm/gl-x', {user: 'root'})).content) total += c.length
  console.log('download MB/s', total / (performance.now() - t) / 1000)
  await link.remove('/dev/shm/gl-x', {user:'root'})
}
