import { readdir, readFile, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { CoveError } from '@cove/domain'
import type { Apt } from '../distribution/apt.ts'
import type { FetchPlan } from '../distribution/fetch-kernel.ts'
import type { KernelProgress } from '../kernel-info.ts'
import { digestOf } from '../store/digest.ts'
import type { NewKernel } from '../store/kernel-store.ts'
import { runTool } from '../tools/run-tool.ts'
import { findBuildTools, type BuildTools } from './build-tools.ts'
import { checkKernelImage } from './elf.ts'
import { kernelConfig } from './kernel-config.ts'
import { findSource } from './kernel-source.ts'
import { changeSource, SOURCE_CHANGES } from './source-changes.ts'

/** Bumped when something else is made of the same source, configuration and compiler. */
const RECIPE = 'built 1'

/** What else would be written into the image and differ from build to build. */
const SAME_EVERY_TIME: Readonly<Record<string, string>> = {
  KBUILD_BUILD_TIMESTAMP: 'Thu Jan  1 00:00:00 UTC 1970',
  KBUILD_BUILD_USER: 'cove',
  KBUILD_BUILD_HOST: 'cove',
  KBUILD_BUILD_VERSION: '1',
  SOURCE_DATE_EPOCH: '0',
}

/** How `make` calls a kind of processor and what it builds for it. */
const TARGETS: Readonly<Record<string, { readonly arch: string; readonly target: string; readonly image: string }>> = {
  x86_64: { arch: 'x86_64', target: 'vmlinux', image: 'vmlinux' },
  aarch64: { arch: 'arm64', target: 'Image', image: 'arch/arm64/boot/Image' },
}

/** Steps that a build prints, as counted of one; only a measure for how far it is. */
const USUAL_STEPS = 1_700

interface BuildParts {
  readonly apt: Apt | undefined
  /** Where programs are looked for. */
  readonly programFolders?: readonly string[] | undefined
  readonly machine: string
  readonly signal: AbortSignal
  readonly progress: (progress: KernelProgress) => void
  /** Every line of the build. */
  readonly log: (line: string) => void
}

/** From the distribution's source and our configuration. */
export async function planBuild(parts: BuildParts): Promise<FetchPlan> {
  const { apt, machine, signal, programFolders } = parts
  const config = kernelConfig(machine)
  if (config === undefined) {
    throw new CoveError(
      'unsupported',
      `nobody has written a configuration of the kernel for ${machine}`,
      { machine },
      { fix: 'Take the kernel of the distribution with `cove kernel fetch`.' },
    )
  }
  const tools = await findBuildTools(signal, programFolders)
  const source = await findSource(apt, signal)
  const changes = JSON.stringify(SOURCE_CHANGES[machine] ?? [])
  return {
    recipe: digestOf(RECIPE, machine, source.name, config, changes, tools.versions),
    make: async (scratch) => {
      const tree = await unpackSource(parts, tools, await fetchSource(parts, source, scratch), scratch)
      await changeSource(tree, machine)
      return await compile(parts, { tools, tree, config, source: source.name })
    },
  }
}

async function fetchSource(
  { progress }: BuildParts,
  source: { readonly name: string; readonly archive: (scratch: string) => Promise<string> },
  scratch: string,
): Promise<string> {
  progress({ step: `getting ${source.name}` })
  return await source.archive(scratch)
}

async function unpackSource({ signal, progress }: BuildParts, tools: BuildTools, archive: string, scratch: string) {
  progress({ step: 'unpacking the source' })
  const args = ['--extract', '--no-same-owner', '--file', archive, '--directory', scratch]
  await runTool({ program: tools.tar, args, cwd: scratch, signal })
  const [folder] = (await readdir(scratch)).filter((name) => name.startsWith('linux-source'))
  if (folder === undefined) throw new CoveError('kernel-invalid', 'the archive has no source of a kernel in it')
  return join(scratch, folder)
}

interface Compiled {
  readonly tools: BuildTools
  readonly tree: string
  readonly config: string
  readonly source: string
}

async function compile(
  { machine, signal, progress, log }: BuildParts,
  { tools, tree, config, source }: Compiled,
): Promise<NewKernel> {
  const target = TARGETS[machine]
  if (target === undefined) throw new CoveError('unsupported', `no kernel is built for ${machine}`)
  const make = async (args: readonly string[], line: (text: string) => void = log) => {
    const all = [`ARCH=${target.arch}`, ...args]
    return await runTool({ program: tools.make, args: all, cwd: tree, env: SAME_EVERY_TIME, signal, line }).catch(
      (error: unknown) => {
        throw buildError(error)
      },
    )
  }
  progress({ step: 'configuring' })
  const wanted = join(tree, 'cove.config')
  await writeFile(wanted, config)
  await make([`KCONFIG_ALLCONFIG=${wanted}`, 'allnoconfig'])
  await refuseLost(config, await readFile(join(tree, '.config'), 'utf8'))
  let done = 0
  const step = (text: string) => {
    log(text)
    if (!/^ {2}[A-Z]\w* /.test(text)) return
    done++
    progress({ step: 'compiling', done, total: Math.max(USUAL_STEPS, done + 1) })
  }
  await make([`-j${availableParallelism()}`, target.target], step)
  const [version = ''] = (await make(['--silent', 'kernelrelease'])).slice(-1)
  const built = join(tree, target.image)
  if (machine === 'x86_64') await runTool({ program: tools.strip, args: ['--strip-all', built], cwd: tree, signal })
  const image = await readFile(built)
  checkKernelImage(image, machine)
  const has = { ninep: true, virtiofs: true, vsock: true, smp: config.includes('CONFIG_SMP=y') }
  return { origin: 'built', version, machine, source, recipe: '', acpi: false, has, image, modules: [] }
}

/** A name that the source does not know is left out by `make` without a word. */
async function refuseLost(wanted: string, got: string): Promise<void> {
  const lines = new Set(got.split('\n'))
  const lost = wanted.split('\n').filter((line) => line !== '' && !lines.has(line))
  if (lost.length > 0) {
    throw new CoveError(
      'kernel-invalid',
      `this source cannot be configured as it has to be: ${lost.slice(0, 5).join(', ')}`,
    )
  }
}

function buildError(error: unknown): CoveError {
  const known = CoveError.from(error)
  if (known.code !== 'io-error') return known
  return new CoveError('kernel-build-failed', known.message, {}, { cause: error })
}
