import type { BuildEvent, TemplateInfo } from '@cove/sdk'
import { Sink } from '../attach/sink.ts'
import type { Io } from '../io.ts'
import { styler } from '../render/style.ts'
import { oneLine } from '../render/text.ts'

interface Manner {
  /** How many steps there are, where that is known. */
  readonly steps?: number
  readonly quiet: boolean
}

/** Writes what a build says as it says it. Answers with the template, or throws what the build has failed with. */
export async function showBuild(
  events: AsyncIterable<BuildEvent>,
  io: Io,
  stream: Io['stdout'],
  { steps, quiet }: Manner,
): Promise<TemplateInfo | undefined> {
  const style = styler(stream, io.env)
  using sink = new Sink(stream)
  let atStart = true
  const write = async (text: string): Promise<void> => {
    if (quiet || text === '') return
    await sink.write(text)
    atStart = text.endsWith('\n')
  }
  for await (const event of events) {
    switch (event.type) {
      case 'step': {
        const place = steps === undefined ? `${event.index + 1}` : `${event.index + 1}/${steps}`
        const cached = event.cached ? ` ${style('dim', 'cached')}` : ''
        if (!atStart) await write('\n')
        await write(`${style('bold', `[${place}]`)} ${oneLine(event.text)}${cached}\n`)
        break
      }
      case 'log':
        await write(event.text)
        break
      case 'done':
        if (!atStart) await write('\n')
        return event.template
      case 'failed':
        if (!atStart) await write('\n')
        throw event.error
    }
  }
  return undefined
}
