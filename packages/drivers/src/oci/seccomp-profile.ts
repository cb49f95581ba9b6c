import { ERRNO, RULES, UNNAMED, type Action, type Condition, type Rule } from '../seccomp/rules.ts'

/** As in the runtime specification (`linux.seccomp`). */
export interface SeccompProfile {
  readonly defaultAction: SeccompAction
  readonly defaultErrnoRet?: number
  readonly architectures: readonly string[]
  readonly syscalls: readonly SeccompSyscall[]
}

type SeccompAction = 'SCMP_ACT_ALLOW' | 'SCMP_ACT_ERRNO' | 'SCMP_ACT_KILL_PROCESS'

interface SeccompSyscall {
  readonly names: readonly string[]
  readonly action: SeccompAction
  readonly errnoRet?: number
  readonly args?: readonly {
    readonly index: number
    /** The mask, or what is compared with. */
    readonly value: number
    /** What is left under the mask. */
    readonly valueTwo?: number
    /** All but the first look at all 64 bits. */
    readonly op: 'SCMP_CMP_MASKED_EQ' | 'SCMP_CMP_EQ' | 'SCMP_CMP_NE' | 'SCMP_CMP_GT'
  }[]
}

/** Arguments whose bits under a mask are these: a set of calls. */
type Cube = ReadonlyMap<number, { readonly mask: number; readonly bits: number }>

const LOW_32 = 0xffff_ffff
const WORD = 32

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'SCMP_ARCH_X86_64', arm64: 'SCMP_ARCH_AARCH64' }

/**
 * The same filter as `assembleSeccomp` makes, in the words of the runtime specification. A runtime's library takes
 * conditions in any order and only one per argument, so that cases that are tried one after another become sets of
 * calls that have nothing in common.
 */
export function seccompProfile(architecture: 'x64' | 'arm64', rules: readonly Rule[] = RULES): SeccompProfile {
  const name = ARCHITECTURES[architecture]
  return {
    defaultAction: wordOf(UNNAMED),
    ...(typeof UNNAMED === 'object' ? { defaultErrnoRet: ERRNO[UNNAMED.errno] } : {}),
    architectures: name === undefined ? [] : [name],
    syscalls: rules.flatMap(syscallsOf),
  }
}

function syscallsOf(rule: Rule): readonly SeccompSyscall[] {
  const names = rule.names.trim().split(/\s+/)
  const found: SeccompSyscall[] = []
  let rest: readonly Cube[] = [new Map()]
  for (const { when, action } of rule.cases ?? []) {
    for (const cube of cubesOf(when)) {
      for (const part of rest.flatMap((each) => intersect(each, cube))) found.push(syscall(names, action, part))
      rest = rest.flatMap((each) => subtract(each, cube))
    }
  }
  const short = shortRefusals(names, rule)
  // With another error, but refused all the same.
  const isCostly = typeof rule.action === 'object' && rest.length > MAX_LISTED
  const others = short ?? (isCostly ? [] : rest.map((part) => syscall(names, rule.action, part)))
  return [...found, ...others].filter(isNotDefault)
}

/** A runtime takes its time over every entry, at each start. */
const MAX_LISTED = 64

/**
 * Of a rule that allows some values of one argument and refuses the rest: the rest one by one, where there are few. What
 * is allowed is told exactly by entries of its own, and what none of them names is refused as it is; these only say
 * with which error. So they may speak of all 64 bits, where those above the lowest 32 mean nothing.
 */
function shortRefusals(names: readonly string[], { cases = [], action }: Rule): readonly SeccompSyscall[] | undefined {
  if (typeof action !== 'object' || cases.length === 0) return undefined
  const refused = { names, action: wordOf(action), errnoRet: ERRNO[action.errno] }
  const found: SeccompSyscall[] = []
  const allowed = new Map<number, Condition | undefined>()
  const [argument] = cases.map(({ when }) => when[0]?.argument ?? -1)
  for (const { when, action: what } of cases) {
    const [first, second, ...others] = when
    if (what !== 'allow' || first === undefined || !('equals' in first) || first.argument !== argument) return undefined
    if (others.length > 0 || first.equals > MAX_LISTED || allowed.has(first.equals)) return undefined
    allowed.set(first.equals, second)
    if (second === undefined) continue
    if (!('equals' in second)) return undefined
    found.push({
      ...refused,
      args: [
        { index: first.argument, value: first.equals, op: 'SCMP_CMP_EQ' },
        { index: second.argument, value: second.equals, op: 'SCMP_CMP_NE' },
      ],
    })
  }
  const index = argument ?? 0
  const largest = Math.max(...allowed.keys())
  for (let value = 0; value < largest; value++) {
    if (!allowed.has(value)) found.push({ ...refused, args: [{ index, value, op: 'SCMP_CMP_EQ' }] })
  }
  return [...found, { ...refused, args: [{ index, value: largest, op: 'SCMP_CMP_GT' }] }]
}

