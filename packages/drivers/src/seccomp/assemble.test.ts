import { describe, expect, it } from 'vitest'
import { assemble, assembleSeccomp, BPF, RETURN, returnValue, type Instruction } from './assemble.ts'
import { RULES, UNNAMED } from './rules.ts'
import { ARCHITECTURES, AUDIT_ARCH, SYSCALLS, X32_BIT, type Architecture } from './syscalls.ts'

interface Call {
  readonly number: number
  readonly arch: number
  readonly args?: readonly number[]
}

/** The kernel's machine, as far as filters of ours use it. */
function run(program: readonly Instruction[], call: Call): number {
  const words = new Map<number, number>([
    [0, call.number],
    [4, call.arch],
  ])
  for (let argument = 0; argument < 6; argument++) words.set(16 + argument * 8, call.args?.[argument] ?? 0)
  let accumulator = 0
  for (let at = 0, steps = 0; steps < 4096; steps++) {
    const instruction = program[at]
    if (instruction === undefined) throw new Error(`the program runs off its end at ${at}`)
    const { code, jt, jf, k } = instruction
    if (code === BPF.return) return k
    at += 1
    if (code === BPF.load) accumulator = words.get(k) ?? 0
    else if (code === BPF.jump) at += k
    else if (code === BPF.jumpEqual) at += accumulator === k ? jt : jf
    else if (code === BPF.jumpAtLeast) at += accumulator >= k ? jt : jf
    else if (code === BPF.jumpAnyBit) at += (accumulator & k) !== 0 ? jt : jf
    else throw new Error(`unknown code ${code}`)
  }
  throw new Error('the program does not end')
}

const namesOf = (names: string) => names.trim().split(/\s+/)

describe('the rule table', () => {
  it('names every known system call exactly once', () => {
    const named = RULES.flatMap((rule) => namesOf(rule.names))
    expect(named.toSorted()).toEqual([...SYSCALLS.keys()].toSorted())
  })

  it('gives a reason for every rule', () => {
    expect(RULES.filter((rule) => rule.why.length < 10)).toEqual([])
  })
})

describe.each(ARCHITECTURES)('the filter for %s', (architecture: Architecture) => {
  const program = assemble(architecture)
  const arch = AUDIT_ARCH[architecture]
  const outcome = (name: string, ...args: number[]) =>
    run(program, { number: SYSCALLS.get(name)?.numbers[architecture] ?? -1, arch, args })

  it('gives every system call without cases the action of its rule', () => {
    const plain = RULES.filter((rule) => rule.cases === undefined).flatMap((rule) =>
      namesOf(rule.names).map((name) => ({ rule, number: SYSCALLS.get(name)?.numbers[architecture] })),
    )
    const wrong = plain.filter(
      ({ rule, number }) => number !== undefined && run(program, { number, arch }) !== returnValue(rule.action),
    )
    expect(plain.length).toBeGreaterThan(300)
    expect(wrong).toEqual([])
  })

  it('tells calls apart by their arguments', () => {
    const eperm = returnValue({ errno: 'EPERM' })
    const family = returnValue({ errno: 'EAFNOSUPPORT' })
    expect(outcome('clone', 0x00010f00)).toBe(RETURN.allow)
    expect(outcome('clone', 0x10000000 | 17)).toBe(eperm)
    expect(outcome('clone', 0x40000000)).toBe(eperm)
    expect(outcome('clone', 0x00020000)).toBe(eperm)
    expect(outcome('unshare', 0x400)).toBe(RETURN.allow)
    expect(outcome('unshare', 0x80)).toBe(eperm)
    expect(outcome('unshare', 0x10000000)).toBe(eperm)
    expect(outcome('ioctl', 0, 0x5401)).toBe(RETURN.allow)
    expect(outcome('ioctl', 0, 0x5412)).toBe(eperm)
    expect(outcome('ioctl', 0, 0x541c)).toBe(eperm)
    expect(outcome('personality', 0xffffffff)).toBe(RETURN.allow)
    expect(outcome('personality', 0x0400000)).toBe(eperm)
    expect(outcome('socket', 1)).toBe(RETURN.allow)
    expect(outcome('socket', 2)).toBe(RETURN.allow)
    expect(outcome('socket', 10)).toBe(RETURN.allow)
    expect(outcome('socket', 16, 3, 0)).toBe(RETURN.allow)
    expect(outcome('socket', 16, 3, 9)).toBe(family)
    expect(outcome('socket', 17)).toBe(family)
    expect(outcome('socket', 38)).toBe(family)
    expect(outcome('socket', 40)).toBe(family)
    expect(outcome('socketpair', 1)).toBe(RETURN.allow)
    expect(outcome('socketpair', 40)).toBe(family)
  })

  it('answers ENOSYS to numbers that no rule names', () => {
    for (const number of [335, 400, 423, 470, 100_000]) {
      expect(run(program, { number, arch })).toBe(returnValue(UNNAMED))
    }
  })

  it('kills whoever speaks another architecture', () => {
    for (const other of [0x40000003, 0x40000028, AUDIT_ARCH[architecture === 'x64' ? 'arm64' : 'x64']]) {
      expect(run(program, { number: 0, arch: other })).toBe(RETURN.killProcess)
    }
  })

  it('decides within a few jumps', () => {
    expect(program.length).toBeLessThan(500)
    expect(assembleSeccomp(architecture).length).toBe(program.length * 8)
  })
})

it('kills x32 calls on x86-64', () => {
  const program = assemble('x64')
  expect(run(program, { number: X32_BIT | 1, arch: AUDIT_ARCH.x64 })).toBe(RETURN.killProcess)
  expect(run(program, { number: 0xffffffff, arch: AUDIT_ARCH.x64 })).toBe(RETURN.killProcess)
})
