import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { callOf, CALLS, factsOf, type CallName } from './api-contract.ts'
import { problemOf, type Rule } from './api-rules.ts'
import { SHAPES } from './api-shapes.ts'

const names = Object.keys(CALLS) as CallName[]

/** Whatever a rule lets through. */
function valueOf(rule: Rule): fc.Arbitrary<unknown> {
  switch (rule.kind) {
    case 'any':
      return fc.jsonValue()
    case 'text':
      return rule.oneOf === undefined ? fc.string() : fc.constantFrom(...rule.oneOf)
    case 'flag':
      return fc.boolean()
    case 'whole':
      return fc.integer({ min: rule.least ?? 0, max: rule.most ?? 2 ** 31 - 1 })
    case 'list':
      return fc.array(valueOf(rule.of), { maxLength: 3 })
    case 'map':
      return fc.dictionary(fc.string(), valueOf(rule.of), { maxKeys: 3 })
    case 'shape': {
      const all = Object.entries({ ...rule.must, ...rule.may })
      const fields = Object.fromEntries(all.map(([name, field]) => [name, valueOf(field)]))
      return fc.record(fields, { requiredKeys: Object.keys(rule.must) })
    }
  }
}

describe("the contract of Firecracker's API", () => {
  it.each(Object.entries(SHAPES))('lets through what is %s, and nothing with a field more or less', (_, rule) => {
    fc.assert(
      fc.property(valueOf(rule), (value) => {
        expect(problemOf(rule, value)).toBeUndefined()
        if (rule.kind !== 'shape') return
        const more = { ...(value as object), surplus: 1 }
        expect(problemOf(rule, more)).toBe('body has an unknown field surplus')
        expect(problemOf(rule, more, 'body', 'lenient')).toBeUndefined()
        for (const name of Object.keys(rule.must)) {
          const { [name]: _gone, ...less } = value as Record<string, unknown>
          expect(problemOf(rule, less)).toBe(`body has no field ${name}`)
        }
      }),
      { numRuns: 30 },
    )
  })

  it('says something of everything', () => {
    fc.assert(
      fc.property(fc.constantFrom(...Object.values(SHAPES)), fc.jsonValue(), (rule, value) => {
        expect(['string', 'undefined']).toContain(typeof problemOf(rule, value))
      }),
    )
  })

  it('names the place of what is wrong', () => {
    const config = { vcpu_count: 33, mem_size_mib: 1 }
    expect(problemOf(SHAPES.MachineConfiguration, config)).toBe('body.vcpu_count is more than 32')
    const drive = { drive_id: 'a', is_root_device: true, rate_limiter: { ops: { size: -1, refill_time: 1 } } }
    expect(problemOf(SHAPES.Drive, drive)).toBe('body.rate_limiter.ops.size is less than 0')
    expect(problemOf(SHAPES.Vm, { state: 'Asleep' })).toBe('body.state is none of Paused, Resumed')
    expect(problemOf(SHAPES.MmdsConfig, { network_interfaces: ['a', 1] })).toMatch(
      /network_interfaces\[1\] is not a text/,
    )
  })

  it('knows a call by its method and path', () => {
    for (const name of names) {
      const [method = '', pattern = ''] = name.split(' ')
      const path = pattern.replace(/\{.*\}/, 'one')
      expect(callOf(method, path)).toEqual(path === pattern ? { name } : { name, id: 'one' })
    }
    for (const path of ['/', '/drives', '/drives/', '/drives/a/b', '/drives/..', '/vm/config/']) {
      expect(callOf('PUT', path)).toBeUndefined()
    }
  })

  it('has a field in the body for what stands in the path', () => {
    for (const name of names) {
      const field = /\{(\w+)\}/.exec(name)?.[1]
      if (field === undefined) continue
      const { body } = factsOf(name)
      const rule = SHAPES[body ?? 'Error']
      expect(rule.kind === 'shape' && Object.keys(rule.must)).toContain(field)
    }
  })
})
