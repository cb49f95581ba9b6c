import { CoveError, type MachineSpec, type Problem } from '@cove/domain'
import { checkSpec, refuseProblems } from '../host/check-spec.ts'
import type { EngineParts } from './engine-parts.ts'
import { missingLimits } from './limits.ts'

const NO_INTERNET = {
  available: false,
  reason: "a Docker Engine's own networks also lead to its host and to private addresses",
  fix: 'Use network `none`, or a driver that has it, such as `bubblewrap` or `oci`.',
} as const

const HOST_PROGRAMS = 'a Docker Engine cannot show programs of this host; it starts machines from images'
const MAPPED = 'the Docker Engine maps users, so that the files of volumes would have other owners inside'
const ALL = { memory: true, cpus: true, processes: true }

/** What an engine cannot give. Before it is known which one, only what none can. */
export function checkDockerSpec(
  spec: MachineSpec,
  parts: Pick<EngineParts, 'info' | 'missing'> | undefined,
): readonly Problem[] {
  const size = parts?.info ?? { memoryBytes: Infinity, cpus: Infinity }
  const missing = parts?.missing ?? missingLimits({ limits: ALL })
  const problems = [...checkSpec(spec, size, missing, NO_INTERNET)]
  if (spec.from.kind === 'host' || (spec.from.kind === 'layers' && spec.from.image === undefined)) {
    const fix = 'Name a template or an image, for example `oci:debian:12`.'
    problems.push({ field: 'from', message: HOST_PROGRAMS, fix })
  }
  const isMapped = parts?.info.security.some((option) => option === 'name=userns') === true
  if ((spec.volumes ?? []).length > 0 && isMapped) {
    problems.push({
      field: 'volumes',
      message: MAPPED,
      fix: 'Turn `userns-remap` off in the engine, or choose another driver.',
    })
  }
  return problems
}

/** Throws for the first problem. */
export function refuseDockerSpec(problems: readonly Problem[]): void {
  const [first] = problems
  if (first?.message === HOST_PROGRAMS || first?.message === MAPPED) {
    throw new CoveError('unsupported', first.message, { field: first.field }, { fix: first.fix })
  }
  refuseProblems(problems)
}
