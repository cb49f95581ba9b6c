import { describe } from 'vitest'
import { environmentChapter } from './environment-chapter.ts'
import { lifeChapter } from './life-chapter.ts'
import { outputChapter } from './output-chapter.ts'
import { RunnerStage } from './runner-stage.ts'
import type { RunnerSubject } from './runner-subject.ts'

export type * from './runner-subject.ts'

/** What every backend holds, told as stories. A backend that cannot be tried is skipped, and the reason is printed. */
export function describeRunner(subject: RunnerSubject): void {
  if (subject.missing !== undefined) console.log(`skipped: ${subject.name}: ${subject.missing}`)
  const open = (): Promise<RunnerStage> => RunnerStage.open(subject)
  describe.skipIf(subject.missing !== undefined)(`the contract of a runner: ${subject.name}`, () => {
    environmentChapter(open, () => subject.open(), subject.capabilities)
    outputChapter(open, subject.capabilities)
    lifeChapter(open, subject.capabilities)
  })
}
