import { ERRNO, FOREIGN, RULES, UNNAMED, type Action, type Condition, type Rule } from './rules.ts'
import { AUDIT_ARCH, SYSCALLS, X32_BIT, type Architecture } from './syscalls.ts'

/** One instruction of the classic BPF machine, as `struct sock_filter` has it. */
export interface Instruction {
  readonly code: number
  readonly jt: number
  readonly jf: number
  readonly k: number
}

export const BPF = {
  load: 0x20,
  jump: 0x05,
  jumpEqual: 0x15,
  jumpAtLeast: 0x35,
  jumpAnyBit: 0x45,
  return: 0x06,
} as const

export const RETURN = { killProcess: 0x80000000, errno: 0x00050000, allow: 0x7fff0000 } as const

/** Offsets in `struct seccomp_data`. */
const NUMBER_AT = 0
const ARCHITECTURE_AT = 4
const ARGUMENTS_AT = 16
/** The kernel takes no more (BPF_MAXINSNS). */
const MAX_INSTRUCTIONS = 4096
const FARTHEST_CONDITIONAL_JUMP = 255

/**
 * The filter program for one architecture, as the bytes that `bwrap --seccomp` and seccomp(2) take.
 * Instructions are little-endian on every architecture that Cove runs on.
 */
export function assembleSeccomp(architecture: Architecture, rules: readonly Rule[] = RULES): Uint8Array {
  const program = assemble(architecture, rules)
  const bytes = new Uint8Array(program.length * 8)
  const view = new DataView(bytes.buffer)
  program.forEach(({ code, jt, jf, k }, index) => {
    view.setUint16(index * 8, code, true)
    view.setUint8(index * 8 + 2, jt)
    view.setUint8(index * 8 + 3, jf)
    view.setUint32(index * 8 + 4, k, true)
  })
  return bytes
}

export function assemble(architecture: Architecture, rules: readonly Rule[] = RULES): readonly Instruction[] {
  const foreign = [give(FOREIGN)]
  const program = [
    load(ARCHITECTURE_AT),
    jump(BPF.jumpEqual, AUDIT_ARCH[architecture], 1, 0),
    ...foreign,
    load(NUMBER_AT),
    ...(architecture === 'x64' ? [jump(BPF.jumpAtLeast, X32_BIT, 0, 1), ...foreign] : []),
    ...searchTree(leaves(architecture, rules)),
  ]
  if (program.length > MAX_INSTRUCTIONS) throw new RangeError(`the filter has ${program.length} instructions`)
  return program
}

/** All numbers from `from` up to the next leaf end in `code`, which always returns. */
interface Leaf {
  readonly from: number
  readonly code: readonly Instruction[]
}

/** Neighbouring numbers with the same plain action share a leaf, so that the search stays a few jumps deep. */
function leaves(architecture: Architecture, rules: readonly Rule[]): readonly Leaf[] {
  const byNumber = new Map<number, Rule>()
  for (const rule of rules) {
    for (const name of rule.names.trim().split(/\s+/)) {
      const syscall = SYSCALLS.get(name)
      if (syscall === undefined) throw new Error(`the rule table names ${name}, which is no system call`)
      const number = syscall.numbers[architecture]
      if (number === undefined) continue
      if (byNumber.has(number)) throw new Error(`two rules name ${name}`)
      byNumber.set(number, rule)
    }
  }
  const unnamed: Rule = { names: '', action: UNNAMED, why: '' }
  const result: { from: number; rule: Rule; code: readonly Instruction[] }[] = []
  const end = Math.max(...byNumber.keys()) + 1
  for (let number = 0; number <= end; number++) {
    const rule = byNumber.get(number) ?? unnamed
    const before = result.at(-1)
    if (before !== undefined && sameAction(before.rule, rule)) continue
    result.push({ from: number, rule, code: body(rule) })
  }
  return result
}

function sameAction(a: Rule, b: Rule): boolean {
  return a.cases === undefined && b.cases === undefined && returnValue(a.action) === returnValue(b.action)
}

function searchTree(all: readonly Leaf[]): readonly Instruction[] {
  const [only] = all
  if (only === undefined) return [give(UNNAMED)]
  if (all.length === 1) return only.code
  const middle = all.length >> 1
  const low = searchTree(all.slice(0, middle))
  const high = searchTree(all.slice(middle))
  const from = all[middle]?.from ?? 0
  if (low.length <= FARTHEST_CONDITIONAL_JUMP) return [jump(BPF.jumpAtLeast, from, low.length, 0), ...low, ...high]
  return [jump(BPF.jumpAtLeast, from, 0, 1), jump(BPF.jump, low.length, 0, 0), ...low, ...high]
}

function body(rule: Rule): readonly Instruction[] {
  const code: Instruction[] = []
  for (const { when, action } of rule.cases ?? []) {
    when.forEach((condition, index) => {
      // Each later condition is a load and a jump; the return comes last. A condition that fails skips all of it.
      const skip = (when.length - 1 - index) * 2 + 1
      code.push(load(ARGUMENTS_AT + condition.argument * 8), test(condition, skip))
    })
    code.push(give(action))
  }
  code.push(give(rule.action))
  return code
}

function test(condition: Condition, skip: number): Instruction {
  return 'equals' in condition
    ? jump(BPF.jumpEqual, condition.equals, 0, skip)
    : jump(BPF.jumpAnyBit, condition.anyBit, 0, skip)
}

function load(offset: number): Instruction {
  return { code: BPF.load, jt: 0, jf: 0, k: offset }
}

function jump(code: number, k: number, jt: number, jf: number): Instruction {
  return { code, jt, jf, k }
}

function give(action: Action): Instruction {
  return { code: BPF.return, jt: 0, jf: 0, k: returnValue(action) }
}

export function returnValue(action: Action): number {
  if (action === 'allow') return RETURN.allow
  if (action === 'kill') return RETURN.killProcess
  return RETURN.errno | ERRNO[action.errno]
}
