import { Api } from './lib/api.ts'
import { startDaemon } from './lib/daemon.ts'
import { round, type Benchmark } from './lib/result.ts'

/** From the start of a new daemon after kill -9 until every sandbox is running again, and then answers. */
export const run: Benchmark = async ({ quick }) => {
  const n = quick ? 40 : 200
  await using daemon = await startDaemon()
  let api = new Api(daemon)
  const empty = await daemon.restart()
  api.close()
  api = new Api(daemon)
  const ids: string[] = []
  for (let i = 0; i < n; i++) ids.push(await api.create())
  api.close()

  await daemon.kill()
  const start = performance.now()
  await daemon.restart()
  const ready = performance.now() - start
  api = new Api(daemon)
  const { sandboxes } = await api.call<{ sandboxes: { state: string }[] }>('SandboxService/ListSandboxes', {
    pageSize: 1000,
  })
  const running = sandboxes.filter(({ state }) => state === 'SANDBOX_STATE_RUNNING').length
  const adopted = performance.now() - start
  if (running !== n) throw new Error(`${running} of ${n} sandboxes are running`)
  for (const id of ids) await api.run(id, ['/bin/true'])
  api.close()
  return {
    name: 'adopt',
    n,
    p50_ms: round(adopted),
    ready_ms: round(ready),
    baseline_p50_ms: round(empty),
    ratio: round(adopted / empty),
  }
}
