import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ERRNO, RULES, UNNAMED, type Action } from '../seccomp/rules.ts'
import { seccompProfile, type SeccompProfile } from './seccomp-profile.ts'

const profile = seccompProfile('x64')
const LOW_32 = 0xffff_ffffn
const DEFAULT = typeof UNNAMED === 'object' ? `errno ${ERRNO[UNNAMED.errno]}` : UNNAMED

/** What the kernel shall do, as the rules say it. */
function wanted(name: string, args: readonly bigint[]): string {
  const rule = RULES.find(({ names }) => names.split(/\s+/).includes(name))
  const low = (argument: number) => Number((args[argument] ?? 0n) & LOW_32)
  const found = rule?.cases?.find(({ when }) =>
    when.every((condition) =>
      'equals' in condition
        ? low(condition.argument) === condition.equals >>> 0
        : (low(condition.argument) & condition.anyBit) !== 0,
    ),
  )
  return word(found?.action ?? rule?.action ?? UNNAMED)
}

const word = (action: Action): string => (typeof action === 'object' ? `errno ${ERRNO[action.errno]}` : action)

/** All that a runtime's library could make of it: entries that match, in whatever order it tries them. */
function possible(name: string, args: readonly bigint[]): ReadonlySet<string> {
  const found = profile.syscalls.filter(({ names, args: conditions = [] }) => {
    return names.includes(name) && conditions.every((condition) => holds(condition, args[condition.index] ?? 0n))
  })
  if (found.length === 0) return new Set([DEFAULT])
  return new Set(found.map(({ action, errnoRet }) => (action === 'SCMP_ACT_ALLOW' ? 'allow' : `errno ${errnoRet}`)))
}

type Arguments = NonNullable<SeccompProfile['syscalls'][number]['args']>

function holds({ value, valueTwo = 0, op }: Arguments[number], argument: bigint): boolean {
  switch (op) {
    case 'SCMP_CMP_MASKED_EQ':
      return (argument & BigInt(value)) === BigInt(valueTwo)
    case 'SCMP_CMP_EQ':
      return argument === BigInt(value)
    case 'SCMP_CMP_NE':
      return argument !== BigInt(value)
    case 'SCMP_CMP_GT':
      return argument > BigInt(value)
  }
}

const NAMES = [
  'clone',
  'unshare',
  'ioctl',
  'personality',
  'socket',
  'socketpair',
  'setns',
  'clone3',
  'read',
  'nonsense',
]
const INTERESTING = [
  0, 1, 2, 3, 8, 10, 15, 16, 17, 40, 0x5412, 0x541c, 0x20000, 0x40000, 0x400000, 0x7e020080, 0xffffffff,
]

const call = (one: fc.Arbitrary<bigint>) => fc.tuple(fc.constantFrom(...NAMES), fc.tuple(one, one, one))

describe('the filter in the words of the runtime specification', () => {
  const argument = fc.oneof(fc.constantFrom(...INTERESTING).map(BigInt), fc.bigInt({ min: 0n, max: LOW_32 }))
  const high = fc.constantFrom(0n, 0n, 1n, 0xffff_ffffn).map((bits) => bits << 32n)
  const wide = fc.tuple(argument, high).map(([low, bits]) => low | bits)
  it('does what the rules say, and leaves no choice', () => {
    fc.assert(
      fc.property(call(argument), ([name, args]) => {
        const told = possible(name, args)
        const expected = wanted(name, args)
        // Too dear to tell apart: refused with the error of all that is not named.
        const words = name === 'personality' && expected !== 'allow' ? [DEFAULT] : [expected]
        expect([name, ...args, ...told]).toEqual([name, ...args, ...words])
      }),
      { numRuns: 5_000 },
    )
  })

  it('allows nothing that the rules refuse, whatever stands in the upper half of an argument', () => {
    const isKept = fc.property(call(wide), ([name, args]) => {
      return wanted(name, args) === 'allow' || !possible(name, args).has('allow')
    })
    expect(fc.check(isKept, { numRuns: 5_000 }).counterexample).toBeNull()
  })

  it('is short, for a runtime takes its time over each entry', () => {
    expect(profile.syscalls.length).toBeLessThan(150)
  })
})
