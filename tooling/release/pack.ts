import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { packSdk } from '../pack-sdk.ts'
import { examine, examineTarball } from './examine.ts'
import { stage } from './stage.ts'

const ROOT = join(import.meta.dirname, '../..')
const MACHINES = ['linux-arm64', 'linux-x64'] as const
const PROGRAMS = ['cove-guest', 'cove-layers', 'cove-boot'] as const

export interface PackOptions {
  /** Folder of the tarball. */
  readonly out: string
  readonly programs: ReadonlyMap<string, string>
  readonly toolchain?: string
}

/** Packs what is published as one tarball and examines it. Answers with its path; throws with everything that is wrong. */
export async function pack({ out, ...options }: PackOptions): Promise<string> {
  const work = mkdtempSync(join(tmpdir(), 'cove-pack-'))
  try {
    const folder = join(work, 'stage')
    await stage({ ...options, root: ROOT, folder })
    mkdirSync(out, { recursive: true })
    const args = ['pack', '--json', '--ignore-scripts', '--loglevel=error', '--pack-destination', resolve(out)]
    const [packed] = JSON.parse(execFileSync('npm', args, { cwd: folder, encoding: 'utf8' })) as { filename: string }[]
    if (packed === undefined) throw new Error('npm packed nothing')
    const tarball = join(resolve(out), packed.filename)
    execFileSync('tar', ['-xzf', tarball, '-C', work])
    const problems = [...examine(join(work, 'package'), ROOT), ...examineTarball(tarball)]
    if (problems.length > 0) throw new Error(`the package is not fit to publish:\n${problems.join('\n')}`)
    return tarball
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** With the programs that this checkout has built for itself, for tests of the package on this machine. */
export async function packForThisMachine(out: string): Promise<string> {
  const programs = new Map(PROGRAMS.map((name) => [`linux-${process.arch}/${name}`, join(ROOT, 'build', name)]))
  return pack({ out, programs })
}

/** The whole release in `build/release`: our programs are there already, see build-guests.sh. */
async function release(): Promise<void> {
  const out = join(ROOT, 'build/release')
  const names = MACHINES.flatMap((machine) => PROGRAMS.map((name) => `${machine}/${name}`))
  const programs = new Map(names.map((name) => [name, join(out, 'guest', name)]))
  for (const program of programs.values()) {
    if (!existsSync(program)) throw new Error(`${program} is missing: run tooling/release/build-guests.sh`)
  }
  const tarball = await pack({ out, programs, toolchain: join(out, 'toolchain') })
  const sdk = packSdk(out)
  const sbom = join(out, 'SBOM.cdx.json')
  writeFileSync(sbom, execFileSync('tar', ['-xzOf', tarball, 'package/SBOM.cdx.json']))
  const guests = MACHINES.map((machine) => {
    const named = join(out, `cove-guest-${machine}`)
    copyFileSync(join(out, 'guest', machine, 'cove-guest'), named)
    return named
  })
  const parts = [tarball, sdk, sbom, ...guests]
  const sums = parts.map(
    (path) => `${createHash('sha256').update(readFileSync(path)).digest('hex')}  ${basename(path)}\n`,
  )
  writeFileSync(join(out, 'SHA256SUMS'), sums.join(''))
  for (const path of parts) process.stdout.write(`${readFileSync(path).length} bytes  ${basename(path)}\n`)
}

if (import.meta.main) await release()