/** The library refuses a rule that says what holds anyway. */
function isNotDefault({ action, errnoRet }: SeccompSyscall): boolean {
  return action !== wordOf(UNNAMED) || typeof UNNAMED !== 'object' || errnoRet !== ERRNO[UNNAMED.errno]
}

function syscall(names: readonly string[], action: Action, cube: Cube): SeccompSyscall {
  const args = [...cube].map(([index, { mask, bits }]) => ({
    index,
    value: mask,
    valueTwo: bits,
    op: 'SCMP_CMP_MASKED_EQ' as const,
  }))
  return {
    names,
    action: wordOf(action),
    ...(typeof action === 'object' ? { errnoRet: ERRNO[action.errno] } : {}),
    ...(args.length === 0 ? {} : { args }),
  }
}

function wordOf(action: Action): SeccompAction {
  if (action === 'allow') return 'SCMP_ACT_ALLOW'
  return action === 'kill' ? 'SCMP_ACT_KILL_PROCESS' : 'SCMP_ACT_ERRNO'
}

/** Sets without a call in common that make up where all conditions hold. */
function cubesOf(when: readonly Condition[]): readonly Cube[] {
  let cubes: readonly Cube[] = [new Map()]
  for (const condition of when) {
    const { argument } = condition
    const parts =
      'equals' in condition
        ? [new Map([[argument, { mask: LOW_32, bits: condition.equals >>> 0 }]])]
        : firstSetBits(condition.anyBit).map((part) => new Map([[argument, part]]))
    cubes = cubes.flatMap((cube) => parts.flatMap((part) => intersect(cube, part)))
  }
  return cubes
}

/** Any of the bits: the first is set, or it is not and the second is, and so on. */
function firstSetBits(mask: number): readonly { readonly mask: number; readonly bits: number }[] {
  const parts: { mask: number; bits: number }[] = []
  let before = 0
  for (let index = 0; index < WORD; index++) {
    const bit = (1 << index) >>> 0
    if ((mask & bit) === 0) continue
    before = (before | bit) >>> 0
    parts.push({ mask: before, bits: bit })
  }
  return parts
}

/** None when they have nothing in common. */
function intersect(a: Cube, b: Cube): readonly Cube[] {
  const both = new Map(a)
  for (const [index, { mask, bits }] of b) {
    const known = both.get(index) ?? { mask: 0, bits: 0 }
    if (((known.bits ^ bits) & known.mask & mask) !== 0) return []
    both.set(index, { mask: (known.mask | mask) >>> 0, bits: (known.bits | bits) >>> 0 })
  }
  return [both]
}

/** What is in `a` and not in `b`: for each bit that only `b` settles, the part of `a` where that bit is the other one. */
function subtract(a: Cube, b: Cube): readonly Cube[] {
  if (intersect(a, b).length === 0) return [a]
  const parts: Cube[] = []
  let rest = a
  for (const [index, { mask, bits }] of b) {
    for (let position = 0; position < WORD; position++) {
      const bit = (1 << position) >>> 0
      const known = rest.get(index) ?? { mask: 0, bits: 0 }
      if ((mask & bit) === 0 || (known.mask & bit) !== 0) continue
      const settled = (known.mask | bit) >>> 0
      const same = (bits & bit) >>> 0
      const other = (~bits & bit) >>> 0
      parts.push(new Map(rest).set(index, { mask: settled, bits: (known.bits | other) >>> 0 }))
      rest = new Map(rest).set(index, { mask: settled, bits: (known.bits | same) >>> 0 })
    }
  }
  return parts
}
