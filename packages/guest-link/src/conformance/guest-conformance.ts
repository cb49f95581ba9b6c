import { describe } from 'vitest'
import { fileStories } from './file-stories.ts'
import type { GuestHarness, Traits } from './harness.ts'
import { machineStories } from './machine-stories.ts'
import { outputStories } from './output-stories.ts'
import { pathStories } from './path-stories.ts'
import { processStories } from './process-stories.ts'
import { sessionStories } from './session-stories.ts'

/** The story of a guest agent, the same for every one; `make` gives each test a fresh one. */
export function guestConformance(name: string, make: () => Promise<GuestHarness>, traits: Traits): void {
  describe(`guest agent: ${name}`, () => {
    sessionStories(make, traits)
    processStories(make, traits)
    outputStories(make, traits)
    fileStories(make, traits)
    pathStories(make, traits)
    machineStories(make)
  })
}
