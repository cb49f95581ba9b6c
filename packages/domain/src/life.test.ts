import { describe, expect, it } from 'vitest'
import { assertTransition, isLive, SANDBOX_STATES, TRANSITIONS, type SandboxState } from './life.ts'

describe('the life of a sandbox', () => {
  it('has no dead end: every state reaches deleted', () => {
    for (const start of SANDBOX_STATES) {
      const seen = new Set<SandboxState>([start])
      for (const state of seen) for (const next of TRANSITIONS[state]) seen.add(next)
      expect(seen, start).toContain('deleted')
    }
  })

  it('can be deleted from every state but the end', () => {
    for (const state of SANDBOX_STATES) {
      if (state === 'deleting' || state === 'deleted') continue
      expect(() => assertTransition(state, 'deleting'), state).not.toThrow()
    }
  })

  it('refuses what the table does not have, naming both states', () => {
    expect(() => assertTransition('failed', 'running')).toThrow('a sandbox cannot go from failed to running')
  })

  it('counts only what may still run', () => {
    expect(SANDBOX_STATES.filter((state) => !isLive(state))).toEqual(['failed', 'deleting', 'deleted'])
  })
})
