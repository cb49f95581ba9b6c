import { CoveError } from '@cove/domain'
import { jsonLines } from './images.ts'
import { toNumber, toObject, toText, toTexts } from './json.ts'

/** Something that happened to a container. */
export interface EngineEvent {
  /** Such as `exec_die`; some have details behind a colon. */
  readonly action: string
  readonly container: string
  /** As the engine tells them, for example `execID` and `exitCode` of an `exec_die`. */
  readonly attributes: Readonly<Record<string, string>>
  /** Unix milliseconds of the engine's clock. */
  readonly at: number
}

export async function* eventsOf(answer: AsyncIterable<unknown>): AsyncGenerator<EngineEvent> {
  try {
    for await (const line of jsonLines(answer)) {
      const actor = toObject(line['Actor'], 'Actor')
      yield {
        action: toText(line, 'Action'),
        container: toText(actor, 'ID'),
        attributes: toTexts(actor['Attributes'], 'Attributes'),
        at: toNumber(line, 'timeNano') / 1_000_000,
      }
    }
  } catch (error) {
    if (error instanceof CoveError) throw error
    throw CoveError.from(error, 'connection-lost')
  }
}
