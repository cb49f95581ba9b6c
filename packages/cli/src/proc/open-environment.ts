import { join } from 'node:path'
import { openCompanion, type CompanionRunner, type Runner } from '@cove/runner'
import { readPort, readVolume } from './container-options.ts'
import type { ProcSpec } from './proc-spec.ts'

/** What a process runs in; `description` says what was chosen, and why. `unsupported` when what was asked for is not. */
export async function openProcEnvironment(
  spec: ProcSpec,
  runner: Runner,
  installation: string,
): Promise<CompanionRunner> {
  const { name, backend, image, directory, workdir } = spec
  const companion = await openCompanion({
    // Labels of containers name the installation itself, which outlives the host's restart.
    runner: { native: (options) => runner.native(options), installation },
    name: join('proc', name),
    flake: directory,
    nix: ({ flake }) => runner.nix({ directory: flake }),
    ...(image === undefined ? {} : { image }),
    ...(backend === 'auto' ? {} : { prefer: backend, only: true }),
  })
  if (companion.backend !== 'docker') return companion.withDirectory(directory)
  companion.withPause()
  for (const volume of spec.volumes) companion.withMount(readVolume(volume, directory))
  for (const port of spec.ports) companion.withPort(readPort(port))
  return workdir === undefined ? companion : companion.withDirectory(workdir)
}

/** What was chosen, why, and why not what goes before it. */
export function describeEnvironment({ description, choices }: CompanionRunner): string {
  const others = choices
    .filter(({ works }) => works === false)
    .map(({ backend, reason }) => `not ${backend}: ${reason}`)
  return others.length === 0 ? description : `${description} (${others.join('; ')})`
}
