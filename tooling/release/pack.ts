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

export interface PackOptions {
  /** Folder of the tarball. */
  readonly out: string
  readonly guests: ReadonlyMap<string, string>
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

/** With the guest program of this checkout alone, for tests of the package on this machine. */
export async function packForThisMachine(out: string): Promise<string> {
  const guests = new Map([[`linux-${process.arch}`, join(ROOT, 'build/cove-guest')]])
  return pack({ out, guests })
}

/** The whole release in `build/release`: the guest programs are there already, see build-guests.sh. */
async function release(): Promise<void> {
  const out = join(ROOT, 'build/release')
  const guests = new Map(MACHINES.map((machine) => [machine, join(out, 'guest', machine, 'cove-guest')]))
  for (const program of guests.values()) {
    if (!existsSync(program)) throw new Error(`${program} is missing: run tooling/release/build-guests.sh`)
  }
  const tarball = await pack({ out, guests, toolchain: join(out, 'toolchain') })
  const sdk = packSdk(out)
  const sbom = join(out, 'SBOM.cdx.json')
  writeFileSync(sbom, execFileSync('tar', ['-xzOf', tarball, 'package/SBOM.cdx.json']))
  const programs = [...guests].map(([machine, program]) => {
    const named = join(out, `cove-guest-${machine}`)
    copyFileSync(program, named)
    return named
  })
  const parts = [tarball, sdk, sbom, ...programs]
  const sums = parts.map(
    (path) => `${createHash('sha256').update(readFileSync(path)).digest('hex')}  ${basename(path)}\n`,
  )
  writeFileSync(join(out, 'SHA256SUMS'), sums.join(''))
  for (const path of parts) process.stdout.write(`${readFileSync(path).length} bytes  ${basename(path)}\n`)
}

if (import.meta.main) await release()
