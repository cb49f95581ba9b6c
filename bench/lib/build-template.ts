import { Api } from './api.ts'
import type { Daemon } from './daemon.ts'

const NAME = 'bench'

/** A template of this source: what is fetched and unpacked once is not looked at again by the creates. */
export async function buildTemplate(daemon: Pick<Daemon, 'url' | 'apiKey'>, source: string): Promise<string> {
  const api = new Api(daemon)
  try {
    await api.call('TemplateService/BuildTemplate', { name: NAME, source })
    for (let turn = 0; turn < 600; turn++) {
      const there = await api.call('TemplateService/GetTemplate', { name: NAME }).then(
        () => true,
        () => false,
      )
      if (there) return NAME
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    throw new Error(`no template was built of ${source}`)
  } finally {
    api.close()
  }
}
